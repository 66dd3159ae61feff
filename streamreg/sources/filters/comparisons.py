"""Comparisons of columns, numbers, texts and dates: exact, whatever their types."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

import numpy as np

from streamreg.errors import UsageError
from streamreg.sources.base import Schema
from streamreg.sources.chunk import Chunk, Coded, missing
from streamreg.sources.filters.conditions import Condition, Mask, Possible, Truth
from streamreg.sources.filters.operands import Constant, Named, Operand, bounds, columns, described, moment
from streamreg.sources.ranges import Range

TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
"""Comparisons with their sides changed."""

_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """Two operands compared; a constant stands on the right."""

    left: Operand
    sign: str
    right: Operand

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return (*columns(self.left), *columns(self.right))

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        left = self.left.bound(schema, label)
        right = _fitting(left, self.right.bound(schema, label), schema, label)
        if left.kind == "text" and self.sign not in ("==", "!="):
            raise UsageError(
                f"{label}, where: {described(left)}, is compared by {self.sign}; text can be == or != only"
            )
        return replace(self, left=left, right=right)

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        left, right = self.left, self.right
        if isinstance(right, Constant):
            values = left.values(chunk) if not isinstance(left, Constant) else left.numbers(chunk)
            return Truth.of(compared(values, self.sign, right.value), missing(values))
        if isinstance(left, Named) and isinstance(right, Named):
            one, other = left.values(chunk), right.values(chunk)
            unknown = missing(one) | missing(other)
            if isinstance(one, Coded) and isinstance(other, Coded):
                same = _same_texts(one, other)
                return Truth.of(same if self.sign == "==" else ~same, unknown)
            assert not isinstance(one, Coded), "types are compared before rows are read"
            assert not isinstance(other, Coded), "types are compared before rows are read"
            if one.dtype.kind == other.dtype.kind or {one.dtype.kind, other.dtype.kind} <= set("iub"):
                return Truth.of(_TESTS[self.sign](one, other), unknown)
        first, second = left.numbers(chunk), right.numbers(chunk)
        return Truth.of(_TESTS[self.sign](first, second), np.isnan(first) | np.isnan(second))

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        found = known.get(self.left.name) if isinstance(self.left, Named) else None
        if found is None or not isinstance(self.right, Constant):
            return True, True
        if not found.some:
            return False, False
        low, high, value = found.low, found.high, self.right.value
        if low is None or high is None or isinstance(low, str) != isinstance(value, str):
            return True, True
        equal = low <= value <= high, not low == value == high
        return {
            "<": (low < value, high >= value),
            "<=": (low <= value, high > value),
            ">": (high > value, low <= value),
            ">=": (high >= value, low < value),
            "==": equal,
            "!=": equal[::-1],
        }[self.sign]


@dataclass(frozen=True, slots=True)
class Among(Condition):
    """One of several constants."""

    left: Operand
    values: tuple[Constant, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return tuple(columns(self.left))

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        left = self.left.bound(schema, label)
        values = [_fitting(left, value, schema, label) for value in self.values]
        return replace(self, left=left, values=tuple(v for v in values if isinstance(v, Constant)))

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        values = self.left.values(chunk) if not isinstance(self.left, Constant) else self.left.numbers(chunk)
        if isinstance(values, Coded):
            wanted = {value.value for value in self.values}
            here = np.array([*(text in wanted for text in values.levels), False], bool)
            return Truth.of(here[values.codes], missing(values))
        found = np.zeros(values.shape, bool)
        for value in self.values:
            found |= compared(values, "==", value.value)
        return Truth.of(found, missing(values))

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        each = [Comparison(self.left, "==", value).possible(known) for value in self.values]
        return any(true for true, _ in each), all(false for _, false in each)


@dataclass(frozen=True, slots=True)
class Flag(Condition):
    """A column of truth values."""

    column: Named

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return (self.column.name,)

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        found = self.column.bound(schema, label)
        if schema.dtype(found.name).kind != "b":
            raise UsageError(
                f"{label}, where: {described(found)}, stands where something is true or false; compare it, as in "
                f"{found.name} == {'1' if found.kind == 'numbers' else repr('...')}"
            )
        return replace(self, column=found)

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        values = self.column.numbers(chunk)
        return Truth.of(values == 1.0, np.isnan(values))

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        return Comparison(self.column, "==", Constant(1)).possible(known)


def compared(values: Any, sign: str, constant: float | str | Fraction) -> Mask:
    """Return where values compare with a constant as said; of missing ones nothing is promised."""
    if isinstance(values, Coded):
        here = np.array([*((text == constant) == (sign == "==") for text in values.levels), False], bool)
        return here[values.codes]
    assert not isinstance(constant, str), "types are compared before rows are read"
    numbers, below, above = bounds(np.asarray(values), constant)
    if sign in ("==", "!="):
        same = numbers == below if below == above else np.zeros(numbers.shape, bool)
        return np.asarray(same if sign == "==" else ~same)
    return np.asarray(_TESTS[sign](numbers, above if sign in ("<", ">=") else below))


def _same_texts(one: Coded, other: Coded) -> Mask:
    place = {text: code for code, text in enumerate(one.levels)}
    moved = np.array([*(place.get(text, -2) for text in other.levels), -3], np.int64)
    return np.asarray(one.codes == moved[other.codes])


def _fitting(left: Operand, right: Operand, schema: Schema, label: str) -> Operand:
    """Return the right side as the left one can be compared with it. Raises `UsageError` if it cannot be."""
    if left.kind == "dates" and isinstance(right, Constant) and isinstance(right.value, str):
        assert isinstance(left, Named), "only columns hold dates"
        return Constant(
            moment(right.value, schema.zones.get(left.name), f"{label}, where: column {left.name!r}"), "dates"
        )
    if left.kind != right.kind:
        hint = ""
        if isinstance(left, Named) and left.kind == "text" and isinstance(right, Constant):
            hint = f"; write {str(right.value)!r} in quotes"
        if isinstance(right, Constant) and right.kind == "text":
            hint = "; leave the quotes out"
        raise UsageError(f"{label}, where: {described(left)}, is compared with {described(right)}{hint}")
    return right
