"""What a digit is: the class-conditional GAN of gangen, its training and its sampler.

Importing this package loads neither Keras nor TensorFlow: a command line that only checks its
arguments must stay quick. `DigitFunction`, the data set without files, is found here; import what else
you need from its module (`ganmodel.sampler`, `ganmodel.trainer`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganmodel.function import DigitFunction

__version__ = "0.1.0"
__all__ = ["DigitFunction", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the public API when it is first asked for (PEP 562)."""
    if name == "DigitFunction":
        from ganmodel.function import DigitFunction

        return DigitFunction
    raise AttributeError(f"module 'ganmodel' has no attribute '{name}'")
