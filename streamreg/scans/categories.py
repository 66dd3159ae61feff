"""Categories of a formula: their columns are not written out; moments of them are made of sums by level."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.design.encoded import EncodedSource
from streamreg.design.formula.coders import Category
from streamreg.design.formula.encoder import FormulaEncoder, Product
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.levels.moments import AbsorbedMoments
from streamreg.stats.levels.written import Indicators, written
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]

FEW = 8
"""Columns of a category that are written out all the same."""

MANY = 2**16
"""Levels, or combinations of them, up to which there are sums for each, whether it occurs or not."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A scan for moments, with levels in place of columns.

    Attributes
    ----------
    source : EncodedSource
    design : Design
    statistic : AbsorbedMoments
        Empty.
    names : tuple of str
        The columns that are wanted.
    factors : tuple of Indicators
    """

    source: EncodedSource
    design: Design
    statistic: AbsorbedMoments
    names: tuple[str, ...]
    factors: tuple[Indicators, ...]

    def moments(self, state: Statistic) -> Moments:
        """Return the moments that were wanted, of what the scan kept."""
        assert isinstance(state, AbsorbedMoments)
        return written(state, self.names, self.factors)


def coded(source: Source, design: Design, statistic: Statistic) -> Coded | None:
    """Return another scan that gives the same moments in less time; None if there is no such.

    There is where a formula has a category, or a product of categories, with more columns than `FEW`.
    """
    if not isinstance(source, EncodedSource) or type(statistic) is not Moments or statistic.on_device:
        return None
    encoder = source.encoder
    if not isinstance(encoder, FormulaEncoder) or design.features != encoder.features or design.powers:
        return None
    factors, coded, at = [], [], 0
    for product in encoder.products:
        width = prod(len(encoder.coders[k].names(reduced)) for k, reduced in product.factors)
        if width > FEW and _plain(encoder, product):
            factors.append(_indicators(encoder, product, slice(at, at + width)))
            coded.append(product)
        at += width
    left = replace(encoder, products=tuple(p for p in encoder.products if p not in coded), coded=tuple(coded))
    if not coded or not (left.features or design.target):
        return None
    inner = EncodedSource(source.inner, left, source.learned)
    plan = replace(design, features=left.features, keys=(*left.keys, *design.keys))
    sizes = [factor.count if factor.count <= MANY else 0 for factor in factors]
    empty = AbsorbedMoments(plan.names, left.keys, design.target, design.weights is not None, sizes)
    return Coded(inner, plan, empty, design.names, tuple(factors))


def _plain(encoder: FormulaEncoder, product: Product) -> bool:
    categories: Iterable[Any] = (encoder.coders[k] for k, _ in product.factors)
    return product.scale == 1.0 and all(isinstance(one, Category) and "^" not in one.factor.text for one in categories)


def _indicators(encoder: FormulaEncoder, product: Product, at: slice) -> Indicators:
    """Return how the columns of a product depend on its levels; those of its first factor vary fastest."""
    parts = [(encoder.coders[k], reduced) for k, reduced in product.factors]
    count = 1
    kept: NDArray[np.intp] | None = np.zeros(1, np.intp)
    table: Float = np.ones((1, 1))
    for one, reduced in parts:
        assert isinstance(one, Category)
        own = one.kept(reduced)
        kept = None if kept is None or own is None else (own[:, None] * count + kept).ravel()
        count *= len(one.levels)
    if kept is not None:
        return Indicators(at, count, kept)
    for one, reduced in parts:
        assert isinstance(one, Category)
        table = np.kron(one.table(reduced), table).astype(np.float64)
    return Indicators(at, count, table=table)
