"""What a job would do, found out without reading a row."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreg import sources, tables
from streamreg.design import Design
from streamreg.engines.threads import available_threads
from streamreg.errors import ConfigError, UsageError
from streamreg.generation import truth_path
from streamreg.inspection import size
from streamreg.jobs.job import Data, Job, is_by_level, is_network
from streamreg.jobs.shared import Shared
from streamreg.models.base import Spec
from streamreg.sources.base import Source
from streamreg.stats.base import block_rows

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
        passes=sum(step.passes for step in steps) - shared.saved + len(job.score),
        scorings=tuple(entry.fits for entry in job.score),
        comparisons=tuple(pair.fits for pair in job.compare),
        peak_memory=_peak(job, rows or 10**9, columns, piece, threads),
        levels=tuple(_levels(name, model, columns) for name, model in job.fits.items() if is_by_level(model)),
        outputs=() if job.output is None else tuple(map(str, outputs(job, job.output.folder))),
    )


def checked(job: Job) -> Source:
    """Open the data of `job` and check that every fit finds its columns."""
    require_recipe(job.data)
    with job.at("data"):
        source = job.data.open()
    check(job, source)
    return source


def check(job: Job, source: Source) -> None:
    """Check that every fit finds its columns, that what is scored is of one target, and that results have a place."""
    targets = {}
    for name, model in job.fits.items():
        with job.at("fits", name):
            options: Any = model
            part = source.with_roles(target=options.target)
            keys = (options.by,) if is_by_level(model) else ()
            powers = getattr(model, "powers", None)
            targets[name] = Design.of(part, options.features, powers=powers, keys=keys).with_target().target
    together = [("compare", i, pair.fits) for i, pair in enumerate(job.compare)]
    for section, i, names in [*together, *(("score", i, entry.fits) for i, entry in enumerate(job.score))]:
        other = next((name for name in names if targets[name] != targets[names[0]]), None)
        if other is not None:
            both = " and ".join(f"{name!r} explains {targets[name]!r}" for name in (names[0], other))
            raise ConfigError(f"{job.document.where((section, i))}: {both}; {section} fits of one target")
    if job.output is not None:
        with job.at("output", "folder"):
            require_folder(job.output.folder)


def check_recipe(job: Job) -> None:
    """Check the same before the data are generated, on a row with the columns that they will have."""
    data, recipe = job.data, job.data.generate
    if recipe is None or data.columns is not None or data.weights is not None:
        return
    with job.at("data"):
        rows = sources.open(np.zeros((1, recipe.columns + 1)), columns=recipe.truth()["columns"])
        rows.label = str(data.path)
        rows = rows.with_roles(data.target, features=data.features)
    check(job, rows)


def require_recipe(data: Data) -> None:
    """Raise `ConfigError` if the file was generated by another recipe than the job's."""
    side = truth_path(data.path)
    if data.generate is None or not side.is_file():
        return
    expected = data.generate.truth()
    try:
        found = json.loads(side.read_text(encoding="utf-8"))
        differing = [n for n in expected if n not in ("coef", "intercept") and found.get(n) != expected[n]]
    except (ValueError, AttributeError):
        return
    if differing:
        name = differing[0]
        have, want = (len(t[name]) - 1 if name == "columns" else t.get(name) for t in (found, expected))
        raise ConfigError(
            f"{data.path}: was generated with {name} {have}, and the job says {want}; "
            "delete the file, or choose another path or recipe"
        )


def outputs(job: Job, folder: Path) -> list[Path]:
    """Return the files that `job` writes."""
    return [*(folder / name for names in archives(job).values() for name in names), folder / "report.json"]


def archives(job: Job) -> dict[str, tuple[str, ...]]:
    """Return the names of the files of each fit."""
    return {name: tuple(f"{name}.{suffix}" for suffix in _suffixes(model)) for name, model in job.fits.items()}


def _suffixes(model: Spec) -> tuple[str, ...]:
    if is_by_level(model):
        return ("csv", "moments")
    return ("keras",) if is_network(model) else ("npz",)


def require_folder(folder: Path) -> None:
    """Raise `UsageError` if nothing can be written to `folder`, or it cannot be made. Makes nothing."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"{folder}: {str(there)!r} is a file; choose another output folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: nothing can be written to {str(there)!r}; choose another output folder")


def _step(name: str, model: Spec) -> Step:
    kind = str(model.to_dict()["kind"])
    if is_by_level(model):
        return Step(name, f"{kind} by {model.by}", 1, False)  # type: ignore[attr-defined]  # then it has it
    epochs = getattr(model, "epochs", 0)
    if epochs:  # training scans once, and then reads the rows in each epoch
        return Step(name, kind, 1 + epochs, True)
    if hasattr(model, "max_iterations") and getattr(model, "family", "") != "gaussian":
        return Step(name, kind, model.max_iterations, True)
    climbs = getattr(model, "precision", "") == "auto" and not getattr(model, "ridge", 0.0)
    return Step(name, kind, 2 if climbs else 1, climbs)


def _levels(name: str, model: Any, columns: int) -> Levels:
    from streamreg.models.groups import levels_in

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
