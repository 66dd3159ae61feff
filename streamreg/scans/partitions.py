"""Partitions folded into states, each alone, and joined where a block of rows lies on both sides of a border."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from streamreg.design.batch import Batch
from streamreg.design.design import Design
from streamreg.design.encoded import makes, watched
from streamreg.scans.faults import Lack, Unreadable, cut, patient
from streamreg.scans.probes import Probes, probing
from streamreg.scans.sums import Sums
from streamreg.sources.base import Partition
from streamreg.sources.chunk import Chunk
from streamreg.stats.base import Statistic

S = TypeVar("S", bound=Statistic)
Place = tuple[Partition, bool, bool]
"""A partition, and whether hashes of its first and of its last row are kept."""


@dataclass(slots=True)
class Folded(Generic[S]):
    """All that comes of some rows.

    Attributes
    ----------
    state : Statistic
    start, stop : int
        Which rows these are: the first one, and the one after the last.
    head, tail : list of Chunk
        Rows that do not fill a block at either end; they wait for their neighbours.
    rows : int
        How many rows were read.
    lacking : list of Lack
        Which ones could not be read.
    at_borders : int
        How many of them waited for neighbours.
    filtered : int
        How many of them a filter did not let pass.
    probes : dict of int to (int, str)
        Hashes of a few rows; see `streamreg.scans.probes`.
    sums : Sums or None
        Checksums of all rows, if there is a seal to compare them with.
    """

    state: S
    start: int = 0
    stop: int = 0
    head: list[Chunk] = field(default_factory=list)
    tail: list[Chunk] = field(default_factory=list)
    rows: int = 0
    lacking: list[Lack] = field(default_factory=list)
    at_borders: int = 0
    filtered: int = 0
    probes: Probes = field(default_factory=dict)
    sums: Sums | None = None


@dataclass(frozen=True, slots=True)
class Recipe(Generic[S]):
    """What is done with each partition; it travels to the workers.

    Attributes
    ----------
    design : Design
    statistic : Statistic
        An empty one.
    summed : bool
        Whether checksums are taken, as there is a seal to compare them with, or to be one.
    most : int or None
        Of how many rows they are; None: of all.
    label : str
        The source's.
    skip : bool
        Whether partitions are left out that cannot be read.
    known : tuple of Lack
        Rows that are left out in any case.
    """

    design: Design
    statistic: S
    summed: bool = False
    most: int | None = None
    label: str = "rows"
    skip: bool = False
    known: tuple[Lack, ...] = ()


def fold_partitions(parts: Sequence[Place], *, recipe: Recipe[S]) -> Folded[S]:
    """Fold consecutive partitions into one state."""
    runs = (run for part in parts for run in _fold_partition(part, recipe))
    total = next(runs)
    for run in runs:
        append(total, run, recipe.design, recipe.statistic.block_rows, first=False)
    total.state.settle()
    return total


def _fold_partition(part: Place, recipe: Recipe[S]) -> Iterator[Folded[S]]:
    """Yield the states of a partition: one, or those of the rows before, between and after such as lack.

    Where some are damaged the halves are tried, down to blocks, so that no more is left out than those.
    """
    partition, first, last = part
    size = recipe.statistic.block_rows
    pieces = cut(partition, recipe.known)
    while pieces:
        piece = pieces.pop(0)
        if isinstance(piece, Lack):
            yield Folded(recipe.statistic.fresh(), piece.start, piece.stop, lacking=[piece])
            continue
        try:
            yield fold_rows(piece, first and piece.start == partition.start, last, recipe)
        except Unreadable as fault:
            assert piece.stop is not None, "asked for before"
            middle = (piece.start + piece.stop + size) // (2 * size) * size
            if piece.start < middle < piece.stop and not fault.whole:
                pieces[:0] = [piece.cut(piece.start, middle), piece.cut(middle, piece.stop)]
            else:
                pieces.insert(0, Lack(piece.start, piece.stop, str(fault)))


def fold_rows(partition: Partition, first: bool, last: bool, recipe: Recipe[S]) -> Folded[S]:
    """Fold a partition; `first` and `last`: whether hashes of its first and last rows are kept.

    Raises
    ------
    Unreadable
        It cannot be read, and is to be left out.
    """
    sums = Sums(recipe.most) if recipe.summed else None
    run = Folded(recipe.statistic.fresh(), partition.start, partition.start, sums=sums)
    design, size = recipe.design, recipe.statistic.block_rows
    partition = patient(partition, recipe.label, recipe.skip)
    chunks = partition.chunks(size)
    if run.sums is not None:
        whole = makes(partition)  # a seal is of what the columns are made of
        watch = partial(run.sums.of, columns=None if whole else design.columns)
        chunks = watched(partition, watch).chunks(size) if whole else watch(chunks)
    for chunk in _blocks(probing(chunks, design.columns, first, last, run.probes), size):
        run.rows, run.stop = run.rows + len(chunk), chunk.start + len(chunk)
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


def append(total: Folded[S], run: Folded[S], design: Design, size: int, *, first: bool) -> None:
    """Add the next rows, which follow those of `total` without a gap.

    `first`: whether no rows come before those of `total`, so that none of them wait for such.
    """
    if not (total.rows or total.lacking):
        total.start = total.stop = run.start
    total.rows += run.rows
    for lack in run.lacking:
        if total.lacking and total.lacking[-1].stop == lack.start and total.lacking[-1].reason == lack.reason:
            total.lacking[-1] = total.lacking[-1]._replace(stop=lack.stop)
        else:
            total.lacking.append(lack)
    total.at_borders += run.at_borders
    total.filtered += run.filtered
    total.probes |= run.probes
    if total.sums is not None and run.sums is not None:
        total.sums.merge(run.sums)
    block = total.stop // size * size
    if total.stop > block and block < total.start and not first:  # all rows so far lie in a block that began before
        total.head += run.head
    else:
        total.tail += run.head
        if total.stop > block and run.stop >= block + size:
            absorb(total.state, design, total.tail)
            total.tail = []
    total.state.merge(run.state)
    total.tail += run.tail
    total.stop = run.stop


def absorb(state: Statistic, design: Design, pieces: Sequence[Chunk]) -> None:
    """Give a statistic the rows of a block, of which some may lack."""
    runs: list[list[Chunk]] = []
    for chunk in pieces:
        if runs and runs[-1][-1].start + len(runs[-1][-1]) == chunk.start:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    batches = [design.batch(Chunk.joined(run)) for run in runs]
    if batches:
        state.update(batches[0] if len(batches) == 1 else Batch.joined(batches))


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
