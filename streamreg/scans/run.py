"""Who reads the rows, and whether a bar shows how far it came."""

import os
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar, cast

from streamreg._version import __version__
from streamreg.design.design import Design
from streamreg.engines.base import Engine
from streamreg.engines.choose import choose
from streamreg.progress import Progress
from streamreg.scans.categories import coded
from streamreg.scans.checkpoint import Checkpoint
from streamreg.scans.faults import Faults, OnFault, patient
from streamreg.scans.fold import folded, require_reach
from streamreg.scans.partitions import Folded
from streamreg.scans.probes import listed
from streamreg.sources.base import Partition, Source
from streamreg.stats.base import Statistic
from streamreg.stats.provenance import Part, Record

S = TypeVar("S", bound=Statistic)
T = TypeVar("T", bound=Statistic)
Values = TypeVar("Values", bound=Sized)


@dataclass(frozen=True, slots=True)
class Run:
    """How every pass over the rows is carried out. Public functions make one, and those that they call share it.

    Attributes
    ----------
    engine : Engine
    progress : bool or None
        Whether to show a bar for each pass; None: on a terminal.
    memory : int or None
        Bytes that sums of groups or clusters may take up, where less than what is asked for them.
    checkpoint : Checkpoint or None
        Where passes are kept, to go on with them after a break.
    faults : Faults
        What is done about rows that cannot be read.
    """

    engine: Engine
    progress: bool | None = None
    memory: int | None = None
    checkpoint: Checkpoint | None = None
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def of(
        cls,
        threads: int | None = None,
        engine: Any = None,
        progress: bool | None = None,
        on_fault: OnFault | None = None,
    ) -> Self:
        """Return what these options ask for; a `Run` that is passed on as `engine` stays as it is.

        `on_fault`, if it is given, makes another one of it.

        Raises
        ------
        UsageError
            No such engine, no scheduler at the address, or threads for an engine that is not of threads.
        """
        run = engine if isinstance(engine, cls) else cls(choose(engine, threads), progress)
        return run if on_fault is None else replace(run, faults=Faults(on_fault))

    def bounded(self, memory: int) -> int:
        """Return how many bytes sums of groups may take up, of as many as were asked for."""
        return memory if self.memory is None else min(memory, self.memory)

    @contextmanager
    def saved_in(self, folder: str | os.PathLike[str] | None) -> Iterator[Self]:
        """Give a run whose passes are kept in a folder until the block ends; without a folder, this one.

        Raises
        ------
        UsageError
            Another process writes to the folder.
        """
        if folder is None:
            yield self
            return
        checkpoint = Checkpoint(folder)
        with checkpoint.running():
            yield replace(self, checkpoint=checkpoint)

    def scan(self, source: Source, design: Design, statistic: S, title: str) -> S:
        """Read every row once and return what `statistic` keeps of them; see `folded`."""
        return self.folded(source, design, statistic, title).state

    def folded(self, source: Source, design: Design, statistic: S, title: str, seal: bool = False) -> Folded[S]:
        """Read every row once and return what `statistic` keeps of them, and which rows they were.

        Parameters
        ----------
        source : Source
        design : Design
        statistic : Statistic
            An empty one.
        title : str
            What the bar says before the name of the source.
        seal : bool
            Whether checksums of what is read are written beside the source.
        """
        if (by_level := coded(source, design, statistic)) is None:
            found = self._folded(source, design, statistic, title, seal)
        else:
            sums = self._folded(by_level.source, by_level.design, by_level.statistic, title, seal)
            state: Any = by_level.moments(sums.state)
            found = cast("Folded[S]", replace(sums, state=state))
        found.state.record = _record(source, design, found)
        return found

    def _folded(self, source: Source, design: Design, statistic: T, title: str, seal: bool) -> Folded[T]:
        with self._bar(source, title) as bar:
            return folded(
                source,
                design,
                statistic,
                engine=self.engine,
                progress=bar,
                checkpoint=self.checkpoint,
                faults=self.faults,
                seal=seal,
            )

    def map(
        self, function: Callable[[Partition], Values], source: Source, columns: Sequence[str], title: str
    ) -> Iterator[tuple[int, Values]]:
        """Yield the number of the first row of each partition of a source, in order, and what a function makes of it.

        The function returns one value for each row.
        """
        partitions = [patient(part, source.label) for part in source.partitions(columns=columns)]
        require_reach(source, self.engine, partitions)
        with self._bar(source, title) as bar:
            for partition, values in zip(partitions, self.engine.map(function, partitions), strict=True):
                yield partition.start, values
                bar(len(values))

    def _bar(self, source: Source, title: str) -> Progress:
        return Progress(f"{title} {source.label}", source.schema.n_rows, shown=self.progress)


def _record(source: Source, design: Design, found: Folded[Any]) -> Record:
    """Return which rows a state was made of, and how they were read."""
    state = found.state
    lacking = sum(lack.stop - lack.start for lack in found.lacking)
    weightless = state.n_read - state.n - state.n_missing - found.filtered - lacking
    part = Part(
        source.label,
        source.fingerprint(),
        state.n_read,
        state.n_missing,
        weightless,
        listed(found.probes),
        __version__,
        found.filtered,
        tuple((start, stop, reason) for start, stop, reason in found.lacking),
        dict(state.missing_in),
    )
    return Record(
        (part,),
        design.features,
        design.target,
        design.weights,
        design.missing,
        design.powers,
        encoder=source.recipe(),
        where=source.where,
    )
