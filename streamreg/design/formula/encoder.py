"""A formula that has learned all it needs: columns of numbers out of columns of any type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import learning
from streamreg.design.formula.block import Block
from streamreg.design.formula.coders import Category, Coder, Interacted, Numeric
from streamreg.design.formula.expressions import Call, walk
from streamreg.design.formula.functions import SCALING
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.levels import Unseen
from streamreg.design.formula.passes import Profiled, learned
from streamreg.design.formula.rows import Rows, missing
from streamreg.design.formula.smooth import BSpline, NaturalSpline, Polynomial, Powers
from streamreg.design.formula.structure import Part, parts
from streamreg.design.formula.value import Formula
from streamreg.errors import UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.sources.base import Schema
from streamreg.sources.chunk import Column

Float = NDArray[np.float64]

MOST_COLUMNS = 100_000
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
        Places in `Encoder.coders`, and whether each is reduced.
    scale : float
    """

    factors: Part
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Columns of a formula.

    Attributes
    ----------
    formula : Formula
    coders : tuple of Coder
        The factors.
    products : tuple of Product
        What the columns are made of, in their order.
    scalings : dict
        What center(x) and scale(x) have learned.
    zones : dict of str to str
        Time zones of columns.
    unseen : {"error", "reference", "own"}
        What to do with levels that were not there; see `levels.Unseen`.
    """

    formula: Formula
    coders: tuple[Coder, ...]
    products: tuple[Product, ...]
    scalings: dict[str, learning.Scaling] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    unseen: Unseen = "error"

    @classmethod
    def learn(
        cls,
        formula: Formula | str,
        schema: Schema,
        profiled: Profiled,
        *,
        unseen: Unseen = "error",
        label: str = "rows",
    ) -> Self:
        """Learn levels, means and knots.

        Parameters
        ----------
        formula : Formula or str
        schema : Schema
            Types of the columns.
        profiled : callable
            Given an `Inquiry`, reads the rows once and returns the profiles. Called once for most formulas, not at
            all where nothing has to be known, and more often where one term that learns is within another one.
        """
        found = formula if isinstance(formula, Formula) else parse(formula)
        if found.dot:
            found = parse(found.text, schema.names)
        if unseen not in ("error", "reference", "own"):
            raise UsageError(f"unseen={unseen!r}; it is 'error', 'reference' or 'own'")
        for name in found.columns:
            schema.require(name, label)
        if found.target is not None:
            learning.check(found.target, schema, label, number=True)
            if any(isinstance(part, Call) and part.function in SCALING for part in walk(found.target)):
                raise UsageError(
                    f"{label}: {found.target.text} as the target: it would depend on the rows that are fitted"
                )
        for factor in found.factors.values():
            learning.check(factor, schema, label)
        scalings, profiles = learned(found, schema, profiled)
        coders = tuple(learning.coder(factor, profiles, schema) for factor in found.factors.values())
        place = {text: k for k, text in enumerate(found.factors)}
        terms = [tuple(place[factor.text] for factor in term.factors) for term in found.terms]
        made = parts(terms, [coder.spans for coder in coders], found.intercept or bool(found.absorb))
        products = tuple(
            Product(part, term.scale) for term, some in zip(found.terms, made, strict=True) for part in some
        )
        zones = {name: zone for name, zone in schema.zones.items() if name in found.columns}
        encoder = cls(found, coders, products, scalings, zones, unseen)
        if encoder.width > MOST_COLUMNS:
            raise UsageError(
                f"{label}: {found.text} has {encoder.width:,} columns; absorb the category with the most levels, as in "
                "'y ~ x | plane'"
            )
        return encoder

    @property
    def intercept(self) -> bool:
        """Whether there is an intercept beside the columns; an absorbed part stands for it."""
        return self.formula.intercept and not self.formula.absorb

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the terms read."""
        return tuple(dict.fromkeys(name for coder in self.coders for name in coder.columns))

    @property
    def width(self) -> int:
        """The number of columns made."""
        sizes = {(k, r): len(self.coders[k].names(r)) for product in self.products for k, r in product.factors}
        return sum(prod(sizes[factor] for factor in product.factors) for product in self.products)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns made, as formulaic has them: ``C(g)[T.b]``, ``log(x)``, ``a:b``."""
        out: list[str] = []
        for product in self.products:
            made = [""]
            for k, reduced in product.factors:
                inner = self.coders[k].names(reduced)
                made = [f"{before}:{name}" if before else name for name in inner for before in made]
            out += made if product.factors else []
        return tuple(out)

    def values(
        self,
        columns: Mapping[str, Column],
        start: int = 0,
        kept: NDArray[np.int64] | None = None,
        used: NDArray[np.bool_] | None = None,
        label: str = "rows",
    ) -> tuple[Float, Float | None]:
        """Return the columns made of some rows, shape (m, p), and what they lack to the exact values.

        Parameters
        ----------
        columns : mapping of str to Column
            Those in `columns`; of one length, which is m.
        start, kept
            Where the rows are, for messages: see `rows.Rows`.
        used : bool ndarray of shape (m,), optional
            Rows that will be used if nothing is missing in them. In others, and where something is missing, nothing is
            refused.

        Returns
        -------
        high : float64 ndarray of shape (m, p)
            NaN where a value is missing.
        low : float64 ndarray of shape (m, p) or None

        Raises
        ------
        DataError
            A level that was not seen, a number outside of splines, log(0) and the like; with row, column and value.
        """
        absent = [missing(columns[name]) for name in self.columns if name in columns]
        complete = ~np.logical_or.reduce(absent) if absent else None
        if used is not None:
            complete = used if complete is None else complete & used
        rows = Rows(columns, self.scalings, self.zones, start, kept, complete, label)
        known: dict[tuple[int, bool], Block] = {}
        blocks = []
        for product in self.products:
            made: Block | None = None
            for k, reduced in product.factors:
                if (k, reduced) not in known:
                    known[k, reduced] = self.coders[k].block(rows, reduced, self.unseen)
                made = known[k, reduced] if made is None else made.times(known[k, reduced])
            if made is not None:
                blocks.append(made.scaled(product.scale))
        m = len(next(iter(columns.values()))) if columns else 0
        if not blocks:
            return np.empty((m, 0)), None
        high = np.hstack([block.high for block in blocks])
        if all(block.low is None for block in blocks):
            return high, None
        low = np.hstack([np.zeros_like(block.high) if block.low is None else block.low for block in blocks])
        low[~np.isfinite(high)] = 0.0
        return high, low

    def target_values(
        self,
        columns: Mapping[str, Column],
        start: int = 0,
        kept: NDArray[np.int64] | None = None,
        label: str = "rows",
    ) -> dd.DD:
        """Return what is explained, as (high, low), each of shape (m,)."""
        if self.formula.target is None:
            raise UsageError(f"{label}: the formula {self.formula.text!r} says nothing left of ~")
        return Rows(columns, self.scalings, self.zones, start, kept, label=label).pair(self.formula.target)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, to be stored with a fit."""
        return {
            "formula": self.formula.to_dict(),
            "coders": [coder.to_dict() for coder in self.coders],
            "products": [{"factors": [list(f) for f in p.factors], "scale": p.scale} for p in self.products],
            "scalings": {text: list(values) for text, values in self.scalings.items()},
            "zones": dict(self.zones),
            "unseen": self.unseen,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Undo `to_dict`; formulaic is not needed for it."""
        products = [
            Product(tuple((int(k), bool(reduced)) for k, reduced in p["factors"]), float(p["scale"]))
            for p in values["products"]
        ]
        return cls(
            Formula.from_dict(values["formula"]),
            tuple(KINDS[coder["kind"]].from_dict(coder) for coder in values["coders"]),
            tuple(products),
            {text: (float(a), float(b), float(c)) for text, (a, b, c) in values["scalings"].items()},
            dict(values["zones"]),
            values["unseen"],
        )
