"""What the terms of a formula learn of the data, as a statistic of a scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.design.design import Design
from streamreg.design.formula.profile import Inquiry
from streamreg.sources.chunk import Chunk
from streamreg.stats.base import Statistic


@dataclass(frozen=True, slots=True)
class AsStored(Design):
    """Rows as they are stored, whatever their types."""

    def batch(self, chunk: Chunk) -> Batch:
        """Return the columns as they are."""
        read, chunk = len(chunk), chunk.passing()
        columns = {name: chunk.column(name) for name in self.features}
        kept = None if chunk.numbers is None else chunk.numbers - chunk.start
        return Batch(np.empty((len(chunk), 0)), None, None, chunk.start, read, kept=kept, columns=columns)


class Learning(Statistic):
    """Profiles of columns and expressions.

    Parameters
    ----------
    inquiry : Inquiry
        What to find out.
    label : str
        What errors call the data.
    """

    block_rows = 4096
    settles = False

    def __init__(self, inquiry: Inquiry, label: str) -> None:
        self.inquiry, self.label, self.profiles = inquiry, label, inquiry.profiles()

    def fresh(self) -> Self:
        """Return one that has seen no row."""
        return type(self)(self.inquiry, self.label)

    def _absorb(self, batch: Batch) -> None:
        self.inquiry.absorb(self.profiles, batch.columns, batch.start, self.label, batch.kept)

    def settle(self) -> None:
        """Count what waits."""
        for profile in self.profiles.values():
            profile.settle()

    def _join(self, other: Self) -> None:
        for key, profile in self.profiles.items():
            profile.merge(other.profiles[key])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Not saved: what was learned is kept with the terms."""
        raise NotImplementedError("what was learned is kept with the terms")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Not saved."""
        raise NotImplementedError("what was learned is kept with the terms")
