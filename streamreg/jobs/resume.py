"""Jobs that go on after a break: every pass over the rows is kept until the job is done, and each fit's apart.

So a fit that was finished is not done again: its passes are read back, and from there it takes no time. Trainings keep
a state of their own.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamreg._version import __version__
from streamreg.errors import ChangedError, UsageError
from streamreg.jobs.job import Job
from streamreg.persist.atomic import whole
from streamreg.persist.lock import locked
from streamreg.scans.checkpoint import Checkpoint
from streamreg.scans.run import Run
from streamreg.sources.base import Source

_WHAT = ("data", "fits", "compare", "score")
"""Sections of a job file that say what is computed; the others say how, and may change."""

_NAME = "job.json"


def place(job: Job) -> Path:
    """Return the folder in which a job keeps how far it came."""
    hidden = f".{job.path.stem}.checkpoint"
    return (job.output.folder if job.output is not None else job.path.parent) / hidden


@contextmanager
def resumable(job: Job, source: Source, run: Run, resume: bool) -> Iterator[Run]:
    """Hold the folders of a job, and give a run that keeps its passes if the job or `resume` says so.

    What was kept is removed when the block ends well.

    Raises
    ------
    ChangedError
        What is there was made from other data.
    UsageError
        Another process works on this job, or what is there belongs to another job or version.
    """
    folder = place(job)
    with _held(job, folder if resume or job.checkpoint else None):
        if not (resume or job.checkpoint):
            yield run
            return
        _require_same(job, source, folder)
        yield replace(run, checkpoint=Checkpoint(folder))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(job: Job, folder: Path | None) -> Iterator[None]:
    """Hold the folder of the results; without one, that of the passes."""
    with ExitStack() as stack:
        if job.output is not None:
            with job.at("output", "folder"):
                stack.enter_context(locked(job.output.folder))
        elif folder is not None:
            stack.enter_context(locked(folder))
        yield


def within(run: Run, *part: str | int, settled: bool = False) -> Run:
    """Return a run that keeps the passes of a part of a job apart from those of the others.

    Rows that another part found lacking lack in this one, too. `settled`: it begins with the shared scan.
    """
    run = replace(run, faults=run.faults.fork(settled))
    if run.checkpoint is None:
        return run
    return replace(run, checkpoint=run.checkpoint.part(".".join(map(str, part))))


def training(run: Run, name: str) -> dict[str, Any]:
    """Return the options of a fit that keeps its state by itself."""
    if run.checkpoint is None:
        return {"engine": run}
    folder = run.checkpoint.folder / f"training.{name}"
    return {"engine": replace(run, checkpoint=None), "checkpoint": folder, "resume": True}


def _require_same(job: Job, source: Source, folder: Path) -> None:
    """Make sure that what a folder holds is of this job, and note whose it is."""
    said = {what: job.document.values.get(what) for what in _WHAT}
    own = json.loads(json.dumps({"version": __version__, "source": source.fingerprint(), **said}))
    path = folder / _NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: each pass says by itself what it is of
        found = own
    if not isinstance(found, dict):
        found = own
    again = f"finish the job as it was, or remove {str(folder)!r} to begin again"
    if found.get("version") != __version__:
        raise UsageError(f"{folder}: was made by streamreg {found.get('version')}, and this is {__version__}; {again}")
    if changed := [what for what in _WHAT if found.get(what) != own[what]]:
        names = [_changed(what, found.get(what), own[what]) for what in changed]
        raise UsageError(f"{job.path}: has changed since it was broken off ({', '.join(names)}); {again}")
    if found.get("source") != own["source"]:
        raise ChangedError(f"{source.label}: the data have changed since the job was broken off; {again}")
    folder.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
        temporary.write_text(json.dumps(own) + "\n", encoding="utf-8")


def _changed(what: str, before: Any, now: Any) -> str:
    """Name what has changed in a section."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return what
    return ", ".join(f"{what}.{name}" for name in {**before, **now} if before.get(name) != now.get(name))
