"""The functions that a formula may call, and the options of each: a fixed list."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Option: TypeAlias = Any
"""A number, a text, a truth value, None, or a tuple of such."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes.

    Attributes
    ----------
    options : tuple of (str, default)
        In the order in which they may be given without their names.
    kinds : tuple of type
        What each option can be; `float` is any number, `tuple` a list of numbers or texts.
    args : int
        Columns or expressions that come first.
    second : str or None
        Name of one more argument that may follow.
    numpy : bool
        Whether it may also be written as np.log(x).
    """

    options: tuple[tuple[str, Option], ...] = ()
    kinds: tuple[tuple[type, ...], ...] = ()
    args: int = 1
    second: str | None = None
    numpy: bool = False

    def takes(self, option: str, value: Option) -> bool:
        """Return whether an option can have a value."""
        kinds = self.kinds[[key for key, _ in self.options].index(option)]
        if isinstance(value, bool):
            return bool in kinds or object in kinds
        if isinstance(value, int | float):
            return (float in kinds or object in kinds or (int in kinds and isinstance(value, int))) and (
                abs(value) < 1e308
            )
        return (value is None and type(None) in kinds) or object in kinds or type(value) in kinds


def _options(*options: tuple[str, Option, tuple[type, ...]]) -> dict[str, Any]:
    return {"options": tuple((k, v) for k, v, _ in options), "kinds": tuple(kinds for _, _, kinds in options)}


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
}
"""Functions of one number."""

DATES = ("year", "quarter", "month", "day", "weekday", "dayofyear", "hour", "minute", "second")
"""Parts of a date, as whole numbers; Monday is weekday 0."""

SCALING = ("center", "scale", "standardize")
"""Functions that subtract a mean or divide by a standard deviation of the rows that were fitted."""

TERMS = ("C", "i", "poly", "bs", "cr", "cs")
"""Functions that make several columns: only as a factor of its own."""

CODINGS = ("Treatment", "Sum", "OneHot", "Helmert", "Diff")
"""Codings of categories."""

_NONE = type(None)
_BOUNDS = (("lower_bound", None, (float, _NONE)), ("upper_bound", None, (float, _NONE)))

_NATURAL = Signature(
    **_options(
        ("df", None, (int, _NONE)),
        ("knots", None, (tuple, _NONE)),
        *_BOUNDS,
        ("extrapolation", "extend", (str,)),
    )
)

CALLS: dict[str, Signature] = {
    **{name: Signature(numpy=True) for name in ELEMENTWISE},
    **{name: Signature() for name in DATES},
    "I": Signature(),
    "center": Signature(),
    "scale": Signature(**_options(("center", True, (bool,)), ("scale", True, (bool,)), ("ddof", 1, (float,)))),
    "standardize": Signature(**_options(("center", True, (bool,)), ("rescale", True, (bool,)), ("ddof", 0, (float,)))),
    "C": Signature(
        **_options(("contrasts", None, (object,)), ("levels", None, (tuple, _NONE)), ("spans_intercept", True, (bool,)))
    ),
    "i": Signature(**_options(("ref", None, (object,)), ("ref2", None, (object,))), second="var2"),
    "poly": Signature(**_options(("degree", 1, (int,)), ("raw", False, (bool,)))),
    "bs": Signature(
        **_options(
            ("df", None, (int, _NONE)),
            ("knots", None, (tuple, _NONE)),
            ("degree", 3, (int,)),
            ("include_intercept", False, (bool,)),
            *_BOUNDS,
            ("extrapolation", "raise", (str,)),
        )
    ),
    "cr": _NATURAL,
    "cs": _NATURAL,
}
"""All functions by name."""
