"""A source whose rows are made on the fly: as many as one likes, and no disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from streamreg.sources.base import BLOCK, Partition, Roles, Schema, Source
from streamreg.sources.chunk import Chunk

ROWS = 2**14
"""Rows that are made once and shifted, so that making them costs next to nothing beside their products."""


@lru_cache(maxsize=4)
def pool(columns: int, seed: int) -> Any:
    rows = np.random.default_rng(seed).normal(size=(2 * ROWS, columns))
    rows[:, -1] += rows[:, :-1].sum(axis=1)
    return rows


@dataclass(slots=True)
class MadePartition(Partition):
    start: int
    stop: int
    columns: int
    seed: int

    def chunks(self, rows: int) -> Iterator[Chunk]:
        table = pool(self.columns, self.seed)
        names = (*tuple(f"x{k}" for k in range(self.columns - 1)), "y")
        at = self.start
        while at < self.stop:
            stop = min(self.stop, (at // rows + 1) * rows)
            place = (at // rows * 7919 + at % rows) % ROWS
            yield Chunk(at, table[place : place + stop - at], names)
            at = stop


class Made(Source):
    """So many rows of normal numbers; the last column is the sum of the others, and noise.

    Parameters
    ----------
    rows, columns : int
    partitions : int
        They are of about the same length, and end at multiples of a block where that leaves enough of them.
    """

    def __init__(self, rows: int, columns: int, partitions: int, seed: int = 0) -> None:
        self.label, self._seed, self._count = f"{rows:,} rows made on the fly", seed, partitions
        names = (*tuple(f"x{k}" for k in range(columns - 1)), "y")
        self.schema = Schema(names, (np.dtype(float),) * columns, rows)
        self.roles = Roles(target="y")

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        rows, width = self.schema.n_rows or 0, len(self.schema.names)
        step = max(1, round(rows / self._count / block)) * block
        return [MadePartition(a, min(a + step, rows), width, self._seed) for a in range(0, rows, step)]

    def fingerprint(self) -> str:
        return f"made {self.schema.n_rows} {len(self.schema.names)} {self._seed}"
