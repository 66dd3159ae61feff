"""Carry out a job."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamreg.comparison import compare
from streamreg.design.policy import drops
from streamreg.engines.base import Engine
from streamreg.engines.choose import choose
from streamreg.engines.threads import Threads
from streamreg.errors import StreamregError, UsageError, typed
from streamreg.jobs.checks import check_recipe, checked
from streamreg.jobs.job import Job, load
from streamreg.jobs.plan import budgeted
from streamreg.jobs.predicting import written
from streamreg.jobs.result import Failure, JobResult, SharedScan, of_all
from streamreg.jobs.resume import resumable, training, within
from streamreg.jobs.saving import made, saved
from streamreg.jobs.sections import Cluster, Scoring
from streamreg.jobs.shared import Shared
from streamreg.scans.faults import Faults, OnFault
from streamreg.scans.run import Run
from streamreg.scoring import score
from streamreg.scoring.holdout import split
from streamreg.scoring.scorecard import Scorecard
from streamreg.sources.base import Source
from streamreg.tools.generate import truth_path


def run(
    job: Job,
    *,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    resume: bool = False,
    on_fault: OnFault | None = None,
) -> JobResult:
    """Carry out `job`: generate the data if they are not there, fit, compare, save.

    Parameters
    ----------
    job : Job
    threads : int, optional
        Instead of the job's own number.
    progress : bool, optional
        Show progress bars; default: on a terminal.
    engine : optional
        Who works on the rows, as in `streamreg.scan`, instead of the job's own engine.
    resume : bool
        Keep how far the job came in a hidden folder beside its results, and go on from there if it was broken off, to
        the same bits. So does ``checkpoint: true`` in the job file.
    on_fault : {"fail", "skip"}, optional
        What to do about rows that cannot be read, as in `streamreg.scan`, instead of what the job says.

    Returns
    -------
    JobResult
        A fit that fails leaves the others as they are: its reason is among the `failures`, as are the comparisons and
        scores that need it.

    Raises
    ------
    DataError
        The data are missing, damaged or not finite, for every fit; the message says where.
    UsageError
        Options that do not go with the data or with each other.
    """
    with _engine(job, threads, engine) as chosen:
        return _carried_out(job, Run(chosen, progress, faults=Faults(on_fault or job.on_fault)), resume)


@contextmanager
def _engine(job: Job, threads: int | None, engine: Any) -> Iterator[Engine]:
    """Yield who works on the rows: `engine` or `threads`, else what the job says."""
    if engine is not None or threads is not None:
        yield choose(engine, threads)
    elif isinstance(job.engine, Cluster):
        from streamreg.engines.dask import local

        with local(job.engine.workers) as cluster:
            yield cluster
    else:
        with job.at("engine"):
            found = choose(job.engine, job.threads)
        yield found


def _carried_out(job: Job, run: Run, resume: bool) -> JobResult:
    recipe, path = job.data.generate, job.data.path
    generated = recipe is not None and not path.exists()
    if recipe is not None and generated:
        check_recipe(job)
        with job.at("data", "generate"):
            recipe.write(made(path.parent) / path.name, force=True, progress=run.progress)
    source = checked(job)
    if job.output is not None:
        with job.at("output", "folder"):
            made(job.output.folder)
    with resumable(job, source, _bounded(job, source, run), resume) as own:
        return _computed(job, source, own, generated)


def _computed(job: Job, source: Source, run: Run, generated: bool) -> JobResult:
    began = time.perf_counter()
    train, rest = split(source, job.data.held_out) if job.data.held_out else (source, source)
    shared = Shared(job.fits)
    try:
        first = within(run, "shared")
        moments = shared.scan(train, engine=first)
        run = replace(run, faults=first.faults)
    except StreamregError:
        # Columns that one fit needs may be wrong, and those of another may not: each reads its own.
        shared, moments = Shared({}), None
    failed: dict[str, StreamregError] = {}
    found: dict[str, Any] = {}
    before_training = None
    needs = {name: model.needs() for name, model in job.fits.items()}
    for name in sorted(needs, key=lambda name: needs[name].trains):  # the memory of the others is known apart
        if needs[name].trains and before_training is None:
            before_training = peak_memory()
        with _attempt(job, failed, "fits", name):
            options = (
                training(run, name)
                if needs[name].trains
                else {"engine": within(run, "fits", name, settled=name in shared.names)}
            )
            found[name] = shared.fit(name, job.fits[name], train, moments, **options)
    fits = {name: found[name] for name in job.fits if name in found}
    failed = {part: failed[part] for name in job.fits if (part := f"fits.{name}") in failed}
    if not fits:
        raise next(iter(failed.values()))
    comparisons, scores = [], []
    for i, pair in enumerate(job.compare):
        with _attempt(job, failed, "compare", i):
            one, other = _found(fits, pair.fits)
            own = within(run, "compare", i)
            comparisons.append(compare(one, other, train, tolerance=pair.tolerance, labels=pair.fits, engine=own))
    for i, entry in enumerate(job.score):
        with _attempt(job, failed, "score", i):
            _found(fits, entry.fits)
            scores.append(_scored(job, entry, fits, rest, within(run, "score", i)))
    predicted = []
    for i, prediction in enumerate(job.predictions):
        with _attempt(job, failed, "predictions", i):
            (fit,) = _found(fits, [prediction.fit])
            predicted.append(written(prediction, fit, source, run))
    result = JobResult(
        job=str(job.path),
        data=str(job.data.path),
        generated=generated,
        rows=max(of_all(fit).n_read for fit in fits.values()),
        columns=len(source.schema.names),
        seconds=time.perf_counter() - began,
        passes=sum(of_all(fit).passes for fit in fits.values())
        - sum(name in fits for name in shared.names)
        + bool(shared.names)
        + sum(c.passes for c in comparisons)
        + len(scores)
        + len(predicted),
        peak_memory=peak_memory(),
        peak_memory_before_training=before_training,
        shared_scan=SharedScan(shared.names, shared.seconds) if shared.names else None,
        fits=fits,
        comparisons=tuple(comparisons),
        scores=tuple(scores),
        truth=_truth(job.data.path, of_all(next(iter(fits.values()))).target),
        outputs=(),
        predictions=tuple(predicted),
        failures=tuple(Failure(part, str(error), error.exit_code) for part, error in failed.items()),
        where=source.where,
    )
    if job.output is None:
        return result
    with job.at("output", "folder"):
        return saved(result, job, job.output.folder)


def _bounded(job: Job, source: Source, run: Run) -> Run:
    """Return a run that keeps to the job's bound on memory."""
    if job.memory is None:
        return run
    if not run.engine.in_process:
        with job.at("memory"):
            raise UsageError("memory is that of this process; give the workers of a cluster their own limit")
    granted = budgeted(replace(job, threads=run.engine.workers), source)
    engine = Threads(granted.threads) if isinstance(run.engine, Threads) else run.engine
    return replace(run, engine=engine, memory=granted.groups)


