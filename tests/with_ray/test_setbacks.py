"""What ends the workers of a training on a real Ray, and what follows from it; nothing is trained here."""

from __future__ import annotations

from typing import Any

import pytest

from ganmodel.errors import ClusterError, DataError
from jobs.specs import Placement
from jobs.training import train
from tests.support.noise_workers import OTHER_VARIABLE, TRAINING_VARIABLE, ray_with, untrained_spec

pytestmark = pytest.mark.ray_local


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a training whose attempts raise what they are told to, in their order."""

    def run(*told: str, other: str = "", **changes: Any) -> dict[str, Any]:
        folder = tmp_path / "told"
        folder.mkdir()
        for n, kind in enumerate(told):
            (folder / str(n)).write_text(kind)
        variables = {TRAINING_VARIABLE: str(folder), OTHER_VARIABLE: other}
        return train(untrained_spec(tmp_path / "model", **changes), ray_with("replace_training", variables))

    return run


def test_no_memory_and_a_store_without_patience_are_tried_again(run, capsys):
    assert run("memory", "throttled")["losses"] == {"out of memory": 1, "storage throttled": 1}
    told = capsys.readouterr().err
    assert "(out of memory: MemoryError): beginning again at the last checkpoint, 1 of 3 times" in told
    assert "(storage throttled: SlowDown): beginning again at the last checkpoint, 2 of 3 times" in told


def test_what_would_be_met_again_ends_at_once(run, capsys):
    with pytest.raises(DataError, match=r"^bad digits$"):
        run("data", "data")
    assert "beginning again" not in capsys.readouterr().err


def test_workers_with_other_packages_train_nothing_together(run, tmp_path):
    other = tmp_path / "other"
    other.touch()
    with pytest.raises(ClusterError, match=r"are not alike: .* TensorFlow 2\.17\.0"):
        run(other=str(other), strategy="multi-worker", placement=Placement(workers=2))
