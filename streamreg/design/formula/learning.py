"""What terms learn of the data in a pass over it: levels, power sums, quantiles.

Each learner can be merged with its like, and the outcome has the same bits whatever the cuts between them: counts and
rational numbers add up exactly.
"""

from collections.abc import Mapping
from typing import Protocol, Self

from streamreg.sources.chunk import Column


class Learner(Protocol):
    """What is learned of some columns."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""

    def fresh(self) -> Self:
        """Return one that has seen no row."""

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Take in a block of rows, whose numbers are `rows`."""

    def join(self, other: Self) -> None:
        """Take in what another has learned of later rows."""
