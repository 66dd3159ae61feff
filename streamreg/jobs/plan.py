"""What a job would do, found out without reading a row."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from streamreg.engines.threads import available_threads
from streamreg.jobs.budget import ARROW, Budget, Table, Use, budget, footer
from streamreg.jobs.checks import check_recipe, checked, outputs
from streamreg.jobs.job import Job
from streamreg.jobs.sections import Cluster
from streamreg.jobs.shared import Shared
from streamreg.models.base import Model
from streamreg.models.needs import Needs
from streamreg.reporting import tables
from streamreg.sources.base import Source
from streamreg.tools.inspect import size

_COLUMNAR = 2**24  # bytes that decoding a row group holds, as measured


@dataclass(frozen=True, slots=True)
class Step:
    """One fit of a plan; `passes` is the greatest number if `at_most` is true."""

    name: str
    kind: str
    passes: int
    at_most: bool


@dataclass(frozen=True, slots=True)
class Levels:
    """How many levels of a column a fit has room for, about, and the memory that they may take up, in bytes."""

    name: str
    by: str
    room: int
    memory: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would do.

    Attributes
    ----------
    job, data : str
        The job file and the data file.
    exists : bool
        Whether the data file is there; if not, it is generated first.
    rows : int or None
    columns : int
        The target and weights among them.
    nbytes : int or None
        What one pass delivers.
    fits : tuple of Step
    shared : tuple of str
        Fits whose first pass is one and the same.
    passes : int
        At most, all fits, scores and predictions together.
    comparisons : tuple of (str, str)
    scorings : tuple of tuple of str
        The baseline first.
    peak_memory : int
        Expected, in bytes; lines by level apart.
    peak_memory_before_training : int or None
        The same without the fits that train with Keras, and without the library that it runs on; None without training.
    memory : int or None
        Bytes that the job may take up, if it has a bound.
    use : Use
        How memory is spent; with a bound, sums of levels and clusters are in it.
    threads : int
        Workers; fewer than asked for where more would not keep to the bound.
    levels : tuple of Levels
        What lines by level may take up, for how many levels nobody knows beforehand.
    outputs : tuple of str
        Files that would be written.
    engine : str
        Who would work on the rows.
    where : str
        The condition that rows must meet, if there is one.
    """

    job: str
    data: str
    exists: bool
    rows: int | None
    columns: int
    nbytes: int | None
    fits: tuple[Step, ...]
    shared: tuple[str, ...]
    passes: int
    comparisons: tuple[tuple[str, str], ...]
    scorings: tuple[tuple[str, ...], ...]
    peak_memory: int
    peak_memory_before_training: int | None
    memory: int | None
    use: Use
    threads: int
    levels: tuple[Levels, ...]
    outputs: tuple[str, ...]
    engine: str
    where: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        atmost = "at most " if any(step.at_most for step in self.fits) else ""
        facts = [
            ("rows", "not known" if self.rows is None else f"{self.rows:,}"),
            ("columns", f"{self.columns:,}"),
            ("one pass delivers", "not known" if self.nbytes is None else size(self.nbytes)),
            ("passes", f"{atmost}{self.passes}"),
        ]
        if self.peak_memory_before_training is None:
            facts.append(("expected peak memory", f"about {size(self.peak_memory)}"))
        else:
            facts.append(("peak before training", f"about {size(self.peak_memory_before_training)}"))
            facts.append(("peak with training", f"about {size(self.peak_memory)}"))
        if self.memory is not None:
            facts += [("memory", f"at most {size(self.memory)}"), ("threads", f"{self.threads:,}")]
        title = f"Plan of {self.job}\n{self.data} {'is there' if self.exists else 'will be generated'}"
        lines = [(s.name, s.kind, f"at most {s.passes}" if s.at_most else str(s.passes)) for s in self.fits]
        notes = [f"Rows are used where {self.where}."] if self.where else []
        notes += [f"Rows are read by {self.engine}."] if "thread" not in self.engine else []
        notes += [f"The first pass is the same for {', '.join(self.shared)}."] if self.shared else []
        notes += [
            f"{at.name}: up to about {at.room:,} levels of {at.by}, which may take {size(at.memory)} more."
            for at in self.levels
        ]
        notes += [f"Memory: {self.use}."]
        notes += [f"Compare {a} with {b}." for a, b in self.comparisons]
        notes += [f"Score {', '.join(names)}." for names in self.scorings]
        notes += [f"Write {name}." for name in self.outputs]
        return tables.render(title, facts, ("fit", "kind", "passes"), lines, notes)


