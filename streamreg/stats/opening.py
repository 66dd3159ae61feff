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
from streamreg.stats.facts import Facts
from streamreg.stats.moments import Moments
from streamreg.stats.response import Response


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

    @classmethod
    def of(
        cls, names: Sequence[str], family: str, working: bool, device: str | None = None, frequency: bool = False
    ) -> Self:
        """Return an empty statistic over the features and, last, the target of a family."""
        return cls(names, device=device)._about(family, working, frequency)

    def _about(self, family: str, working: bool, frequency: bool) -> Self:
        self.family, self.working, self.frequency = family, working, frequency
        self.facts = Facts(frequency)
        return self

    def fresh(self) -> Self:
        """Return an empty statistic over the same columns."""
        return super().fresh()._about(self.family, self.working, self.frequency)

    def lengthened(self, factor: int) -> Self:
        """Return an empty statistic over the same columns, with longer blocks."""
        return super().lengthened(factor)._about(self.family, self.working, self.frequency)

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.names[-1])
        self.facts.absorb(batch, facts, found, batch.start // self.block_rows)
        super()._absorb(_working(batch, facts, found) if self.working else self._rows(batch, found))

    def _rows(self, batch: Batch, found: Response) -> Batch:
        return batch if found.trials is None else replace(batch, y=found.y, weight=found.prior)

    def _join(self, other: Self) -> None:
        super()._join(other)
        self.facts.join(other.facts)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: those of the moments, and one row of sums for each node of the tree."""
        return (
            super().to_arrays()
            | {"opening": np.array(json.dumps({n: getattr(self, n) for n in ("family", "working", "frequency")}))}
            | self.facts.to_arrays()
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        self = super().from_arrays(arrays)._about(**json.loads(str(arrays["opening"])))
        self.facts = Facts.from_arrays(arrays)
        return self


def _working(batch: Batch, facts: Family, found: Response) -> Batch:
    """Return the rows with working response and weights at the family's starting mean."""
    mean = facts.start(found.y)
    information = facts.information(mean)
    response = facts.linked(mean) + (found.y - mean) / facts.slope(mean)
    if found.offset is not None:
        response = response - found.offset
    return replace(batch, y=response, weight=found.prior * information)
