"""What a job would do, found out without reading a row."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from streamreg.engines.threads import available_threads
from streamreg.families import family
from streamreg.jobs.checks import check_recipe, checked, outputs
from streamreg.jobs.job import Job, is_by_level
from streamreg.jobs.shared import Shared
from streamreg.models.base import Spec
from streamreg.reporting import tables
from streamreg.sources.base import Source
from streamreg.stats.base import block_rows
from streamreg.tools.inspect import size

# Measured: Python with NumPy, SciPy and h5py; what Zarr adds; what TensorFlow adds.
_BASE, _ZARR, _TENSORFLOW = 80 * 2**20, 25 * 2**20, 540 * 2**20


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
        At most, all fits and scores together.
    comparisons : tuple of (str, str)
    scorings : tuple of tuple of str
        The baseline first.
    peak_memory : int
        Expected, in bytes; lines by level apart.
    levels : tuple of Levels
        What lines by level may take up, for how many levels nobody knows beforehand.
    outputs : tuple of str
        Files that would be written.
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
    levels: tuple[Levels, ...]
    outputs: tuple[str, ...]

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
            ("expected peak memory", f"about {size(self.peak_memory)}"),
        ]
        title = f"Plan of {self.job}\n{self.data} {'is there' if self.exists else 'will be generated'}"
        lines = [(s.name, s.kind, f"at most {s.passes}" if s.at_most else str(s.passes)) for s in self.fits]
        notes = [f"The first pass is the same for {', '.join(self.shared)}."] if self.shared else []
        notes += [
            f"{at.name}: up to about {at.room:,} levels of {at.by}, which may take {size(at.memory)} more."
            for at in self.levels
        ]
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
    threads = job.threads or available_threads()
    if data.path.exists() or recipe is None:
        source = checked(job)
        rows, columns, nbytes, piece = source.schema.n_rows, len(source.schema.names), source.nbytes(), _piece(source)
        exists = True
    else:
        check_recipe(job)
        rows, columns, nbytes, exists = recipe.rows, recipe.columns + 1, recipe.layout().nbytes(), False
        piece = max(2**20, (recipe.layout().chunks(data.path) or 0) * recipe.columns * np.dtype(recipe.dtype).itemsize)
    steps, shared = tuple(_step(name, model) for name, model in job.fits.items()), Shared(job.fits)
    return Plan(
        job=str(job.path),
        data=str(data.path),
        exists=exists,
        rows=rows,
        columns=columns,
        nbytes=nbytes,
        fits=steps,
        shared=shared.names,
        passes=sum(step.passes for step in steps) - shared.saved(job.fits) + len(job.score),
        scorings=tuple(entry.fits for entry in job.score),
        comparisons=tuple(pair.fits for pair in job.compare),
        peak_memory=_peak(job, rows or 10**9, columns, piece, threads),
        levels=tuple(_levels(name, model, columns) for name, model in job.fits.items() if is_by_level(model)),
        outputs=() if job.output is None else tuple(map(str, outputs(job, job.output.folder))),
    )


def _step(name: str, model: Spec) -> Step:
    kind = str(model.to_dict()["kind"])
    if is_by_level(model):
        return Step(name, f"{kind} by {model.by}", 1, False)  # type: ignore[attr-defined]  # then it has it
    epochs = getattr(model, "epochs", 0)
    if epochs:  # training scans once, and then reads the rows in each epoch
        return Step(name, kind, 1 + epochs, True)
    if hasattr(model, "max_iterations") and hasattr(model, "family") and not family(model.family).least_squares:
        return Step(name, kind, model.max_iterations, True)
    climbs = getattr(model, "precision", "") == "auto"
    return Step(name, kind, 2 if climbs else 1, climbs)


def _levels(name: str, model: Any, columns: int) -> Levels:
    from streamreg.models.by_group import levels_in

    terms = (columns - 2 if model.features is None else len(model.features)) + sum(model.powers.values())
    terms -= len(model.powers)
    return Levels(name, model.by, levels_in(model.memory, terms), 2 * model.memory)


def _piece(source: Source) -> int:
    """Return the bytes of rows that a worker holds at once."""
    matrix = getattr(source.partitions()[0], "matrix", None)
    return 2**20 if matrix is None else int(max(matrix.piece_bytes, matrix.chunk_rows * matrix.row_bytes))


def _peak(job: Job, rows: int, columns: int, piece: int, threads: int) -> int:
    """Return the expected peak of resident memory: libraries, what each worker holds, and the tree of moments."""
    state = 8 * columns**2 * max((getattr(model, "folds", 1) for model in job.fits.values()), default=1)
    block = 8 * columns * block_rows(columns)
    levels = math.log2(max(2, rows / block_rows(columns)))
    total = _BASE + threads * (3 * piece + 2 * block) + state * (levels / 2 + 3 + 3.5 * threads)
    total += _ZARR if job.data.path.suffix == ".zarr" else 0
    trained = [getattr(m, "memory", 0) for m in job.fits.values() if hasattr(m, "epochs")]
    return int(total + (_TENSORFLOW + max(trained) if trained else 0))
