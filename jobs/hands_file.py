"""What `gangen explore` gives of the digits that were kept: a hand and a mix of labels each, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from ganmodel.config import FrozenModel, first_problem
from ganmodel.errors import SpecError

if TYPE_CHECKING:
    from ganmodel.model_dir import ModelInfo

MAX_BYTES = 100_000_000

Number = Annotated[float, Field(ge=-1e6, le=1e6)]


class KeptDigit(FrozenModel):
    """A digit.

    Attributes:
        hand: its latents, [Z], truncation done.
        mix: the share of each label's vector, [K].
        text: what the page said of it.
    """

    hand: tuple[Number, ...]
    mix: tuple[Number, ...]
    text: str = ""


class HandsFile(FrozenModel):
    """A file of digits.

    Attributes:
        format: says what the file is.
        format_version: of that.
        model_digest: of the generator they were kept from.
        digits: in the order they were kept.
    """

    format: Literal["gangen hands"]
    format_version: Literal[1]
    model_digest: str
    digits: Annotated[tuple[KeptDigit, ...], Field(min_length=1, max_length=10_000)]


def read_hands(path: str, info: ModelInfo) -> tuple[KeptDigit, ...]:
    """Return the digits of a file.

    Args:
        path: the file.
        info: the model that is to draw them.

    Raises:
        SpecError: it cannot be read, is no such file, or is of another model.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SpecError(f"--hands {path}: at most {MAX_BYTES:,} bytes, got {file.stat().st_size:,}")
        found = HandsFile.model_validate_json(file.read_bytes())
    except OSError as err:
        raise SpecError(f"--hands {path}: cannot be read ({err.strerror})") from err
    except ValidationError as err:
        raise SpecError(f"--hands {path}: is no file of `gangen explore` ({first_problem(err)})") from err
    if found.model_digest != info.digest:
        raise SpecError(
            f"--hands {path}: its digits are of the model {found.model_digest[:12]}, this is {info.digest[:12]}; "
            "name theirs with --model"
        )
    shape = (info.generator.latent_dim, info.generator.num_classes)
    for number, digit in enumerate(found.digits):
        if (len(digit.hand), len(digit.mix)) != shape:
            given = f"{len(digit.hand)} and {len(digit.mix)}"
            raise SpecError(
                f"--hands {path}: a digit has {shape[0]} latents and {shape[1]} labels, number {number} {given}"
            )
    return found.digits
