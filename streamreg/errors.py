"""What can go wrong, as one tree; options of a wrong type, and names of earlier versions.

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
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

P = ParamSpec("P")
R = TypeVar("R")


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


class IncompleteWarning(UserWarning):
    """Rows could not be read and were left out, as `on_fault` says."""


def require(value: Any, kind: type | tuple[type, ...], rule: str) -> None:
    """Raise `UsageError` if a value is not of a kind; `rule` says what is wanted: ``"robust errors are for a fit"``."""
    if isinstance(value, type):
        raise UsageError(f"{rule}, and this is the class {value.__name__}; make one: {value.__name__}(...)")
    if not isinstance(value, kind):
        raise UsageError(f"{rule}, and this is of type {type(value).__name__}")


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public function refuse, by `UsageError`, an option of another type than its annotation says.

    Numbers, text, names, booleans, paths and mappings are checked. Other types are left to the function, and so is its
    first argument, of which it can say more.
    """

    @cache
    def known() -> inspect.Signature:
        return inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = known().bind(*args, **kwargs).arguments
        except TypeError:  # a misspelt or missing argument: Python's own error of the call is the best
            return function(*args, **kwargs)
        for name, value in list(given.items())[1:]:
            parameter = known().parameters[name]
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or value is parameter.default:
                continue
            if not fits(value, parameter.annotation):
                wanted = inspect.formatannotation(parameter.annotation).replace("collections.abc.", "")
                shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
                raise UsageError(f"{name}={shown} is a {type(value).__name__}; it can be {wanted}")
        return function(*args, **kwargs)

    return call


def fits(value: Any, kind: Any) -> bool:
    """Return whether a value is of an annotated type, as far as that is one of plain options."""
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in get_args(kind))
    if origin is Literal:
        return any(type(value) is type(one) for one in get_args(kind))
    if origin is None or origin is NoneType:
        return value is None
    if origin is bool:
        return type(value).__name__ in ("bool", "bool_")
    if origin in (int, float):
        return isinstance(value, Integral if origin is int else Real) and not isinstance(value, bool)
    if origin in (str, os.PathLike):
        return isinstance(value, origin)
    if origin in (dict, Mapping):
        parts = get_args(kind)
        return isinstance(value, Mapping) and all(
            fits(one, part) for item in value.items() for one, part in zip(item, parts, strict=False)
        )
    if inspect.isclass(origin) and issubclass(origin, Iterable) and get_args(kind) in ((str,), (str, ...)):
        items = value if isinstance(value, list | tuple) else ()
        return hasattr(value, "__iter__") and getattr(value, "ndim", 1) == 1 and all(isinstance(v, str) for v in items)
    return True


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


_OPTIONS = {"weights": "weight_kind", "smallest": "eps", "choose": "rule"}
"""Options of models: names of earlier versions, and those of today."""

_FIELDS = {"level": "method"}
"""Fields of saved results, likewise."""


def told(old: str, new: str) -> None:
    """Warn that a name is an old one; it works in this version, and not in the next one."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("streamreg", "pydantic"):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(f"{old} is called {new} now; the next version will not know {old}", FutureWarning, depth)


def current(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return options of a model under their names of today, and warn of the old ones.

    Parameters
    ----------
    values : mapping
    names : iterable of str
        The options that the model has.

    Raises
    ------
    UsageError
        A value is given under both names.
    """
    here, out = set(names), dict(values)
    for old, new in _OPTIONS.items():
        if old in out and old not in here and new in here:
            if new in out:
                raise UsageError(f"{old} and {new} are one option; give {new} alone")
            told(old, new)
            out[new] = out.pop(old)
    return out


def saved(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a saved result, whichever version saved it, under their names of today."""
    out = {_FIELDS.get(name, name): value for name, value in values.items()}
    if isinstance(model := out.get("model"), Mapping):
        out["model"] = {_OPTIONS.get(name, name): value for name, value in model.items()}
    return out


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function take keyword arguments under old names, too: ``@renamed(old="new")``."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new in names.items():
                if old in kwargs:
                    if new in kwargs:
                        raise UsageError(f"{old} and {new} are one option; give {new} alone")
                    told(old, new)
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return wrap


class Renamed:
    """An attribute under the name of an earlier version: ``old = Renamed("new")``."""

    def __init__(self, new: str) -> None:
        self.old, self.new = "", new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        told(self.old, self.new)
        return getattr(instance, self.new)
