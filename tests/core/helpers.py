"""Small sources that watch or disturb a scan."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk


class Counting(Source):
    """Wrap a source and count how often each row is delivered."""

    def __init__(self, inner: Source) -> None:
        self.inner, self.schema, self.label, self.roles = inner, inner.schema, inner.label, inner.roles
        self.one_pass = inner.one_pass
        self.reads = np.zeros(inner.schema.n_rows or 0, dtype=int)

    def partitions(self, block: int = 1024, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        return [_Counted(p, self.reads) for p in self.inner.partitions(block, columns)]

    def fingerprint(self) -> str:
        return self.inner.fingerprint()


@dataclass
class _Counted(Partition):
    inner: Partition
    reads: np.ndarray

    @property
    def start(self) -> int:
        return self.inner.start

    @property
    def stop(self) -> int | None:
        return self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        for chunk in self.inner.chunks(rows):
            self.reads[chunk.start : chunk.start + len(chunk)] += 1
            yield chunk


class Cut(Source):
    """The rows of an array, cut into the partitions and chunks that a test asks for."""

    def __init__(self, inner: Source, partitions: Sequence[int], chunks: Sequence[int]) -> None:
        self.inner, self.schema, self.label, self.roles = inner, inner.schema, inner.label, inner.roles
        self.borders, self.sizes = partitions, chunks

    def partitions(self, block: int = 1024, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        n = self.schema.n_rows or 0
        borders = sorted({0, n, *(b for b in self.borders if 0 < b < n)})
        (whole,) = self.inner.partitions(block, columns)
        return [_Piece(whole, a, b, tuple(self.sizes)) for a, b in pairwise(borders)]

    def fingerprint(self) -> str:
        return "cut"


@dataclass
class _Piece(Partition):
    whole: Partition
    start: int
    stop: int
    sizes: tuple[int, ...]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        (everything,) = self.whole.chunks(10**9)
        at, k = self.start, 0
        while at < self.stop:
            to = min(self.stop, at + self.sizes[k % len(self.sizes)])
            # A reader may use one buffer again and again: the consumer must not keep views of it.
            matrix = everything.matrix[at:to].copy()
            vectors = {name: v[at:to].copy() for name, v in everything.vectors.items()}
            yield Chunk(at, matrix, everything.names, vectors)
            matrix.fill(0)
            for vector in vectors.values():
                vector.fill(0)
            at, k = to, k + 1


def disturbed(source: Source, action: Callable[[], None]) -> Source:
    """Return `source`, doing `action` once its partitions are asked for."""
    other = copy.copy(source)
    plain = source.partitions

    def partitions(block: int = 1024, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        found = plain(block, columns)
        action()
        return found

    other.partitions = partitions  # type: ignore[method-assign]  # a test double
    return other
