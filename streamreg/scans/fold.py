"""The one loop over a source: partitions are folded apart, and their states merged in row order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from streamreg.design.design import Design
from streamreg.design.encoded import makes, watched
from streamreg.engines.base import Engine
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, CorruptError, DataError, UsageError
from streamreg.scans.checkpoint import Checkpoint, Pass, restored, waiting
from streamreg.scans.probes import Later, Marks, marking, places
from streamreg.scans.seal import Sums, beside
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk
from streamreg.stats.base import Statistic

S = TypeVar("S", bound=Statistic)
Progress = Callable[[int], None]
Place = tuple[Partition, bool, bool]
"""A partition, and whether hashes of its first and of its last row are kept."""


@dataclass(slots=True)
class Folded(Generic[S]):
    """All that comes of some rows.

    Attributes
    ----------
    state : Statistic
    head, tail : list of Chunk
        Rows that do not fill a block at either end; they wait for their neighbours.
    rows : int
        How many rows were read.
    at_borders : int
        How many of them waited for neighbours.
    filtered : int
        How many of them a filter did not let pass.
    marks : dict of int to (int, str)
        Hashes of a few rows; see `streamreg.scans.probes`.
    sums : Sums or None
        Checksums of all rows, if there is a seal to compare them with.
    """

    state: S
    head: list[Chunk] = field(default_factory=list)
    tail: list[Chunk] = field(default_factory=list)
    rows: int = 0
    at_borders: int = 0
    filtered: int = 0
    marks: Marks = field(default_factory=dict)
    sums: Sums | None = None


def fold(
    source: Source,
    design: Design,
    statistic: S,
    *,
    threads: int | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> S:
    """Read every row once and return what `statistic` keeps of them; see `folded`."""
    return folded(source, design, statistic, engine=engine or Threads(threads), progress=progress).state


def folded(
    source: Source,
    design: Design,
    statistic: S,
    *,
    engine: Engine,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Folded[S]:
    """Read every row once and return what `statistic` keeps of them, and which rows they were.

    Parameters
    ----------
    source : Source
    design : Design
        Which columns, in which role.
    statistic : Statistic
        An empty statistic; it is not changed.
    engine : Engine
        Who works on the partitions. The result has the same bits for any engine and any number of workers.
    progress : callable, optional
        Called with the number of rows done since the last call.
    checkpoint : Checkpoint, optional
        Where it is kept how far the pass came; it goes on from there.

    Raises
    ------
    ChangedError
        The source's fingerprint after the scan is not the one before it.
    DataError
        The source has no rows, or bad ones.
    """
    before = source.fingerprint()
    blocks = statistic.block_rows
    if engine.in_process and checkpoint is None:  # a checkpoint needs all sums of what is done, and no others
        statistic = statistic.shared()
    seal = beside(source)
    total = Folded(statistic.fresh(), sums=None if seal is None else Sums(seal.rows))
    partitions = source.partitions(blocks, design.columns)
    require_reach(source, engine, partitions)
    parts = list(zip(partitions, *places(len(partitions)), strict=True))
    kept = None if checkpoint is None else checkpoint.next(source, design, statistic, len(parts))
    done = 0 if kept is None else _restore(kept, total, statistic)
    if progress is not None and done:
        progress(total.rows)
    size = engine.share(parts) if statistic.associative else 1
    shares = [parts[k : k + size] for k in range(done, len(parts), size)]
    work = partial(_fold_partitions, design=design, statistic=statistic, sealed=None if seal is None else seal.rows)
    whole = True  # so long as no partition is added up by half
    try:
        for share, run in zip(shares, engine.map(work, shares), strict=True):
            whole = False
            _append(total, run, design, blocks, first=True)
            done, whole = done + len(share), True
            if kept is not None and kept.due and done < len(parts):
                _keep(kept, total, done)
            if progress is not None:
                progress(run.rows)
    except KeyboardInterrupt:  # also of SIGTERM
        if kept is not None and done and whole:
            _keep(kept, total, done)
        raise
    if not total.rows:
        raise DataError(f"{source.label}: no rows")
    if total.filtered == total.rows and not isinstance(source, Later):
        raise DataError(f"{source.label}: of {total.rows:,} rows none passes where={source.where!r}")
    if source.fingerprint() != before:
        raise ChangedError(
            f"{source.label} changed while it was read; nothing was computed. Let the writer finish, then run again"
        )
    if seal is not None and total.sums is not None:
        seal.check(source.label, total.sums)
    if kept is not None and shares:
        _keep(kept, total, done)
    for chunk in _joined(total.tail):
        total.state.update(design.batch(chunk))
    total.state.settle()
    total.state.gather()
    return total


def _keep(kept: Pass, total: Folded[Any], done: int) -> None:
    """Write down how far a pass came."""
    marks = [[row, count, mark] for row, (count, mark) in total.marks.items()]
    values: dict[str, Any] = {"done": done, "rows": total.rows, "marks": marks}
    values |= {"at_borders": total.at_borders, "filtered": total.filtered}
    kept.save(total.state, values, total.tail, {} if total.sums is None else total.sums.to_arrays())


def _restore(kept: Pass, total: Folded[Any], statistic: Statistic) -> int:
    """Put what was kept of a pass into `total`, and return how many partitions are done.

    Nothing is taken of a pass that did not keep the checksums which the seal of the data is compared with.

    Raises
    ------
    CorruptError
        What was kept makes no sense.
    """
    found = kept.load()
    if found is None:
        return 0
    values, arrays = found
    sums = {name.removeprefix("sums."): array for name, array in arrays.items() if name.startswith("sums.")}
    if total.sums is not None and not sums:
        return 0
    try:
        total.state, total.tail = restored(statistic, arrays, values), waiting(arrays, values)
        total.rows, total.at_borders = int(values["rows"]), int(values["at_borders"])
        total.filtered = int(values["filtered"])
        total.marks = {row: (count, mark) for row, count, mark in values["marks"]}
        done = int(values["done"])
        if total.sums is not None:
            total.sums.take(sums)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(
            f"{kept.path}: was edited ({error}); remove {str(kept.path.parent)!r} to begin again"
        ) from error
    return done


def require_reach(source: Source, engine: Engine, partitions: Sequence[Partition]) -> None:
    """Make sure that the workers of an engine can read a source.

    Raises
    ------
    UsageError
        Its rows are made by an iterator or a function of this process.
    DataError
        A worker cannot read the file; the message says which.
    """
    if engine.in_process:
        return
    if source.schema.n_rows is None:
        raise UsageError(
            f"{source.label}: its rows are made in this process, and the engine is of other processes; leave out "
            "engine, or write the rows to a file that the workers can read"
        )
    if partitions:
        engine.check(_first_rows, partitions[0], source.label)


def _first_rows(partition: Partition) -> None:
    """Read the first rows of a partition."""
    next(partition.chunks(1), None)


def _fold_partitions(parts: Sequence[Place], *, design: Design, statistic: S, sealed: int | None = None) -> Folded[S]:
    """Fold consecutive partitions into one state."""
    first, *rest = parts
    total = _fold_partition(first, design=design, statistic=statistic, sealed=sealed)
    for part in rest:
        run = _fold_partition(part, design=design, statistic=statistic, sealed=sealed)
        _append(total, run, design, statistic.block_rows, first=False)
    total.state.settle()
    return total


def _fold_partition(part: Place, *, design: Design, statistic: S, sealed: int | None = None) -> Folded[S]:
    partition, first, last = part
    run = Folded(statistic.fresh(), sums=None if sealed is None else Sums(sealed))
    size = statistic.block_rows
    chunks = partition.chunks(size)
    if run.sums is not None:
        whole = makes(partition)
        watch = partial(run.sums.of, columns=None if whole else design.columns)
        chunks = watched(partition, watch).chunks(size) if whole else watch(chunks)
    for chunk in _blocks(marking(chunks, design.columns, first, last, run.marks), size):
        run.rows += len(chunk)
        run.filtered += chunk.filtered
        if chunk.start % size == 0 and len(chunk) == size:
            if chunk.read:
                run.state.update(design.batch(chunk))
            else:
                run.state.n_read += size
            continue
        run.at_borders += len(chunk)
        (run.tail if chunk.start % size == 0 else run.head).append(chunk.owned())
    run.state.settle()
    return run


def _append(total: Folded[S], run: Folded[S], design: Design, size: int, *, first: bool) -> None:
    """Add the next rows, which follow those of `total` without a gap.

    `first`: whether no rows come before those of `total`, so that none of them wait for such.
    """
    total.rows += run.rows
    total.at_borders += run.at_borders
    total.filtered += run.filtered
    total.marks |= run.marks
    if total.sums is not None and run.sums is not None:
        total.sums.merge(run.sums)
    if run.head and not (first or total.tail):  # all rows so far lie in a block that began before them
        total.head += run.head
    elif run.head:
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
            piece = chunk.cut(at, stop)
            complete = (chunk.start + stop) % size == 0
            if waiting or not complete:
                waiting.append(piece.owned() if not complete else piece)
            if complete:
                yield from _joined(waiting or [piece])
                waiting = []
            at = stop
    yield from _joined(waiting)


def _joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return consecutive chunks as one, or nothing if there are none."""
    return [Chunk.joined(chunks)] if chunks else []
