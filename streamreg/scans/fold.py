"""The one loop over a source: partitions are folded apart, and their states merged in row order."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar

from streamreg.design.design import Design
from streamreg.engines.base import Engine
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, CorruptError, DataError, UsageError
from streamreg.kernels.blas import one_thread
from streamreg.scans.checkpoint import Checkpoint, Pass, restored, waiting
from streamreg.scans.faults import Faults, Lack
from streamreg.scans.partitions import Folded, Recipe, absorb, append, fold_partitions
from streamreg.scans.probes import Later, places
from streamreg.scans.seal import beside, require_unsealed, write
from streamreg.scans.sums import Sums
from streamreg.sources.base import Partition, Source
from streamreg.stats.base import Statistic

S = TypeVar("S", bound=Statistic)
Progress = Callable[[int], None]


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
    faults: Faults | None = None,
    seal: bool = False,
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
    faults : Faults, optional
        What to do about rows that cannot be read; default: the pass fails.
    seal : bool
        Whether checksums of what is read are written beside the source.

    Raises
    ------
    ChangedError
        The source's fingerprint after the scan is not the one before it.
    DataError
        The source has no rows, or bad ones.
    """
    before = source.fingerprint()
    blocks = statistic.block_rows
    faults = faults or Faults()
    faults.require_able(source)
    # A checkpoint, and a pass that leaves partitions out, need all sums of what is done, and no others.
    if engine.in_process and checkpoint is None and not faults.skip:
        statistic = statistic.shared()
    sealed = beside(source)
    if seal:
        require_unsealed(source, sealed)
    summed = seal or sealed is not None
    most = None if sealed is None else sealed.rows
    total = Folded(statistic.fresh(), sums=Sums(most) if summed else None)
    partitions = source.partitions(blocks, design.columns)
    require_reach(source, engine, partitions)
    parts = list(zip(partitions, *places(len(partitions)), strict=True))
    saved = None if checkpoint is None else checkpoint.next(source, design, statistic, len(parts))
    done = 0 if saved is None else _restore(saved, total, statistic)
    if total.lacking and not faults.skip:
        raise UsageError(
            f"{source.label}: the pass that was broken off left out {total.lacking[0]}; go on with on_fault='skip', or "
            f"remove {str(saved.path.parent) if saved else ''!r} to begin again"
        )
    if progress is not None and done:
        progress(total.stop - total.start)
    size = engine.share(parts, source.nbytes()) if statistic.associative else 1
    shares = [parts[k : k + size] for k in range(done, len(parts), size)]
    known = faults.of(source)
    recipe = Recipe(design, statistic, summed, most, source.label, faults.skip, known)
    work = partial(fold_partitions, recipe=recipe)
    whole = True  # so long as no partition is added up by half
    try:
        for share, run in zip(shares, engine.map(work, _prefetched(shares, engine)), strict=True):
            whole = False
            with one_thread():  # what is added up here has the bits of what workers add up
                append(total, run, design, blocks, first=True)
            done, whole = done + len(share), True
            if saved is not None and saved.due and done < len(parts):
                _save(saved, total, done)
            if progress is not None:
                progress(run.stop - run.start)
    except KeyboardInterrupt:  # also of SIGTERM
        if saved is not None and done and whole:
            _save(saved, total, done)
        raise
    if total.lacking and not total.rows:
        raise CorruptError(f"{source.label}: none of its rows could be read; {total.lacking[0]}")
    if not total.rows:
        raise DataError(f"{source.label}: no rows")
    if total.filtered == total.rows and not isinstance(source, Later):
        raise DataError(f"{source.label}: of {total.rows:,} rows none passes where={source.where!r}")
    if source.fingerprint() != before:
        raise ChangedError(
            f"{source.label} changed while it was read; nothing was computed. Let the writer finish, then run again"
        )
    if sealed is not None and total.sums is not None:
        sealed.check(source.label, total.sums)
    if seal and total.sums is not None:
        if total.lacking:
            raise CorruptError(f"{source.label}: is not sealed, as it lacks {total.lacking[0]}")
        write(source, total.sums)
    if saved is not None and shares:
        _save(saved, total, done)
    with one_thread():
        absorb(total.state, design, total.tail)
        total.state.settle()
    total.state.gather()
    faults.note(source, total.lacking, statistic.settles)
    if total.lacking:
        total.state.n_read = total.stop - total.start
    return total


def _prefetched(shares: list[list[Any]], engine: Engine) -> Iterator[list[Any]]:
    """Yield what tasks are made of, and have the system begin to read the next one: the disk works beside the workers.

    Threads are handed some tasks beforehand, so what is read for one of them is most often there when its turn comes.
    """
    for share, after in zip_longest(shares, shares[1:], fillvalue=()):
        if engine.in_process:
            for part in after:
                part[0].prefetch()
        yield list(share)


def _save(saved: Pass, total: Folded[Any], done: int) -> None:
    """Write down how far a pass came."""
    probes = [[row, count, hash_] for row, (count, hash_) in total.probes.items()]
    values: dict[str, Any] = {"done": done, "rows": total.rows, "probes": probes}
    values |= {"at_borders": total.at_borders, "filtered": total.filtered}
    values |= {"start": total.start, "stop": total.stop, "lacking": total.lacking}
    saved.save(total.state, values, total.tail, {} if total.sums is None else total.sums.to_arrays())


def _restore(saved: Pass, total: Folded[Any], statistic: Statistic) -> int:
    """Put what was kept of a pass into `total`, and return how many partitions are done.

    Nothing is taken of a pass that did not keep the checksums which the seal of the data is compared with.

    Raises
    ------
    CorruptError
        What was kept makes no sense.
    """
    found = saved.load()
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
        total.probes = {row: (count, hash_) for row, count, hash_ in values["probes"]}
        total.start, total.stop = int(values["start"]), int(values["stop"])
        total.lacking = [Lack(int(a), int(b), str(reason)) for a, b, reason in values["lacking"]]
        done = int(values["done"])
        if total.sums is not None:
            total.sums.take(sums)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(
            f"{saved.path}: was edited ({error}); remove {str(saved.path.parent)!r} to begin again"
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
