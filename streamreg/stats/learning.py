"""What the terms of a formula learn of the data, as a statistic of a scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.design.design import Design
from streamreg.design.formula.learning import Learner
from streamreg.sources.chunk import Chunk
from streamreg.stats.base import Statistic


@dataclass(frozen=True, slots=True)
class AsStored(Design):
    """Rows as they are stored, whatever their types."""

    def batch(self, chunk: Chunk) -> Batch:
        """Return the columns as they are."""
        columns = {name: chunk.column(name) for name in self.features}
        return Batch(np.empty((len(chunk), 0)), None, None, chunk.start, len(chunk), columns=columns)


class Learning(Statistic):
    """Several learners, each of some columns.

    Parameters
    ----------
    learners : sequence of Learner
        Empty ones.
    zones : mapping of str to str
        Time zones of columns.
    label : str
        What errors call the data.
    aliases : mapping of str to str
        Columns by the names that the learners have for them.
    """

    block_rows = 4096

    def __init__(
        self, learners: Sequence[Learner], zones: Mapping[str, str], label: str, aliases: Mapping[str, str]
    ) -> None:
        self.learners, self.zones = [one.fresh() for one in learners], dict(zones)
        self.label, self.aliases = label, dict(aliases)

    def fresh(self) -> Self:
        """Return one that has seen no row."""
        return type(self)(self.learners, self.zones, self.label, self.aliases)

    def _absorb(self, batch: Batch) -> None:
        rows = slice(batch.start, batch.start + batch.read)
        columns = batch.columns | {mark: batch.columns[c] for mark, c in self.aliases.items() if c in batch.columns}
        for learner in self.learners:
            learner.add(columns, self.zones, self.label, rows)

    def _join(self, other: Self) -> None:
        for learner, more in zip(self.learners, other.learners, strict=True):
            learner.join(more)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Not saved: what was learned is kept with the terms."""
        raise NotImplementedError("what was learned is kept with the terms")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Not saved."""
        raise NotImplementedError("what was learned is kept with the terms")