@contextmanager
def _attempt(job: Job, failed: dict[str, StreamregError], *place: str | int) -> Iterator[None]:
    """Note the error of a part of the job, and go on with the others."""
    try:
        with job.at(*place):
            yield
    except StreamregError as error:
        failed[".".join(map(str, place))] = error


def _found(fits: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    """Return the fits of these names."""
    if gone := [name for name in names if name not in fits]:
        raise UsageError(f"skipped, because the fit {gone[0]!r} failed")
    return [fits[name] for name in names]


def _scored(job: Job, entry: Scoring, fits: Mapping[str, Any], rest: Source, run: Run) -> Scorecard:
    """Score fits on the rows that were held out from all of them, or from the training, or on all rows."""
    needs = [job.fits[name].needs() for name in entry.fits]
    own = not job.data.held_out and any(need.validation for need in needs)
    card = score(
        {name: fits[name] for name in entry.fits},
        rest,
        rows="validation" if own else "all",
        worth=entry.worth,
        missing="drop" if any(drops(need.missing) for need in needs) else "error",
        engine=run,
    )
    if own or job.data.held_out:
        return card
    return replace(card, notes=(*card.notes, "The fits have seen these rows: hold some out with data: held_out: 0.2."))


@typed
def run_job(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
    resume: bool = False,
    on_fault: OnFault | None = None,
) -> JobResult:
    """Read a job file and carry it out; see `load` and `run`."""
    return run(load(path), threads=threads, progress=progress, engine=engine, resume=resume, on_fault=on_fault)


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
