"""The first pass of a generalised linear model: where Newton's method begins, and what is a fact of the rows alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families import family
from streamreg.families.base import Family
from streamreg.kernels import doubledouble as dd
from streamreg.stats.moments import Moments
from streamreg.stats.response import Response, row_of
from streamreg.stats.tree import BlockTree, unchanged


class OpeningMoments(Moments):
    """Moments of the features and of the response that the first step fits by least squares.

    The response is the target itself, which makes the first Newton step from a model without slopes; or the working
    response at a mean close to each target (McCullagh & Nelder 1989, *Generalized Linear Models*, section 2.5), with
    its working weights. Targets that the family cannot have are refused.

    Notes
    -----
    Cost: that of `Moments`.
    """

    family = ""
    working = False
    frequency = False
    broken = ""

    @classmethod
    def of(
        cls, names: Sequence[str], family: str, working: bool, device: str | None = None, frequency: bool = False
    ) -> Self:
        """Return an empty statistic over the features and, last, the target of a family."""
        return cls(names, device=device)._about(family, working, frequency)

    def _about(self, family: str, working: bool, frequency: bool) -> Self:
        self.family, self.working, self.frequency = family, working, frequency
        self._facts: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)
        return self

    def fresh(self) -> Self:
        """Return an empty statistic over the same columns."""
        return super().fresh()._about(self.family, self.working, self.frequency)

    def lengthened(self, factor: int) -> Self:
        """Return an empty statistic over the same columns, with longer blocks."""
        return super().lengthened(factor)._about(self.family, self.working, self.frequency)

    @property
    def target_mean(self) -> float:
        """Mean of the target, by the rows' own weights."""
        sums = self._facts.total()
        return float(dd.divide(dd.take(sums, 1), dd.take(sums, 0))[0])

    @property
    def choices(self) -> float:
        """Sum of the rows' `Family.choices`; NaN if any of them is."""
        return float(self._facts.total()[0][2])

    @property
    def own_weight(self) -> float:
        """Sum of the rows' own weights, trials not counted."""
        return float(self._facts.total()[0][3])

    @property
    def offset_mean(self) -> float:
        """Mean of the offsets, by the rows' own weights."""
        sums = self._facts.total()[0]
        return float(sums[4] / sums[0])

    @property
    def fractions(self) -> int:
        """How many counts are not whole numbers; the first of them is in the row that `broken` says."""
        return int(self._facts.total()[0][5])

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.names[-1])
        y, prior = found.y, found.prior
        fractions = np.zeros(len(y), bool)
        if facts.whole or found.trials is not None:
            counts = found.counts
            fractions = np.abs(counts - np.rint(counts)) > 1e-9 * np.maximum(counts, 1.0)
            if fractions.any() and not self.broken:
                self.broken = row_of(batch, int(np.argmax(fractions)))
        offset = 0.0 if found.offset is None else float(prior @ found.offset)
        own = found.choices(facts, self.frequency).sum()
        sums = np.array([prior.sum(), prior @ y, own, found.own.sum(), offset, fractions.sum()])
        self._facts.push(batch.start // self.block_rows, dd.from_float(sums))
        super()._absorb(_working(batch, facts, found) if self.working else self._rows(batch, found))

    def _rows(self, batch: Batch, found: Response) -> Batch:
        return batch if found.trials is None else replace(batch, y=found.y, weight=found.prior)

    def _join(self, other: Self) -> None:
        super()._join(other)
        self._facts.join(other._facts.nodes)
        self.broken = self.broken or other.broken

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: those of the moments, and one row of sums for each node of the tree."""
        nodes = self._facts.nodes
        return super().to_arrays() | {
            "opening": np.array(json.dumps({n: getattr(self, n) for n in ("family", "working", "frequency")})),
            "broken": np.array(self.broken),
            "facts.place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "facts.sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 6),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        self = super().from_arrays(arrays)._about(**json.loads(str(arrays["opening"])))
        pairs = zip(arrays["facts.place"].tolist(), arrays["facts.sums"], strict=True)
        self._facts.join((level, index, (high, low)) for (level, index), (high, low) in pairs)
        self.broken = str(arrays["broken"])
        return self


def _working(batch: Batch, facts: Family, found: Response) -> Batch:
    """Return the rows with working response and weights at the family's starting mean."""
    mean = facts.start(found.y)
    information = facts.information(mean)
    response = facts.linked(mean) + (found.y - mean) / facts.slope(mean)
    if found.offset is not None:
        response = response - found.offset
    return replace(batch, y=response, weight=found.prior * information)
