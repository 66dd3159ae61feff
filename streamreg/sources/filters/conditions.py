"""Conditions on rows, with three answers: true, false, and not known where a value is missing; as SQL has them.

A row passes where the condition is true.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.sources.base import Schema
from streamreg.sources.chunk import Chunk, missing
from streamreg.sources.filters.operands import Constant, Named, Operand, columns
from streamreg.sources.ranges import Range

Mask = NDArray[np.bool_]


class Truth(NamedTuple):
    """Answers for some rows: where it is true, and where it is not known; None: it is known everywhere."""

    true: Mask
    unknown: Mask | None = None

    @classmethod
    def of(cls, true: Mask, unknown: Mask) -> "Truth":
        """Return answers that are not known in some rows."""
        return cls(true & ~unknown, unknown) if unknown.any() else cls(true)


Possible = tuple[bool, bool]
"""Whether a condition may be true, and whether it may be false, in some of many rows."""


class Condition(ABC):
    """Something that is true of a row or not."""

    __slots__ = ()

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""

    @abstractmethod
    def bound(self, schema: Schema, label: str) -> Self:
        """Return this condition on the columns of a table. Raises `NotFound`, or `UsageError` of wrong types."""

    @abstractmethod
    def truth(self, chunk: Chunk) -> Truth:
        """Return the answers for the rows of a chunk."""

    @abstractmethod
    def possible(self, known: Mapping[str, Range]) -> Possible:
        """Return what can be the case where columns lie in ranges."""


@dataclass(frozen=True, slots=True)
class Missing(Condition):
    """Whether there is no value: always known."""

    operand: Operand

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return tuple(columns(self.operand))

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        return replace(self, operand=self.operand.bound(schema, label))

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        operand = self.operand
        return Truth(missing(operand.numbers(chunk) if isinstance(operand, Constant) else operand.values(chunk)))

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        found = known.get(self.operand.name) if isinstance(self.operand, Named) else None
        return (True, True) if found is None else (found.holes, found.some)


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite; what is not known is not known either way."""

    inner: Condition

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return self.inner.columns

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        return replace(self, inner=self.inner.bound(schema, label))

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        true, unknown = self.inner.truth(chunk)
        return Truth(~true if unknown is None else ~(true | unknown), unknown)

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        true, false = self.inner.possible(known)
        return false, true


@dataclass(frozen=True, slots=True)
class Joined(Condition):
    """Several conditions, of which all must be true, or one."""

    every: bool
    parts: tuple[Condition, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Condition`."""
        return tuple(name for part in self.parts for name in part.columns)

    def bound(self, schema: Schema, label: str) -> Self:
        """See `Condition`."""
        return replace(self, parts=tuple(part.bound(schema, label) for part in self.parts))

    def truth(self, chunk: Chunk) -> Truth:
        """See `Condition`."""
        total, *others = [part.truth(chunk) for part in self.parts]
        for other in others:
            total = _both(total, other) if self.every else _either(total, other)
        return total

    def possible(self, known: Mapping[str, Range]) -> Possible:
        """See `Condition`."""
        true, false = zip(*(part.possible(known) for part in self.parts), strict=True)
        return (all(true), any(false)) if self.every else (any(true), all(false))


def _both(one: Truth, other: Truth) -> Truth:
    true = one.true & other.true
    return Truth(true, _unknown(one, other, true, every=True))


def _either(one: Truth, other: Truth) -> Truth:
    true = one.true | other.true
    return Truth(true, _unknown(one, other, true, every=False))


def _unknown(one: Truth, other: Truth, true: Mask, *, every: bool) -> Mask | None:
    """Return where the answer is not known: where one is not, and the other does not settle it."""
    if one.unknown is None and other.unknown is None:
        return None
    first, second = (np.zeros(true.shape, bool) if t.unknown is None else t.unknown for t in (one, other))
    return ((one.true | first) & (other.true | second) & ~true) if every else ((first | second) & ~true)
