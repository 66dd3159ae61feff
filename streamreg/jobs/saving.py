"""The files of a job: all of them, or those of an earlier run."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from streamreg.errors import DataError, UsageError
from streamreg.jobs.checks import REPORT, archives
from streamreg.jobs.job import Job
from streamreg.jobs.result import JobResult
from streamreg.persist.atomic import beside
from streamreg.results.by_group import GroupFits


def made(folder: Path) -> Path:
    """Make a folder, if it is not there.

    Raises
    ------
    UsageError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    return folder


def saved(result: JobResult, job: Job, folder: Path) -> JobResult:
    """Write the files of a job, and return its result with their names.

    They are written to a hidden folder first, and take their places when all of them are whole: the report last, and
    after the one of an earlier run is gone, so that a report always tells of the files beside it. A fit that failed has
    no file, and one of an earlier run stays where it is: the report does not list it.

    Raises
    ------
    DataError
        They cannot be written. Those of an earlier run are as they were, unless files could be written and not moved;
        then there is no report.
    """
    files_of = {name: files for name, files in archives(job).items() if name in result.fits}
    paths = [*(folder / file for files in files_of.values() for file in files), folder / REPORT]
    result = replace(result, outputs=tuple(map(str, paths)))
    report = paths[-1]
    hidden = Path(beside(folder / "job", tempfile.mkdtemp))
    try:
        for name, files in files_of.items():
            _write(result.fits[name], *(hidden / file for file in files))
        (hidden / report.name).write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
        report.unlink(missing_ok=True)
        for path in paths:
            (hidden / path.name).replace(path)
    except OSError as error:
        raise DataError(f"{folder}: results cannot be written ({error.strerror or error})") from error
    except DataError as error:
        raise DataError(str(error).replace(str(hidden), str(folder))) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return result


def _write(fit: object, *paths: Path) -> None:
    if isinstance(fit, GroupFits):
        table, moments = paths
        fit.to_csv(table)
        fit.moments.save(moments)
    else:
        (path,) = paths
        fit.save(path)  # type: ignore[attr-defined]  # every other result has it
