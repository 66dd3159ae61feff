"""What can go wrong, as one tree.

::

    StreamregError
    +-- UsageError          the call, option or configuration is wrong          (exit code 2)
    |   +-- ConfigError     a job file is wrong: says the line and the nearest name
    |   +-- OnePassError    a second pass was needed from an iterator that can be read only once
    |   +-- MissingExtra    an optional package is not installed: says which extra brings it
    +-- DataError           the data are wrong, and the message says what, where and what to do (exit code 3)
        +-- NotFound        no such file, dataset or column: offers the nearest names
        +-- CorruptError    truncated file, missing chunk, failed checksum
        +-- ChangedError    the data changed while they were read, or since a checkpoint
        +-- NonFiniteError  NaN or infinity, with row and column
"""

import difflib
from collections.abc import Iterable
from typing import Any


class StreamregError(Exception):
    """Base of every error that streamreg raises on purpose."""

    exit_code = 2


class UsageError(StreamregError, ValueError):
    """The call, option or configuration is wrong."""


class ConfigError(UsageError):
    """A job file is wrong."""


class OnePassError(UsageError):
    """A second pass was needed from a source that can be read only once."""


class MissingExtra(UsageError, ImportError):  # noqa: N818 - names what is missing, as ImportError does not
    """An optional package is not installed."""


class DataError(StreamregError, ValueError):
    """The data are wrong."""

    exit_code = 3


class NotFound(DataError, LookupError):  # noqa: N818 - reads as in FileNotFoundError
    """No such file, dataset or column."""


class CorruptError(DataError):
    """The stored data are damaged or incomplete."""


class ChangedError(DataError):
    """The data changed between two looks at them."""


class NonFiniteError(DataError):
    """NaN or infinity where a number is needed."""


def require(value: Any, kind: type | tuple[type, ...], rule: str) -> None:
    """Raise `UsageError` if a value is not of a kind; `rule` says what is wanted: ``"robust errors are for a fit"``."""
    if isinstance(value, type):
        raise UsageError(f"{rule}, and this is the class {value.__name__}; make one: {value.__name__}(...)")
    if not isinstance(value, kind):
        raise UsageError(f"{rule}, and this is of type {type(value).__name__}")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Offer the closest of `candidates` to a misspelt `name`, as the end of a sentence.

    Returns
    -------
    str
        ``"; did you mean 'x7'?"``, or a short list of what there is, or an empty string.
    """
    options = list(candidates)
    close = [option for option in options if option.casefold() == name.casefold()]
    close = close or difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not options:
        return ""
    shown = ", ".join(options[:8]) + (f", ... ({len(options)} in all)" if len(options) > 8 else "")
    return f"; there is {shown}"
