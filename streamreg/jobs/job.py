"""What a job says, checked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from streamreg.errors import ConfigError, StreamregError, nearest
from streamreg.jobs.document import Document, read
from streamreg.jobs.sections import (
    Cluster,
    Data,
    Engine,
    FitName,
    Memory,
    OnFault,
    Output,
    Pair,
    Predicting,
    Scoring,
    Section,
)
from streamreg.models import flat
from streamreg.models.base import Model
from streamreg.models.registry import KINDS
from streamreg.models.validation import validated
from streamreg.sources.formats import within

_VERBS = {"compare": "compare", "score": "score", "predictions": "predict"}


class Written(Section):
    """A job file as it is written; the options of its fits are checked by themselves."""

    data: Data
    fits: dict[FitName, dict[str, Any]] = Field(min_length=1)
    compare: tuple[Pair, ...] = ()
    score: tuple[Scoring, ...] = ()
    predictions: tuple[Predicting, ...] = ()
    output: Output | None = None
    threads: int | None = Field(default=None, gt=0, le=4096)
    engine: Engine | None = None
    memory: Memory | None = None
    checkpoint: bool = False
    on_fault: OnFault = "fail"


@dataclass(frozen=True, slots=True)
class Job:
    """Data, fits, comparisons, scores and outputs.

    Attributes
    ----------
    path : Path
        The job file.
    data : Data
    fits : mapping of str to Model
    compare : tuple of Pair
    score : tuple of Scoring
    output : Output or None
    threads : int or None
        Workers; default: all processors.
    document : Document
        Where the file says what.
    engine : str, Cluster or None
        Who works on the rows; default: threads.
    memory : int or None
        Bytes that the process may take up: readers, sums, groups and training together.
    checkpoint : bool
        Whether it is kept how far the job came, so that it can go on after a break.
    on_fault : {"fail", "skip"}
        What is done about rows that cannot be read.
    predictions : tuple of Predicting
    """

    path: Path
    data: Data
    fits: Mapping[str, Model]
    compare: tuple[Pair, ...]
    score: tuple[Scoring, ...]
    output: Output | None
    threads: int | None
    document: Document
    engine: str | Cluster | None = None
    memory: int | None = None
    checkpoint: bool = False
    on_fault: OnFault = "fail"
    predictions: tuple[Predicting, ...] = ()

    @contextmanager
    def at(self, *place: str | int) -> Iterator[None]:
        """Say in errors which part of the job they are about, and its line."""
        try:
            yield
        except StreamregError as error:
            named = ".".join(map(str, place))
            raise type(error)(f"{self.document.where(place)}: {named}: {error}") from error


def load(path: str | os.PathLike[str]) -> Job:
    """Read a job file. No data are touched.

    Raises
    ------
    ConfigError
        Something in it is wrong; the message says the line, and the nearest name for a misspelt one.
    """
    document = read(Path(path))
    written = validated(Written, document.values, document.where)
    fits = {name: _fit(document, name) for name in written.fits}
    named: list[tuple[str, int, tuple[str, ...]]] = [
        ("compare", i, pair.fits) for i, pair in enumerate(written.compare)
    ]
    named += [("score", i, entry.fits) for i, entry in enumerate(written.score)]
    named += [("predictions", i, (entry.fit,)) for i, entry in enumerate(written.predictions)]
    for section, i, names in named:
        where = document.where((section, i))
        for name in names:
            if name not in fits:
                raise ConfigError(f"{where}: no fit {name!r}{nearest(name, fits)}")
            if fits[name].gives == "groups":
                raise ConfigError(
                    f"{where}: {name!r} is a line for each level, and to {_VERBS[section]} takes one for all rows; "
                    "name another"
                )
            if fits[name].gives == "instruments":
                raise ConfigError(
                    f"{where}: {name!r} is a fit by instruments, and to {_VERBS[section]} takes one by least squares; "
                    "name another"
                )
            if section != "predictions" and fits[name].gives == "classes":
                what = f"{name!r} has coefficients for several classes"
                raise ConfigError(f"{where}: {what}, and to {_VERBS[section]} takes one prediction for each row")
            if section == "compare" and fits[name].gives == "network":
                raise ConfigError(f"{where}: {name!r} is a network and has no coefficients to compare; score it")
    folder = Path(path).parent
    data = written.data.model_copy(update={"path": within(folder, written.data.path)})
    if data.generate is not None:
        try:
            data.generate.check(data.path)
        except ValueError as error:
            raise ConfigError(f"{document.where(('data', 'generate'))}: {error}") from None
    predictions = tuple(
        entry.model_copy(
            update={
                "to": _inside(folder, entry.to),
                "data": None if entry.data is None else _inside(folder, entry.data),
            }
        )
        for entry in written.predictions
    )
    output = written.output and Output(folder=_inside(folder, written.output.folder))
    if written.threads is not None and written.engine not in (None, "threads"):
        where = document.where(("threads",))
        raise ConfigError(f"{where}: threads are those of this process; leave out threads, or engine")
    if written.memory is not None and written.engine not in (None, "threads", "serial"):
        where = document.where(("memory",))
        raise ConfigError(f"{where}: memory is that of this process; give Dask workers their own limit, or no engine")
    return Job(
        path=Path(path),
        data=data,
        fits=fits,
        compare=written.compare,
        score=written.score,
        output=output,
        threads=written.threads,
        document=document,
        engine=written.engine,
        memory=written.memory,
        checkpoint=written.checkpoint,
        on_fault=written.on_fault,
        predictions=predictions,
    )


def _inside(folder: Path, path: Path) -> Path:
    return Path(os.path.normpath(folder / path))


def _fit(document: Document, name: str) -> Model:
    options = dict(document.values["fits"][name])
    at = ("fits", name)
    kind = options.pop("kind", None)
    if kind is None:
        *most, last = KINDS
        raise ConfigError(f"{document.where(at)}: fits.{name}.kind is missing; it can be {', '.join(most)} or {last}")
    return flat.build(kind, options, document.where, at)
