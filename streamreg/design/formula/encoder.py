"""The columns of a design, from the terms of a formula: which codings keep full rank, and what each row holds."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.category import Category, Unseen
from streamreg.design.formula.formula import Formula
from streamreg.design.formula.learning import Learner
from streamreg.design.formula.numeric import Number, Place
from streamreg.design.formula.reading import KINDS, Factor
from streamreg.errors import UsageError
from streamreg.sources.chunk import Column

Float = NDArray[np.float64]

Piece = tuple[tuple[Factor, bool], ...]
"""Factors that are multiplied, and whether each is a category with one level left out."""

_WIDEST = 20_000  # columns


@dataclass(frozen=True)
class FormulaEncoder:
    """The terms of a formula with what was learned for them; see `streamreg.design.encoded.Encoder`.

    Attributes
    ----------
    text : str
        The formula.
    explained : Factor or None
    intercept : bool
    pieces : tuple of Piece
    absorbed : tuple of tuples of str
    aliases : dict of str to str
    """

    text: str
    explained: Factor | None
    intercept: bool
    pieces: tuple[Piece, ...]
    absorbed: tuple[tuple[str, ...], ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, formula: Formula, learned: Mapping[Factor, Factor]) -> Self:
        """Return the encoder of a formula whose factors are as they were learned.

        Raises
        ------
        UsageError
            It makes more columns than a regression can have.
        """
        explained = None if formula.target is None else learned[formula.target]
        terms = [tuple(learned[factor] for factor in term) for term in formula.terms]
        pieces = _full_rank(terms, formula.intercept or bool(formula.absorbed))
        made = cls(formula.text, explained, formula.intercept, pieces, formula.absorbed, dict(formula.aliases))
        if (width := sum(_width(piece) for piece in pieces)) > _WIDEST:
            raise UsageError(
                f"formula: {formula.text!r} makes {width:,} columns, and a regression has {_WIDEST:,} at most; absorb "
                "the factor with the most levels, or leave it out"
            )
        return made

    @cached_property
    def target(self) -> str | None:
        """The column to explain."""
        return None if self.explained is None else self._names(((self.explained, False),))[0]

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The columns of the design."""
        return tuple(name for piece in self.pieces for name in self._names(piece))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Those columns, the target among them, that are made of others."""
        return tuple(name for piece in self._made for name in self._names(piece))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What is read to make them."""
        return tuple(dict.fromkeys(self.aliases.get(name, name) for name in self._read))

    @cached_property
    def _read(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for piece in self._made for factor, _ in piece for name in factor.columns))

    @cached_property
    def _made(self) -> tuple[Piece, ...]:
        target: list[Piece] = [] if self.explained is None else [((self.explained, False),)]
        return tuple(piece for piece in (*self.pieces, *target) if not _plain(piece))

    def _names(self, piece: Piece) -> tuple[str, ...]:
        """Return the names of a product's columns, those of the first factor changing fastest."""
        each = [f.coded_names(reduced) if isinstance(f, Category) else f.names for f, reduced in piece]
        shown = [[self._shown(name) for name in names] for names in each]
        return tuple(":".join(reversed(names)) for names in itertools.product(*reversed(shown)))

    def _shown(self, name: str) -> str:
        """Put the columns' own names back, in backticks within an expression."""
        for mark, column in self.aliases.items():
            alone = name == mark or name.startswith(f"{mark}[")
            name = name.replace(mark, column if alone else f"`{column}`")
        return name

    def encode(
        self, columns: Mapping[str, Column], zones: Mapping[str, str], label: str, start: int
    ) -> tuple[Float, Float | None]:
        """Return the columns `names`, shape (m, len(names)); NaN where what they are made of is missing.

        Raises
        ------
        DataError
            A value that a term cannot take, with its row.
        """
        table = {name: columns[self.aliases.get(name, name)] for name in self._read}
        clocks = {name: zones[column] for name in table if (column := self.aliases.get(name, name)) in zones}
        place = Place(label, start, clocks)
        m = len(next(iter(table.values()))) if table else 0
        out = np.empty((len(self.names), m))
        at = 0
        known: dict[tuple[Factor, bool], Float] = {}
        for piece in self._made:
            for factor, reduced in piece:
                if (factor, reduced) not in known:
                    known[factor, reduced] = _values(factor, reduced, table, place)
            width = _width(piece)
            out[at : at + width] = _product([known[part] for part in piece]).T
            at += width
        return out.T, None

    def without_target(self) -> Self:
        """Return the same terms for rows to predict."""
        return dataclasses.replace(self, explained=None)

    def with_unseen(self, unseen: Unseen) -> Self:
        """Return the same terms with another treatment of levels that did not occur."""
        pieces = tuple(
            tuple((dataclasses.replace(f, unseen=unseen) if isinstance(f, Category) else f, r) for f, r in piece)
            for piece in self.pieces
        )
        return dataclasses.replace(self, pieces=pieces)

    @classmethod
    def joined(cls, several: Sequence[Self]) -> Self:
        """Return the terms of several encoders, each once.

        Raises
        ------
        UsageError
            Two of them learned different things of a term.
        """
        first = several[0]
        pieces = tuple(dict.fromkeys(piece for one in several for piece in one.pieces))
        aliases = {mark: column for one in several for mark, column in one.aliases.items()}
        text = " and ".join(dict.fromkeys(one.text for one in several))
        made = dataclasses.replace(first, text=text, pieces=pieces, aliases=aliases)
        twice = [name for name in made.features if made.features.count(name) > 1]
        if twice or any(aliases[mark] != column for one in several for mark, column in one.aliases.items()):
            raise UsageError(
                f"formulas {text}: the fits learned other levels, means or knots of {twice[0] if twice else 'a term'}; "
                "fit them to the same rows, or score them apart"
            )
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "formula": self.text,
            "target": None if self.explained is None else _to_dict(self.explained),
            "intercept": self.intercept,
            "pieces": [[[_to_dict(factor), reduced] for factor, reduced in piece] for piece in self.pieces],
            "absorbed": [list(several) for several in self.absorbed],
            "aliases": self.aliases,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Undo `to_dict`, from JSON's lists too."""
        return cls(
            values["formula"],
            None if values["target"] is None else _from_dict(values["target"]),
            values["intercept"],
            tuple(tuple((_from_dict(factor), reduced) for factor, reduced in piece) for piece in values["pieces"]),
            tuple(tuple(several) for several in values["absorbed"]),
            dict(values["aliases"]),
        )


