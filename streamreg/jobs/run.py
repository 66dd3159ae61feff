"""Carry out a job."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamreg import __version__, tables
from streamreg.comparison import Comparison, compare
from streamreg.errors import UsageError
from streamreg.files import whole
from streamreg.generation import truth_path
from streamreg.inspection import size
from streamreg.jobs.job import Job, Scoring, load
from streamreg.jobs.plan import checked, outputs
from streamreg.jobs.shared import Shared
from streamreg.result import FitResult
from streamreg.scoring import score
from streamreg.scoring.holdout import split
from streamreg.scoring.scorecard import Scorecard
from streamreg.sources.base import Source


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job found.

    Attributes
    ----------
    job, data : str
        The job file and the data file.
    generated : bool
        Whether the data file was made first.
    rows, columns : int
        Of the data; the target and weights are among the columns.
    seconds : float
        Wall time of the fits and comparisons; reading included, generating not.
    passes : int
        Times that the rows were read, all fits, comparisons and scores together.
    peak_memory : int
        Of this process so far, in bytes.
    fits : mapping of str to FitResult or NetworkResult
    comparisons : tuple of Comparison
    scores : tuple of Scorecard
    truth : dict or None
        The true coefficients, if the data were generated.
    outputs : tuple of str
        Files that were written.
    """

    job: str
    data: str
    generated: bool
    rows: int
    columns: int
    seconds: float
    passes: int
    peak_memory: int
    fits: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]
    scores: tuple[Scorecard, ...]
    truth: dict[str, Any] | None
    outputs: tuple[str, ...]

    @property
    def statuses(self) -> list[str]:
        """Status of each fit, and verdict of each comparison."""
        return [*(fit.status for fit in self.fits.values()), *(c.verdict for c in self.comparisons)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        out = {name: getattr(self, name) for name in self.__slots__ if name not in ("fits", "comparisons", "scores")}
        out["fits"] = {name: fit.to_dict() for name, fit in self.fits.items()}
        out["comparisons"] = [c.to_dict() for c in self.comparisons]
        out["scores"] = [card.to_dict() for card in self.scores]
        return {"streamreg": __version__, **out, "outputs": list(self.outputs)}

    def table(self, rows: int = 10) -> str:
        """Return the results as text, with the first `rows` coefficients, beside the true ones where they are known."""
        facts = [
            ("rows", f"{self.rows:,}"),
            ("columns", f"{self.columns:,}"),
            ("passes", str(self.passes)),
            ("seconds", f"{self.seconds:.2f}"),
            ("peak memory", size(self.peak_memory)),
        ]
        header = ("fit", "status", "passes", "seconds", "R2", "residual sd")
        lines = [
            (name, fit.status, str(fit.passes), f"{fit.seconds:.2f}", *_goodness(fit))
            for name, fit in self.fits.items()
        ]
        title = f"{self.job}\n{self.data}{' (generated)' if self.generated else ''}"
        parts = [tables.render(title, facts, header, lines)]
        parts += [self._coefficients(rows)] if self._lines else []
        parts += [str(c.table(min(rows, 5))) for c in self.comparisons]
        parts += [str(card) for card in self.scores]
        parts += [f"Wrote {', '.join(self.outputs)}."] if self.outputs else []
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.table()

    @property
    def _lines(self) -> dict[str, FitResult]:
        return {name: fit for name, fit in self.fits.items() if isinstance(fit, FitResult)}

    def _coefficients(self, rows: int) -> str:
        truth = self.truth or {"columns": [], "coef": [], "intercept": None}
        known = dict(zip(truth["columns"], truth["coef"], strict=False)) | {"(intercept)": truth["intercept"]}
        columns = [("true", known)] if self.truth else []
        for name, fit in self._lines.items():
            columns.append((name, dict(zip(fit.names, fit.coef, strict=True)) | {"(intercept)": fit.intercept}))
            if np.isfinite(fit.std_errors).any():
                errors = dict(zip(fit.names, fit.std_errors, strict=True)) | {"(intercept)": fit.intercept_std_error}
                columns.append(("std error", errors))
        names = list(dict.fromkeys(n for fit in self._lines.values() for n in ("(intercept)", *fit.names)))
        lines = [
            [name, *(_figure(values.get(name), 4 if title == "std error" else 8) for title, values in columns)]
            for name in names[: rows + 1]
        ]
        more = len(names) - len(lines)
        notes = [f"... and {more:,} more coefficients"] if more > 0 else []
        return tables.render("Coefficients", [], ("", *(title for title, _ in columns)), lines, notes)


def run(job: Job, *, threads: int | None = None, progress: bool | None = None) -> JobResult:
    """Carry out `job`: generate the data if they are not there, fit, compare, save.

    Parameters
    ----------
    job : Job
    threads : int, optional
        Instead of the job's own number.
    progress : bool, optional
        Show progress bars; default: on a terminal.

    Raises
    ------
    DataError
        The data are missing, damaged or not finite; the message says where.
    UsageError
        Options that do not go with the data or with each other.
    """
    recipe, path = job.data.generate, job.data.path
    generated = recipe is not None and not path.exists()
    if recipe is not None and generated:
        path.parent.mkdir(parents=True, exist_ok=True)
        recipe.write(path, force=True, progress=progress)
    source = checked(job)
    began = time.perf_counter()
    workers: dict[str, Any] = {"threads": threads or job.threads, "progress": progress}
    train, rest = split(source, job.data.held_out) if job.data.held_out else (source, source)
    shared = Shared(job.fits)
    moments = shared.scan(train, **workers)
    fits = {name: shared.fit(name, model, train, moments, **workers) for name, model in job.fits.items()}
    pairs = [(pair, [fits[name] for name in pair.fits]) for pair in job.compare]
    comparisons = tuple(compare(a, b, train, tolerance=pair.tolerance, labels=pair.fits) for pair, (a, b) in pairs)
    scores = tuple(_scored(job, entry, fits, rest, workers) for entry in job.score)
    result = JobResult(
        job=str(job.path),
        data=str(path),
        generated=generated,
        rows=max(fit.n_read for fit in fits.values()),
        columns=len(source.schema.names),
        seconds=time.perf_counter() - began,
        passes=sum(fit.passes for fit in fits.values())
        - shared.saved
        + sum(c.from_rows for c in comparisons)
        + len(scores),
        peak_memory=peak_memory(),
        fits=fits,
        comparisons=comparisons,
        scores=scores,
        truth=_truth(path, next(iter(fits.values())).target),
        outputs=(),
    )
    return result if job.output is None else _saved(result, job, job.output.folder)


def _scored(job: Job, entry: Scoring, fits: Mapping[str, Any], rest: Source, workers: dict[str, Any]) -> Scorecard:
    """Score fits on the rows that were held out from all of them, or from the training, or on all rows."""
    models = {name: job.fits[name] for name in entry.fits}
    own = not job.data.held_out and any(getattr(model, "validation", 0) for model in models.values())
    card = score(
        {name: fits[name] for name in models},
        rest,
        rows="validation" if own else "all",
        worth=entry.worth,
        missing="drop" if any(getattr(model, "missing", "") == "drop" for model in models.values()) else "error",
        **workers,
    )
    if own or job.data.held_out:
        return card
    return replace(card, notes=(*card.notes, "The fits have seen these rows: hold some out with data: held_out: 0.2."))


def run_job(path: str | os.PathLike[str], *, threads: int | None = None, progress: bool | None = None) -> JobResult:
    """Read a job file and carry it out; see `load` and `run`."""
    return run(load(path), threads=threads, progress=progress)


def peak_memory() -> int:
    """Return the greatest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # unlike getrusage, this forgets the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _truth(path: Path, target: str) -> dict[str, Any] | None:
    """Return what is known of generated rows, if the target is the generated one."""
    try:
        truth = json.loads(truth_path(path).read_text(encoding="utf-8"))
        return truth if truth["target"] == target and len(truth["coef"]) == len(truth["columns"]) - 1 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _saved(result: JobResult, job: Job, folder: Path) -> JobResult:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}); choose another output folder") from error
    *archives, report = outputs(job, folder)
    for fit, archive in zip(result.fits.values(), archives, strict=True):
        fit.save(archive)
    result = replace(result, outputs=tuple(map(str, [*archives, report])))
    with whole(report) as temporary:
        temporary.write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
    return result


def _goodness(fit: Any) -> tuple[str, str]:
    if not isinstance(fit, FitResult):
        return "-", "-"
    return f"{fit.rsquared:.6f}", f"{fit.sigma:.6g}" if fit.family == "gaussian" else "-"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}g}"
