"""Some ranges of the rows of a source, read once and held in memory."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk

Map = Callable[[Callable[[Partition], list[Chunk]], Iterable[Partition]], Iterator[list[Chunk]]]


@dataclass(slots=True)
class HeldPartition(Partition):
    """Consecutive rows that lie in memory."""

    start: int
    stop: int
    held: list[Chunk]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, as they were read."""
        yield from self.held


class HeldSource(Source):
    """Ranges of the rows of another source, which keep their numbers.

    Parameters
    ----------
    inner : Source
    partitions : sequence of HeldPartition
    """

    in_memory = True

    def __init__(self, inner: Source, partitions: Sequence[HeldPartition]) -> None:
        self.roles, self._partitions = copy.copy(inner.roles), partitions
        self.label = f"a sample of {inner.label}"
        self.schema = replace(inner.schema, n_rows=sum(part.stop - part.start for part in partitions))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the ranges."""
        return self._partitions

    def fingerprint(self) -> str:
        """Return the same text always: what is held does not change."""
        return "held"


def held(source: Source, ranges: Sequence[tuple[int, int]], columns: Sequence[str], run: Map) -> HeldSource | None:
    """Read ranges of the rows of a source; None where it does not know at which row its partitions begin.

    Partitions without a row that is asked for are not read, and those of storages that are cut anywhere in part only.

    Parameters
    ----------
    source : Source
    ranges : sequence of (int, int)
        First row, and the one after the last: in order, apart from each other.
    columns : sequence of str
    run : callable
        Maps a function over partitions, as engines do.
    """
    parts: list[Partition] = []
    for part in source.partitions(columns=columns):
        if part.stop is None:
            return None
        both = ((max(a, part.start), min(b, part.stop)) for a, b in ranges)
        parts += [part.cut(a, b) for a, b in both if a < b]
    found: dict[int, HeldPartition] = {}
    for part, chunks in zip(parts, run(_read, parts), strict=True):
        assert part.stop is not None
        begin = next(a for a, b in ranges if a <= part.start < b)
        place = found.setdefault(begin, HeldPartition(begin, part.stop, []))
        place.held += chunks
        place.stop = part.stop
    return HeldSource(source, list(found.values()))


def _read(part: Any) -> list[Chunk]:
    """Return the rows of a partition in memory of their own, as one chunk."""
    chunks = [chunk.owned() for chunk in part.chunks(BLOCK)]
    return [Chunk.joined(chunks)] if chunks else []
