"""Evaluate expressions on some rows, in double-double where arithmetic allows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import lacking, missing_integers
from streamreg.design.formula import dates
from streamreg.design.formula.expressions import Call, Expression, Name, Number, names
from streamreg.design.formula.functions import DATES, ELEMENTWISE, SCALING
from streamreg.errors import DataError, nearest
from streamreg.kernels import doubledouble as dd
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Scalings = Mapping[str, tuple[float, float, float]]
"""By the texts of center(x), scale(x): (high, low) of what is subtracted, and what is divided by."""

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of named columns.

    Attributes
    ----------
    columns : mapping of str to Column
        All of one length.
    scalings : mapping
        What `center` and `scale` have learned.
    zones : mapping of str to str
        Time zones of columns of dates.
    start : int
        Number of the first row, for messages.
    kept : int ndarray of shape (m,) or None
        Where these rows stand among those from `start` on; None: they are all there.
    used : bool ndarray of shape (m,) or None
        Rows that will be used; what is wrong in others becomes NaN. None: all of them.
    label : str
        What messages call the table.
    """

    columns: Mapping[str, Column]
    scalings: Scalings = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    start: int = 0
    kept: NDArray[np.int64] | None = None
    used: NDArray[np.bool_] | None = None
    label: str = "rows"

    def column(self, name: str) -> Column:
        """Return a column. Raises `DataError` if it is not there."""
        try:
            return self.columns[name]
        except KeyError:
            near = nearest(name, self.columns)
            raise DataError(f"{self.label}, row {self.start:,}: column {name!r} is gone{near}") from None

    def refuse(self, where: NDArray[np.bool_], text: str, found: Callable[[int], Any], why: str) -> None:
        """Raise `DataError` for the first of some rows that is used."""
        if self.used is not None:
            where = where & self.used
        if where.any():
            i = int(np.argmax(where))
            row = self.start + (i if self.kept is None else int(self.kept[i]))
            raise DataError(f"{self.label}, row {row:,} (from 0), {text}: {found(i)} {why}")

    def raw(self, found: Expression) -> Column:
        """Return values in their own type: of columns, and of parts of dates."""
        if isinstance(found, Name):
            return self.column(found.text)
        if isinstance(found, Call) and found.function in DATES:
            inner = found.args[0]
            times = self.raw(inner)
            if isinstance(times, Coded) or times.dtype.kind != "M":
                raise DataError(f"{self.label}: {found.text}: {inner.text} holds no dates; convert the column")
            return dates.part(found.function, times, self.zones.get(inner.text))
        if isinstance(found, Call) and found.function == "I" and isinstance(found.args[0], Name):
            return self.raw(found.args[0])
        high, low = self.pair(found)
        return high + low

    def pair(self, found: Expression) -> dd.DD:
        """Return numbers as (high, low), each of shape (m,); NaN where one of the columns misses a value.

        Raises
        ------
        DataError
            The result is not finite where the columns are, as log(0): with the row.
        """
        if isinstance(found, Number):
            return np.float64(found.value), np.float64(0.0)  # type: ignore[return-value]  # scalars broadcast
        if isinstance(found, Name) or found.function in DATES:
            return self._numbers(self.raw(found), found.text)
        parts = [self.pair(arg) for arg in found.args]
        if found.function == "I":
            return parts[0]
        if found.function in SCALING:
            return self._scaled(parts[0], found)
        with np.errstate(all="ignore"):
            high, low = _apply(found.function, parts)
        missing = np.isnan(parts[0][0])
        for other in parts[1:]:
            missing = missing | np.isnan(other[0])
        known = np.isfinite(parts[0][0] if len(parts) == 1 else sum(part[0] * 0.0 for part in parts))
        bad = np.broadcast_to(known & ~np.isfinite(high), np.shape(high))
        if np.any(bad):
            why = "gives no finite number; leave such rows out with where, or write another term"
            self.refuse(np.atleast_1d(bad), found.text, lambda i: self._inputs(found, i), why)
        nothing = missing | bad
        return np.where(nothing, np.nan, high), np.where(np.isfinite(low) & ~nothing, low, 0.0)

    def _inputs(self, found: Expression, i: int) -> str:
        held = []
        for name in dict.fromkeys(names(found)):
            values = self.column(name)
            held.append(f"{name} = {values.texts()[i] if isinstance(values, Coded) else values[i]}")
        return ", ".join(held)

    def _numbers(self, values: Column, text: str) -> dd.DD:
        if isinstance(values, Coded):
            raise DataError(
                f"{self.label}: {text} holds text, and a number is needed; use it as a term or in C({text})"
            )
        if values.dtype.kind == "M":
            return dates.since_epoch(values)
        if values.dtype.kind not in "fiub":
            raise DataError(f"{self.label}: {text} holds neither numbers, nor text, nor dates")
        high = values.astype(np.float64)
        if values.dtype.kind in "fb" or values.dtype.itemsize < 8:
            return high, np.zeros_like(high)
        missing = missing_integers(values)
        low = np.where(missing, 0.0, lacking(values, high))
        high[missing] = np.nan
        return high, low

    def _scaled(self, inner: dd.DD, found: Call) -> dd.DD:
        centre_high, centre_low, divisor = self.scalings[found.text]
        centre = np.float64(centre_high), np.float64(centre_low)
        high, _ = dd.subtract(inner, centre)  # type: ignore[arg-type]  # scalars
        high = high / divisor
        return high, np.zeros_like(high)


def _apply(function: str, parts: list[dd.DD]) -> tuple[Any, Any]:
    if function in ELEMENTWISE:
        value = ELEMENTWISE[function](parts[0][0])
        if function == "abs":
            return value, np.where(parts[0][0] < 0, -parts[0][1], parts[0][1])
        return value, np.zeros_like(value)
    left, right = parts
    if function in _COMPARISONS:
        value = _COMPARISONS[function](*dd.subtract(left, right)[:1], 0.0).astype(np.float64)
        return value, np.zeros_like(value)
    if function == "+":
        return dd.add(left, right)
    if function == "-":
        return dd.subtract(left, right)
    if function == "*":
        return dd.multiply(left, right)
    if function == "/":
        return dd.divide(left, right)
    if function == "%":
        value = np.mod(left[0], right[0])
        return value, np.zeros_like(value)
    return power(left, right)


def power(base: dd.DD, exponent: dd.DD) -> tuple[Any, Any]:
    """Return powers: by repeated squaring in double-double for one whole exponent, else as float64 has them."""
    times = exponent[0]
    if np.ndim(times) or times != np.rint(times) or abs(times) > 1000:
        value = np.power(base[0], times)
        return value, np.zeros_like(value)
    left, result, square = int(abs(times)), None, base
    while left:
        if left % 2:
            result = square if result is None else dd.multiply(result, square)
        left //= 2
        square = dd.multiply(square, square) if left else square
    one = (np.ones_like(base[0]), np.zeros_like(base[0]))
    result = one if result is None else result
    return dd.divide(one, result) if times < 0 else result
