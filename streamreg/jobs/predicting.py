"""The predictions that a job writes."""

from typing import Any

from streamreg import sources
from streamreg.jobs.job import Job
from streamreg.jobs.sections import Predicting
from streamreg.results.predict import Written, predict_to, require_format
from streamreg.scans.run import Run
from streamreg.sources.base import Source


def check(job: Job) -> None:
    """Check what can be told before a fit is there: where predictions go, and their format."""
    for i, entry in enumerate(job.predictions):
        with job.at("predictions", i):
            require_format(entry.to, append=entry.append)


def written(entry: Predicting, fit: Any, source: Source, run: Run) -> Written:
    """Write the predictions of one entry; `source` are the data of the job."""
    data = source if entry.data is None else sources.open(entry.data)
    return predict_to(
        entry.to,
        fit,
        data,
        entry.kind,
        id=entry.id,
        append=entry.append,
        interval=entry.interval,
        level=entry.level,
        missing=entry.missing,
        unseen=entry.unseen,
        engine=run,
        force=True,
    )
