"""`gangen` that waits before it creates the manifest: `python held_driver.py FOLDER generate ...`.

Every shard is made and revealed, the data set does not exist yet: the last point at which a run can break off. It
leaves FOLDER/held when it is there and goes on when FOLDER/go-on appears.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from jobs.cli import script
from jobs.local_storage import LocalStorage
from jobs.object_storage import ObjectStorage

MOST_S = 600


def hold(storage: type[LocalStorage] | type[ObjectStorage], folder: Path) -> None:
    create_once = storage.create_once

    def held(self: Any, name: str, data: str | bytes) -> None:
        if "manifest" in name:
            (folder / "held").touch()
            deadline = time.monotonic() + MOST_S
            while not (folder / "go-on").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        create_once(self, name, data)

    storage.create_once = held  # type: ignore[method-assign]


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    hold(LocalStorage, place)
    hold(ObjectStorage, place)
    script()
