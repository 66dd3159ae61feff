"""The one loop over a source: partitions are folded apart, and their states merged in row order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from streamreg.design import Design
from streamreg.engines.threads import ordered_map
from streamreg.errors import ChangedError, DataError
from streamreg.sources.base import Chunk, Partition, Source
from streamreg.stats.base import Statistic

S = TypeVar("S", bound=Statistic)
Progress = Callable[[int], None]


@dataclass(slots=True)
class _Run(Generic[S]):
    """A partition's rows, folded. Rows that do not fill a block at either border wait for their neighbours."""

    state: S
    head: list[Chunk] = field(default_factory=list)
    tail: list[Chunk] = field(default_factory=list)
    rows: int = 0


def fold(
    source: Source,
    design: Design,
    statistic: S,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> S:
    """Read every row once and return what `statistic` keeps of them.

    Parameters
    ----------
    source : Source
    design : Design
        Which columns, in which role.
    statistic : Statistic
        An empty statistic; it is not changed.
    threads : int, optional
        Workers; default: the processors of this process. The result has the same bits for any number.
    progress : callable, optional
        Called with the number of rows done since the last call.

    Raises
    ------
    ChangedError
        The source's fingerprint after the scan is not the one before it.
    DataError
        The source has no rows, or bad ones.
    """
    before = source.fingerprint()
    blocks = statistic.block_rows
    total = _Run(statistic.fresh())
    work = partial(_fold_partition, design=design, statistic=statistic)
    for run in ordered_map(work, source.partitions(), threads):
        _append(total, run, design, blocks)
        if progress is not None:
            progress(run.rows)
    if not total.rows:
        raise DataError(f"{source.label}: no rows")
    if source.fingerprint() != before:
        raise ChangedError(
            f"{source.label} changed while it was read; nothing was computed. Let the writer finish, then run again"
        )
    for chunk in _joined(total.tail):
        total.state.update(design.batch(chunk))
    total.state.settle()
    return total.state


def _fold_partition(partition: Partition, *, design: Design, statistic: S) -> _Run[S]:
    run = _Run(statistic.fresh())
    size = statistic.block_rows
    for chunk in _blocks(partition.chunks(size), size):
        run.rows += len(chunk)
        if chunk.start % size == 0 and len(chunk) == size:
            run.state.update(design.batch(chunk))
        elif chunk.start % size == 0:
            run.tail.append(_owned(chunk))
        else:
            run.head.append(_owned(chunk))
    run.state.settle()
    return run


def _append(total: _Run[S], run: _Run[S], design: Design, size: int) -> None:
    """Add the next rows. Those of `total` are followed without a gap, so it has no head."""
    total.rows += run.rows
    if run.head:
        total.tail += run.head
        last = total.tail[-1]
        if (last.start + len(last)) % size == 0:
            for chunk in _joined(total.tail):
                total.state.update(design.batch(chunk))
            total.tail = []
    total.state.merge(run.state)
    total.tail += run.tail


def _blocks(chunks: Iterator[Chunk], size: int) -> Iterator[Chunk]:
    """Cut and join chunks so that they end at multiples of `size`, counted from row 0 of the source."""
    waiting: list[Chunk] = []
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            row = chunk.start + at
            stop = min(len(chunk), at + size - row % size)
            piece = _cut(chunk, at, stop)
            complete = (chunk.start + stop) % size == 0
            if waiting or not complete:
                waiting.append(_owned(piece) if not complete else piece)
            if complete:
                yield from _joined(waiting or [piece])
                waiting = []
            at = stop
    yield from _joined(waiting)


def _cut(chunk: Chunk, start: int, stop: int) -> Chunk:
    vectors = {name: v[start:stop] for name, v in chunk.vectors.items()}
    return Chunk(chunk.start + start, chunk.matrix[start:stop], chunk.names, vectors)


def _owned(chunk: Chunk) -> Chunk:
    """Copy a chunk out of its reader's buffer."""
    return Chunk(chunk.start, chunk.matrix.copy(), chunk.names, {name: v.copy() for name, v in chunk.vectors.items()})


def _joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return consecutive chunks as one, or nothing if there are none."""
    if len(chunks) <= 1:
        return list(chunks)
    first = chunks[0]
    vectors = {name: np.concatenate([c.vectors[name] for c in chunks]) for name in first.vectors}
    return [Chunk(first.start, np.concatenate([c.matrix for c in chunks]), first.names, vectors)]
