"""One class for each kind of factor: what it has learned, the names of its columns, and their values on some rows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.block import Block
from streamreg.design.formula.codings import Coding
from streamreg.design.formula.expressions import Call, Expression, Name, Number, expression, names
from streamreg.design.formula.levels import MISSING, OTHER, Levels, Unseen
from streamreg.design.formula.rows import Rows
from streamreg.design.formula.value import quoted

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coder(ABC):
    """A factor that has learned all it needs.

    Attributes
    ----------
    factor : Expression
        As it stands in the formula.
    """

    factor: Expression

    @property
    def spans(self) -> bool:
        """Whether the columns sum to the intercept, unless reduced."""
        return False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        return tuple(dict.fromkeys(names(self.factor)))

    @abstractmethod
    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return the names of the columns made; `reduced`: one less, for it spans the intercept."""

    @abstractmethod
    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the columns made, on some rows."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": type(self).__name__, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Undo `to_dict` of this class."""
        return cls(**{f.name: _restored(values[f.name]) for f in fields(cls)})


@dataclass(frozen=True, slots=True)
class Numeric(Coder):
    """A number: a column, or a function of columns."""

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return the name."""
        return (self.factor.text,)

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the numbers."""
        return Block.of(*rows.pair(self.factor))


@dataclass(frozen=True, slots=True)
class Category(Coder):
    """A category: a column of texts, or C(x).

    Attributes
    ----------
    inner : Expression
        What has the levels.
    levels : Levels
    coding : Coding
    whole : bool
        Whether all levels have their column beside an intercept too.
    """

    inner: Expression
    levels: Levels
    coding: Coding
    whole: bool = False

    @property
    def spans(self) -> bool:
        """True, unless all levels are wanted in any case."""
        return not self.whole and self.coding.kind != "OneHot"

    @property
    def base(self) -> int:
        """Where the reference stands among the levels."""
        return self.coding.base(self.levels, self.factor.text)

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return ``C(g)[T.b]``, ``C(g)[T.c]``; all levels without the T if not reduced."""
        brackets = self.coding.names(self.levels, self.factor.text, reduced)
        return tuple(f"{self.factor.text}{bracket}" for bracket in brackets)

    def kept(self, reduced: bool) -> NDArray[np.intp] | None:
        """Return the levels whose indicators the columns are; None: columns are of other numbers."""
        return self.coding.kept(self.levels, self.factor.text, reduced)

    def table(self, reduced: bool) -> Float:
        """Return the numbers of each level, shape (levels, columns)."""
        return self.coding.table(self.levels, self.factor.text, reduced)

    def codes(self, rows: Rows, unseen: Unseen) -> NDArray[np.int32]:
        """Return the place of each row's level, shape (m,); see `Levels.codes`."""
        return self.levels.codes(self.inner, rows, unseen, self.base)

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the coded levels."""
        codes, kept = self.codes(rows, unseen), self.kept(reduced)
        if kept is not None:
            return Block(_indicators(codes, kept), small=True)
        return Block(_looked_up(self.table(reduced), codes), small=self.coding.kind == "Sum")


@dataclass(frozen=True, slots=True)
class Interacted(Coder):
    """i(f), i(f, x) and i(f, g), as in fixest: indicators of levels, on their own, times a number, or of pairs.

    Attributes
    ----------
    levels : Levels
    reference : int
        Place of the level left out; -1: none.
    given : bool
        Whether the formula says which one.
    second : Levels or None
        Levels of g.
    reference2 : int
    given2 : bool
    """

    levels: Levels
    reference: int = 0
    given: bool = False
    second: Levels | None = None
    reference2: int = 0
    given2: bool = False

    @property
    def _arguments(self) -> tuple[Expression, ...]:
        assert isinstance(self.factor, Call)
        return self.factor.args

    @property
    def spans(self) -> bool:
        """Whether all levels of i(f) have their column."""
        return len(self._arguments) == 1 and not self.given

    def _kept(self, reduced: bool) -> tuple[list[int], list[int]]:
        first = [k for k in range(len(self.levels)) if not ((self.given or reduced) and k == self.reference)]
        second = range(0 if self.second is None else len(self.second))
        return first, [k for k in second if not (self.given2 and k == self.reference2)]

    def names(self, reduced: bool) -> tuple[str, ...]:
        """Return ``f::1``, ``f::1:x``, ``f::1:g::a``."""
        first, second = self._kept(reduced)
        one = f"{self._arguments[0].text}::"
        if self.second is not None:
            other = f":{self._arguments[1].text}::"
            return tuple(
                f"{one}{self.levels.names[a]}{other}{self.second.names[b]}" for a, b in self._pairs(first, second)
            )
        end = f":{self._arguments[1].text}" if len(self._arguments) > 1 else ""
        return tuple(f"{one}{self.levels.names[a]}{end}" for a in first)

    def _pairs(self, first: list[int], second: list[int]) -> list[tuple[int, int]]:
        return [(a, b) for a in first for b in second if (a, b) != (self.reference, self.reference2)]

    def block(self, rows: Rows, reduced: bool, unseen: Unseen) -> Block:
        """Return the products of indicators."""
        first, second = self._kept(reduced)
        codes = self.levels.codes(self._arguments[0], rows, unseen, self.reference)
        if self.second is None:
            left = Block(_indicators(codes, np.array(first, np.intp)), small=True)
            return left if len(self._arguments) == 1 else left.times(Block.of(*rows.pair(self._arguments[1])))
        left_levels = _indicators(codes, np.arange(len(self.levels)))
        codes = self.second.codes(self._arguments[1], rows, unseen, self.reference2)
        right = _indicators(codes, np.arange(len(self.second)))
        pairs = np.array(self._pairs(first, second), np.intp).reshape(-1, 2)
        return Block(left_levels[:, pairs[:, 0]] * right[:, pairs[:, 1]], small=True)


def _indicators(codes: NDArray[np.int32], kept: NDArray[np.intp]) -> Float:
    """Return a column for each of the levels `kept`, column by column in memory; NaN for `MISSING`."""
    out = np.zeros((len(kept), len(codes)))
    column = np.full(max(int(codes.max(initial=0)), int(kept.max(initial=0))) + 1, -1)
    column[kept] = np.arange(len(kept))
    place = np.where(codes >= 0, column[codes], -1)
    rows = np.flatnonzero(place >= 0)
    out[place[rows], rows] = 1.0
    out[:, codes == MISSING] = np.nan
    return out.T


def _looked_up(table: Float, codes: NDArray[np.int32]) -> Float:
    """Return the row of `table` for each code, column by column in memory: zeros for `OTHER`, NaN for `MISSING`."""
    assert (OTHER, MISSING) == (-2, -1)
    width = table.shape[1]
    columns = np.vstack([table, np.zeros((1, width)), np.full((1, width), np.nan)]).T
    return np.take(columns, codes, axis=1).T


def _plain(value: Any) -> Any:
    """Return a field as JSON can have it, with a tag where JSON has no such type."""
    if isinstance(value, Name | Number | Call):
        return {"expression": quoted(value)}
    if isinstance(value, Levels):
        return {"levels": list(value.values), "dates": value.dates}
    if isinstance(value, Coding):
        return {"coding": value.kind, "reference": value.reference}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _restored(value: Any) -> Any:
    """Undo `_plain`."""
    match value:
        case {"expression": text}:
            return expression(text)
        case {"levels": values, "dates": dates}:
            return Levels(tuple(values), dates)
        case {"coding": kind, "reference": reference}:
            return Coding(kind, reference)
        case list():
            return tuple(map(_restored, value))
    return value