def learners(formula: Formula) -> dict[Factor, Learner | None]:
    """Return the factors of a formula, and what each has to learn."""
    found = [*([] if formula.target is None else [formula.target]), *(f for term in formula.terms for f in term)]
    return {factor: factor.learns() for factor in found}


def _full_rank(terms: Sequence[tuple[Factor, ...]], intercept: bool) -> tuple[Piece, ...]:
    """Return the products of factors that span what the terms do, with as few columns.

    A category spans the constant and its contrasts. The products of these that earlier terms have are left out, and
    the others are put together again where one is the other times a contrast (the rule of patsy and formulaic).
    """
    spanned: set[frozenset[tuple[Factor, bool]]] = {frozenset()} if intercept else set()
    pieces: list[Piece] = []
    for term in terms:
        choices = [
            (((factor, True), None) if isinstance(factor, Category) and factor.spans else ((factor, False),))
            for factor in dict.fromkeys(term)
        ]
        span = [tuple(part for part in product if part is not None) for product in itertools.product(*choices)]
        new = [piece for piece in span if frozenset(piece) not in spanned]
        spanned.update(frozenset(piece) for piece in new)
        pieces.extend(_together(new))
    return tuple(piece for piece in pieces if piece)


def _together(pieces: Sequence[Piece]) -> list[Piece]:
    """Put pieces together: ``a`` and ``a`` times a contrast of b are ``a`` times all levels of b."""
    out: list[Piece] = []
    for piece in sorted(pieces, key=len):
        for other in out:
            more = set(piece) - set(other)
            if len(piece) != len(other) + 1 or len(more) != 1:
                continue
            (factor, reduced) = next(iter(more))
            if reduced:
                whole = tuple((f, False) if f == factor else (f, r) for f, r in piece)
                out = _together([*(p for p in out if p != other), whole])
                break
        else:
            out.append(piece)
    return out


def _plain(piece: Piece) -> bool:
    return len(piece) == 1 and isinstance(piece[0][0], Number) and piece[0][0].plain


def _width(piece: Piece) -> int:
    out = 1
    for factor, reduced in piece:
        out *= factor.width(reduced) if isinstance(factor, Category) else len(factor.names)
    return out


def _values(factor: Factor, reduced: bool, table: Mapping[str, Column], place: Place) -> Float:
    return factor.coded(table, reduced, place) if isinstance(factor, Category) else factor.values(table, place)


def _product(parts: Sequence[Float]) -> Float:
    """Return the products of columns, those of the first part changing fastest."""
    out = parts[0]
    for part in parts[1:]:
        out = (part[:, :, None] * out[:, None, :]).reshape(len(out), -1)
    return out


def _to_dict(factor: Factor) -> dict[str, Any]:
    kind = next(name for name, known in KINDS.items() if isinstance(factor, known))
    return {"kind": kind, **{f.name: getattr(factor, f.name) for f in dataclasses.fields(factor)}}


def _from_dict(values: Mapping[str, Any]) -> Any:
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if name != "kind"}
    return KINDS[values["kind"]](**given)
