"""A pass for absorbed factors, and what the algebra makes of it."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.design.leaving import Leaving
from streamreg.errors import DataError, OnePassError
from streamreg.scans.run import Run
from streamreg.solve.absorb import Absorbed, Factor, absorb
from streamreg.sources.base import Source
from streamreg.stats.chan import Centred
from streamreg.stats.levels.moments import AbsorbedMoments
from streamreg.stats.levels.within import Lookup, Within, WithinLevels

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(slots=True)
class Eliminated:
    """What a pass found, and what the algebra made of it.

    Attributes
    ----------
    state : AbsorbedMoments
    total : Centred
    levels, rows, weights : lists of arrays, one for each factor
    texts : list of str
        Names of all levels, one factor after the other; empty for numbers.
    found : Absorbed
    dropped : int
        Rows that were left out, as they were alone in a level.
    """

    state: AbsorbedMoments
    total: Centred
    levels: list[Int]
    rows: list[Int]
    weights: list[Float]
    texts: list[str]
    found: Absorbed
    dropped: int = 0

    @classmethod
    def of(cls, state: AbsorbedMoments) -> "Eliminated":
        """Take the effects out of the moments of a pass."""
        total, count = state.total(), len(state.factors)
        levels, rows, weights, sums = map(list, zip(*(state.levels(f) for f in range(count)), strict=True))
        pairs = {(f, g): state.pairs(f, g) for g in range(count) for f in range(g)}
        texts = [text for f in range(count) for text in state.texts(f)]
        state.release()
        factors = [Factor(*each) for each in zip(state.factors, weights, sums, strict=True)]
        return cls(state, total, levels, rows, weights, texts, absorb(total.cross, factors, pairs))

    def effects(self) -> list[Float]:
        """Return the effects of each factor on each column, shape (L, q), in the units of the data."""
        return [np.ldexp(part, self.total.exponent) for part in self.found.effects]

    def within(self, more: list[Float] | None = None) -> Within:
        """Return what is to be taken from the rows of the next pass."""
        each = zip(self.state.factors, self.levels, more or self.effects(), strict=True)
        return Within(self.total.mean[0], tuple(Lookup.of(*parts) for parts in each))


def read(
    design: Design, source: Source, factors: tuple[str, ...], run: Run, singletons: str
) -> tuple[Design, Eliminated, int]:
    """Read the rows, and once more without singletons if there are any that are to be dropped.

    Returns the design of later passes, the moments less the effects of factors, and the passes taken.
    """
    empty = AbsorbedMoments(design.names, factors, design.target, design.weights is not None)
    state = run.scan(source, design, empty, "scan")
    gone = state.singletons() if singletons == "drop" else ()
    if not any(map(len, gone)):
        return design, Eliminated.of(state), 1
    if source.one_pass:
        raise OnePassError(
            f"{source.label}: leaving out {sum(map(len, gone)):,} levels of one row takes a second pass, and its rows "
            "can be read only once; keep them (they change no slope), or pass rows that can be read again"
        )
    if all(len(levels) == len(state.levels(f)[0]) for f, levels in enumerate(gone)):
        raise DataError(f"{source.label}: every row is alone in a level of {', '.join(factors)}, so none is left")
    state.release()
    design = dataclasses.replace(design, leaving=Leaving(gone))
    first = Eliminated.of(run.scan(source, design, empty, "scan without singletons of"))
    return design, dataclasses.replace(first, dropped=state.n - first.state.n), 2


def scanned(design: Design, source: Source, factors: tuple[str, ...], run: Run, within: Within) -> Eliminated:
    """Read the rows less effects that are known already, and take the effects of factors out of their moments."""
    empty = AbsorbedMoments(design.names, factors, design.target, design.weights is not None)
    return Eliminated.of(run.scan(source, design, WithinLevels(empty, within), "second pass over").inner)
