"""What a condition compares: columns, constants, and arithmetic on numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.sources.base import Schema
from streamreg.sources.chunk import Chunk, Coded, Column, missing

Kind = Literal["numbers", "text", "dates"]
Float = NDArray[np.float64]

_KINDS: dict[str, Kind] = dict.fromkeys("fiub", "numbers") | {"T": "text", "M": "dates"}  # type: ignore[assignment]
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,18}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_PER_DAY = {"W": Fraction(1, 7), "D": 1, "h": 24, "m": 1440, "s": 86400} | {
    unit: 86400 * 1000**k for k, unit in enumerate(("s", "ms", "us", "ns", "ps", "fs", "as"))
}


@dataclass(frozen=True, slots=True)
class Named:
    """A column; `kind` is known once it is bound to a table."""

    name: str
    kind: Kind = "numbers"

    def bound(self, schema: Schema, label: str) -> "Named":
        """Return this column with what it holds.

        Raises
        ------
        NotFound
            It is not there.
        UsageError
            It can be neither compared nor computed with.
        """
        kind = schema.dtype(schema.require(self.name, f"{label}, where")).kind
        if kind not in _KINDS:
            why = schema.refused.get(self.name, "holds neither numbers, nor text, nor dates")
            raise UsageError(f"{label}, where: column {self.name!r} {why}")
        return replace(self, kind=_KINDS[kind])

    def values(self, chunk: Chunk) -> Column:
        """Return the values."""
        return chunk.column(self.name)

    def numbers(self, chunk: Chunk) -> Float:
        """Return the values as float64, NaN where one is missing."""
        values = chunk.column(self.name)
        assert not isinstance(values, Coded), "text is refused before rows are read"
        out = values.astype(np.float64)
        if values.dtype == np.int64 and (absent := missing(values)).any():
            out[absent] = np.nan
        return out


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, or a date: days since 1970, exactly."""

    value: float | str | Fraction
    kind: Kind = "numbers"

    def bound(self, schema: Schema, label: str) -> "Constant":
        """Return this constant."""
        return self

    def numbers(self, chunk: Chunk) -> Any:
        """Return the number."""
        return np.float64(self.value)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers made one, in float64."""

    operator: str
    left: "Operand"
    right: "Operand"
    text: str
    kind: Kind = "numbers"

    def bound(self, schema: Schema, label: str) -> "Arithmetic":
        """Return this with its columns bound. Raises `UsageError` where one of them holds no numbers."""
        found = replace(self, left=self.left.bound(schema, label), right=self.right.bound(schema, label))
        for side in (found.left, found.right):
            if side.kind != "numbers":
                raise UsageError(f"{label}, where: {self.text} computes with {described(side)}; only numbers can be")
        return found

    def numbers(self, chunk: Chunk) -> Float:
        """Return the results; NaN where a number is missing, or nothing is defined, as 0/0."""
        left, right = self.left.numbers(chunk), self.right.numbers(chunk)
        with np.errstate(all="ignore"):
            match self.operator:
                case "+":
                    return left + right
                case "-":
                    return left - right
                case "*":
                    return left * right
                case "/":
                    return left / right
        with np.errstate(all="ignore"):
            return np.asarray(np.mod(left, right))

    values = numbers


Operand: TypeAlias = Named | Constant | Arithmetic


def columns(operand: Operand) -> Iterator[str]:
    """Yield the columns that are read."""
    if isinstance(operand, Named):
        yield operand.name
    elif isinstance(operand, Arithmetic):
        yield from columns(operand.left)
        yield from columns(operand.right)


def described(operand: Operand) -> str:
    """Return an operand as messages call it."""
    if isinstance(operand, Named):
        return f"column {operand.name!r}, which holds {operand.kind}"
    if isinstance(operand, Constant):
        return f"the {operand.kind.removesuffix('s')} {operand.value!r}"
    return f"{operand.text}, which is a number"


def moment(text: str, zone: str | None, where: str) -> Fraction:
    """Return a date or time as days since 1970; without an offset of its own it is on the clock of the column's zone.

    Raises
    ------
    UsageError
        The text is no date, or has an offset where the column has no time zone.
    """
    wrong = f"{where} holds dates, and is compared with {text!r}; write dates as '2020-01-31' or '2020-01-31 12:00:00'"
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise UsageError(wrong)
    day, minutes, seconds, digits, offset = match.groups()
    try:
        clock = datetime.fromisoformat(f"{day}T{minutes or '00:00'}:{seconds or '00'}")
    except ValueError:
        raise UsageError(wrong) from None
    if offset and zone is None:
        raise UsageError(f"{where} has no time zone, and is compared with {text!r}; leave out {offset}")
    if offset:
        clock = datetime.fromisoformat(f"{clock.isoformat()}{offset}")
    elif zone is not None:
        try:
            clock = clock.replace(tzinfo=ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError):
            raise UsageError(f"no time zone {zone!r} on this machine; pip install tzdata brings all of them") from None
    since = clock.replace(tzinfo=UTC) if clock.tzinfo is None else clock.astimezone(UTC)
    whole = (since - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    part = Fraction(int(digits), 10 ** len(digits)) if digits else Fraction(0)
    return (whole + part) / 86400


def bounds(values: NDArray[Any], constant: float | Fraction) -> tuple[NDArray[Any], Any, Any]:
    """Return values as numbers, and those next to a constant that they can have: the greatest below, the least above.

    Both are the constant itself where the values can have it. So comparisons are exact, whatever the types.
    """
    exact = Fraction(constant)
    if values.dtype.kind == "M":
        unit = np.datetime_data(values.dtype)[0]
        if unit in "YM":
            values, unit = values.astype("M8[D]"), "D"
        values, exact = values.view(np.int64), exact * _PER_DAY[unit] / np.datetime_data(values.dtype)[1]
    if values.dtype.kind in "iub":
        values = values.view(np.uint8) if values.dtype.kind == "b" else values
        return values, exact.__floor__(), exact.__ceil__()
    near = float(exact)
    below = near if Fraction(near) <= exact else np.nextafter(near, -np.inf)
    above = near if Fraction(near) >= exact else np.nextafter(near, np.inf)
    return values, np.float64(below), np.float64(above)
