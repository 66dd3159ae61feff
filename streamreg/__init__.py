"""Out-of-core streaming regression: scan a large table once, get coefficients with the number of digits to believe.

>>> import streamreg as sr
>>> data = sr.open("million.h5", target="y")      # nothing is read yet
>>> fit = sr.Linear().fit(data)                   # one pass, constant memory
>>> print(fit.summary())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "open": "streamreg.sources",
    "Linear": "streamreg.models.linear",
    "scan": "streamreg.models.linear",
    "Moments": "streamreg.stats.moments",
    "FitResult": "streamreg.result",
    "StreamregError": "streamreg.errors",
    "UsageError": "streamreg.errors",
    "DataError": "streamreg.errors",
}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604

if TYPE_CHECKING:
    from streamreg.errors import DataError, StreamregError, UsageError
    from streamreg.models.linear import Linear, scan
    from streamreg.result import FitResult
    from streamreg.sources import open
    from streamreg.stats.moments import Moments


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import streamreg` itself loads nothing heavy."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'streamreg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