def plan(job: Job) -> Plan:
    """Find out what `job` would do. Opens the file if it is there, and reads no row.

    Raises
    ------
    NotFound
        The file is not there, and the job does not say how to generate it.
    ConfigError
        The file is there, and is not the one that the job would generate.
    DataError, UsageError
        A column is not there, or the file is damaged.
    """
    data, recipe = job.data, job.data.generate
    if data.path.exists() or recipe is None:
        source = checked(job)
        rows, columns, nbytes, piece = source.schema.n_rows, len(source.schema.names), source.nbytes(), _piece(source)
        exists = True
    else:
        check_recipe(job)
        rows, columns, nbytes, exists = recipe.rows, recipe.columns + 1, recipe.layout().nbytes(), False
        piece = max(2**20, (recipe.layout().chunks(data.path) or 0) * recipe.columns * np.dtype(recipe.dtype).itemsize)
    steps, shared = tuple(_step(name, model) for name, model in job.fits.items()), Shared(job.fits)
    needs = {name: model.needs() for name, model in job.fits.items()}
    granted = _budget(job, Table(rows or 10**9, columns, piece, data.path.suffix, footer(data.path)))
    peak = granted.use.total - granted.use.training - (0 if job.memory else granted.use.groups)
    return Plan(
        job=str(job.path),
        data=str(data.path),
        exists=exists,
        rows=rows,
        columns=columns,
        nbytes=nbytes,
        fits=steps,
        shared=shared.names,
        passes=sum(step.passes for step in steps) - shared.saved + len(job.score) + len(job.predictions),
        scorings=tuple(entry.fits for entry in job.score),
        comparisons=tuple(pair.fits for pair in job.compare),
        peak_memory=peak + granted.use.training,
        peak_memory_before_training=peak if granted.use.training else None,
        memory=job.memory,
        use=granted.use,
        threads=granted.threads,
        levels=tuple(
            Levels(name, need.group, need.room(columns), 2 * need.memory)
            for name, need in ((name, _bounded(need, granted.groups)) for name, need in needs.items())
            if need.group is not None
        ),
        outputs=(
            *(str(entry.to) for entry in job.predictions),
            *(() if job.output is None else map(str, outputs(job, job.output.folder))),
        ),
        engine=_engine(job, granted.threads),
        where=job.data.where or "",
    )


def _engine(job: Job, threads: int) -> str:
    """Say who would work on the rows."""
    if isinstance(job.engine, Cluster):
        workers = job.engine.workers or available_threads()
        return f"a Dask cluster on this machine, {workers} worker{'s' * (workers != 1)}"
    if job.engine in (None, "threads"):
        return f"{threads} thread{'s' * (threads != 1)}"
    names = {"serial": "one thread", "dask": "the Dask client in use"}
    return names.get(str(job.engine), f"the Dask cluster of {job.engine}")


def _step(name: str, model: Model) -> Step:
    kind, needs = str(model.to_dict()["kind"]), model.needs()
    return Step(name, f"{kind} by {needs.group}" if needs.group else kind, needs.passes, needs.at_most)


def _piece(source: Source) -> int:
    """Return the bytes of rows that a worker holds at once."""
    first = source.partitions()[0]
    while hasattr(first, "inner"):
        first = first.inner
    matrix = getattr(first, "matrix", None)
    if matrix is None:  # columns of Parquet are decoded page by page, all of a row group together
        columnar = _COLUMNAR if source.label.endswith(tuple(ARROW)) else 2**20
        longest = max((lane.stream.at_once(0) for lane, _, _ in getattr(first, "spans", ())), default=0)
        return max(columnar, longest * 8 * len(source.schema.names))
    return int(max(matrix.piece_bytes, matrix.chunk_rows * matrix.row_bytes))


def _bounded(need: Needs, groups: int | None) -> Needs:
    return need if groups is None else replace(need, memory=min(need.memory, groups))


def budgeted(job: Job, source: Source) -> Budget:
    """Return how the job keeps to its bound on memory, if it has one.

    Raises
    ------
    UsageError
        It cannot; the message says what would fit.
    """
    columns = len(source.schema.names)
    path = job.data.path
    return _budget(job, Table(source.schema.n_rows or 10**9, columns, _piece(source), path.suffix, footer(path)))


def _budget(job: Job, table: Table) -> Budget:
    needs = [model.needs() for model in job.fits.values()]
    with job.at("memory"):
        return budget(needs, table, 1 if job.engine == "serial" else job.threads or available_threads(), job.memory)
