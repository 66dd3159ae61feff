"""A formula that has learned all it needs: columns of numbers out of columns of any type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.block import Block, beside
from streamreg.design.formula.coders import Category, Coder, Interacted, Numeric
from streamreg.design.formula.expressions import Name
from streamreg.design.formula.learning import Scaling
from streamreg.design.formula.levels import Unseen, combined
from streamreg.design.formula.rows import Rows
from streamreg.design.formula.smooth import BSpline, NaturalSpline, Polynomial, Powers
from streamreg.design.formula.structure import Part
from streamreg.design.formula.value import Formula
from streamreg.errors import UsageError
from streamreg.sources.chunk import Column, missing

Float = NDArray[np.float64]

KINDS: dict[str, type[Coder]] = {
    kind.__name__: kind for kind in (Numeric, Category, Interacted, Polynomial, Powers, BSpline, NaturalSpline)
}
"""The kinds of factors, by the names under which they are stored."""


@dataclass(frozen=True, slots=True)
class Product:
    """A term, or a part of one: a product of factors, times a number.

    Attributes
    ----------
    factors : tuple of (int, bool)
        Places in `FormulaEncoder.coders`, and whether each is reduced.
    scale : float
    """

    factors: Part
    scale: float = 1.0


@dataclass(frozen=True)
class FormulaEncoder:
    """The terms of a formula with what was learned for them; see `streamreg.design.encoded.Encoder`.

    Attributes
    ----------
    formula : Formula
    coders : tuple of Coder
        The factors.
    products : tuple of Product
        What the columns are made of, in their order.
    explained : Coder or None
        The target.
    stored : tuple of str
        Columns of numbers, which are read as they are.
    scalings : dict
        What center(x) and scale(x) have learned.
    unseen : {"error", "reference", "own", "missing"}
        What to do with levels that were not there; see `levels.Unseen`.
    coded : tuple of Product
        Products of categories of which `codes` says who has which level, in place of columns.
    eliminated : tuple of str
        Columns whose levels are absorbed, as those after ``|`` are, because there are so many.
    """

    formula: Formula
    coders: tuple[Coder, ...]
    products: tuple[Product, ...]
    explained: Coder | None = None
    stored: tuple[str, ...] = ()
    scalings: dict[str, Scaling] = field(default_factory=dict)
    unseen: Unseen = "error"
    coded: tuple[Product, ...] = ()
    eliminated: tuple[str, ...] = ()

    text = property(lambda self: self.formula.text, doc="The formula.")

    @property
    def intercept(self) -> bool:
        """Whether there is an intercept."""
        return self.formula.intercept or bool(self.eliminated)

    @property
    def absorbed(self) -> tuple[tuple[str, ...], ...]:
        """What comes after ``|``, see `Formula.absorb`, and what is eliminated."""
        return tuple(dict.fromkeys((*self.formula.absorb, *((name,) for name in self.eliminated))))

    @property
    def target(self) -> str | None:
        """The column to explain."""
        return None if self.explained is None else self.explained.factor.text

    @property
    def width(self) -> int:
        """The number of features."""
        sizes = {(k, r): len(self.coders[k].names(r)) for product in self.products for k, r in product.factors}
        return sum(prod(sizes[factor] for factor in product.factors) for product in self.products)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the columns of the design, as formulaic has them: ``C(g)[T.b]``, ``log(x)``, ``a:b``."""
        return tuple(name for product in self.products for name in self.named(product))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Those columns that are made of others, and the target if it is."""
        return tuple(name for product in self._made for name in self.named(product)) + self._made_target

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read: also those that only tell in which rows a value is missing."""
        coders = [*self.coders, *([] if self.explained is None else [self.explained])]
        absorbed = [name for some in self.absorbed for name in some if self.explained is not None]
        return tuple(dict.fromkeys([*(name for coder in coders for name in coder.columns), *absorbed]))

    @cached_property
    def replaced(self) -> tuple[str, ...]:
        """Columns of dates whose numbers have the same name."""
        return tuple(name for name in self.names if name in self.columns)

    @cached_property
    def _made(self) -> tuple[Product, ...]:
        return tuple(product for product in self.products if not self._is_stored(product))

    @cached_property
    def _made_target(self) -> tuple[str, ...]:
        return () if self.target is None or self._stored(self.explained) else (self.target,)

    def _is_stored(self, product: Product) -> bool:
        ((k, _), *others) = product.factors
        return not others and product.scale == 1.0 and self._stored(self.coders[k])

    def _stored(self, coder: Coder | None) -> bool:
        return isinstance(coder, Numeric) and isinstance(coder.factor, Name) and coder.factor.text in self.stored

    def named(self, product: Product) -> Iterable[str]:
        """Return the names of the columns of a product."""
        made = [""]
        for k, reduced in product.factors:
            inner = self.coders[k].names(reduced)
            made = [f"{before}:{name}" if before else name for name in inner for before in made]
        return made

    def encode(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str],
        place: str,
        start: int,
        passed: NDArray[np.bool_] | None = None,
    ) -> tuple[Float, Float | None]:
        """Return the columns `names` of some rows, and what they lack to the exact values.

        Parameters
        ----------
        columns : mapping of str to Column
            Those in `columns`, of one length, which is m.
        zones : mapping of str to str
            Time zones of columns.
        place, start : str, int
            The name of the data and the number of the first row, for messages.
        passed : bool ndarray of shape (m,), optional
            Rows that a filter lets pass; what others give is not looked at.

        Returns
        -------
        high : float64 ndarray of shape (m, len(names))
            NaN where a value is missing.
        low : float64 ndarray of the same shape, or None where nothing is lacking

        Raises
        ------
        DataError
            A level that was not seen, a number outside of splines, log(0) and the like, with row, column and value.
            Rows in which something is missing are not looked at.
        """
        target = bool(self._made_target)
        rows = self._rows(columns, zones, place, start, passed) if self._made or target else None
        return beside(self._blocks(self._made, rows, target), len(next(iter(columns.values()))) if columns else 0)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the products of categories of which `codes` says who has which level."""
        return tuple("levels of " + ":".join(self.coders[k].factor.text for k, _ in p.factors) for p in self.coded)

    def codes(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str],
        place: str,
        start: int,
        passed: NDArray[np.bool_] | None = None,
    ) -> dict[str, NDArray[np.int64]]:
        """Return for each of `keys` the number of the combination of levels in each row, shape (m,).

        Levels of the first factor vary fastest. The least int64 stands for a missing value. Parameters and errors are
        those of `encode`.
        """
        if not self.coded:
            return {}
        rows, found = self._rows(columns, zones, place, start, passed), {}
        for name, product in zip(self.keys, self.coded, strict=True):
            parts = []
            for k, _ in product.factors:
                category = self.coders[k]
                assert isinstance(category, Category)
                parts.append((category.codes(rows, self.unseen), len(category.levels)))
            found[name] = combined(parts)
        return found

    def design(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str] | None = None,
        place: str = "rows",
        start: int = 0,
        passed: NDArray[np.bool_] | None = None,
    ) -> tuple[Float, Float | None]:
        """Return the columns `features` of some rows: those that `encode` makes, and the stored ones."""
        rows = self._rows(columns, zones or {}, place, start, passed) if self.products else None
        return beside(self._blocks(self.products, rows), len(next(iter(columns.values()))) if columns else 0)

    def _blocks(self, products: Sequence[Product], rows: Rows | None, target: bool = False) -> list[Block]:
        if rows is None:
            return []
        known: dict[tuple[int, bool], Block] = {}
        blocks = []
        for product in products:
            made: Block | None = None
            for k, reduced in product.factors:
                if (k, reduced) not in known:
                    known[k, reduced] = self.coders[k].block(rows, reduced, self.unseen)
                made = known[k, reduced] if made is None else made.times(known[k, reduced])
            assert made is not None
            blocks.append(made.scaled(product.scale))
        if target and self.explained is not None:
            blocks.append(self.explained.block(rows, False, self.unseen))
        return blocks

    def _rows(
        self,
        columns: Mapping[str, Column],
        zones: Mapping[str, str],
        place: str,
        start: int,
        passed: NDArray[np.bool_] | None = None,
    ) -> Rows:
        absent = [missing(columns[name]) for name in self.columns if name in columns]
        complete = passed
        if absent:
            every = ~np.logical_or.reduce(absent)
            complete = every if passed is None else every & passed
        return Rows(columns, self.scalings, zones, start, None, complete, place)

    def without_target(self) -> Self:
        """Return the same terms for rows to predict."""
        return replace(self, explained=None)

    def with_unseen(self, unseen: Unseen) -> Self:
        """Return the same terms with another treatment of levels that did not occur."""
        if unseen not in get_args(Unseen):
            raise UsageError(f"unseen={unseen!r}; it is one of {', '.join(map(repr, get_args(Unseen)))}")
        return replace(self, unseen=unseen)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, to be stored with a fit."""
        return {
            "formula": self.formula.to_dict(),
            "coders": [coder.to_dict() for coder in self.coders],
            "products": [{"factors": [list(f) for f in p.factors], "scale": p.scale} for p in self.products],
            "explained": None if self.explained is None else self.explained.to_dict(),
            "stored": list(self.stored),
            "scalings": {text: list(values) for text, values in self.scalings.items()},
            "eliminated": list(self.eliminated),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Undo `to_dict`; formulaic is not needed for it."""
        products = [
            Product(tuple((int(k), bool(reduced)) for k, reduced in p["factors"]), float(p["scale"]))
            for p in values["products"]
        ]
        explained = values["explained"]
        return cls(
            Formula.from_dict(values["formula"]),
            tuple(KINDS[coder["kind"]].from_dict(coder) for coder in values["coders"]),
            tuple(products),
            None if explained is None else Numeric.from_dict(explained),
            tuple(values["stored"]),
            {text: (float(a), float(b), float(c)) for text, (a, b, c) in values["scalings"].items()},
            eliminated=tuple(values.get("eliminated", ())),
        )
