"""The sections of a job file, apart from its fits."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from streamreg import sources
from streamreg.engines.choose import known
from streamreg.errors import UsageError
from streamreg.jobs.budget import as_bytes
from streamreg.sources.base import Source
from streamreg.sources.formats import address
from streamreg.tools.generate import Generate

FitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


_LONGEST = 255  # bytes of a file's name, on the systems there are


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError(f"{value!r} is no path; write one as text, in quotes if need be")
    if any(len(os.fsencode(part)) > _LONGEST for part in Path(value).parts):
        raise ValueError(f"{str(value)[:20]}...: names in a path are at most {_LONGEST} bytes long; shorten it")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{str(value)!r}: there is no such user's folder; write the path out") from None


FilePath = Annotated[Path, BeforeValidator(_path)]


class Section(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cluster(Section):
    """A Dask cluster on this machine, which the job starts and stops."""

    kind: Literal["dask"]
    workers: int | None = Field(default=None, gt=0, le=4096)


def _known(name: str) -> str:
    try:
        return known(name)
    except UsageError as error:
        raise ValueError(str(error)) from None


Engine = Annotated[
    Annotated[str, AfterValidator(_known), Tag("name")] | Annotated[Cluster, Tag("cluster")],
    Discriminator(lambda value: "cluster" if isinstance(value, dict | Cluster) else "name"),
]
"""The name of an engine or the address of a scheduler, or a cluster to start."""


OnFault = Literal["fail", "skip"]
"""What becomes of rows that cannot be read."""


Memory = Annotated[int, BeforeValidator(as_bytes)]
"""Bytes, or a text with a unit: 2GiB."""


class Data(Section):
    """Where the rows are; the options are those of `streamreg.open`.

    Parameters
    ----------
    path : path
        Relative to the folder of the job file.
    target : str, optional
        Fits by a formula name their own.
    x, weights : str, optional
    features, columns : tuple of str, optional
    missing_chunks : {"error", "fill", "fault"}
    format : str, optional
    options : mapping, optional
        How a CSV file is written.
    query : str, optional
        What to read of a database, whose path is ``duckdb:trips.db``.
    where : str, optional
        The condition that rows must meet.
    na_values : optional
        What else stands for a missing value: a value, a list, or these by column.
    held_out : float
        Share of the rows that no fit sees, to score on; chosen by a hash of the row number.
    generate : Generate, optional
        How to make the file if it is not there.
    """

    path: FilePath
    target: str | None = None
    x: str | None = None
    weights: str | None = None
    features: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    missing_chunks: Literal["error", "fill", "fault"] = "error"
    format: str | None = None
    options: dict[str, Any] | None = None
    query: str | None = None
    where: str | None = None
    na_values: Any = None
    held_out: float = Field(default=0.0, ge=0, lt=1)
    generate: Generate | None = None

    def open(self) -> Source:
        """Open the file."""
        own = ("path", "generate", "held_out")
        return sources.open(
            address(self.path), **{n: getattr(self, n) for n in type(self).model_fields if n not in own}
        )


class _Together(Section):
    """Fits that stand alone where nothing else is said of them."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"fits": value} if isinstance(value, list | tuple) else value


class Pair(_Together):
    """Two fits to compare; in short ``[exact, keras]``.

    Parameters
    ----------
    fits : two str
    tolerance : float
        Standard errors within which they agree.
    """

    fits: tuple[str, str]
    tolerance: float = Field(default=0.01, gt=0, allow_inf_nan=False)


class Scoring(_Together):
    """Fits to score on the same rows; in short ``[line, network]``.

    Parameters
    ----------
    fits : tuple of str
        The first is the baseline.
    worth : float
        Points (percent of what there is to explain) from which on a better model is worth it.
    """

    fits: tuple[str, ...] = Field(min_length=1)
    worth: float = Field(default=0.1, ge=0, allow_inf_nan=False)


class Predicting(Section):
    """Predictions to write; the options are those of `FitResult.predict`.

    Parameters
    ----------
    fit : str
    to : path
        Relative to the folder of the job file, and replaced if it is there. The suffix tells the format.
    data : path, optional
        Relative to the same folder. Default: the data of the job, rows held out among them.
    id : str or tuple of str
        Columns that are written before the predictions.
    append : bool
        Whether all columns of the data are.
    kind : {"mean", "link", "probability", "class"}
        Means, which of classes are their probabilities, or linear predictors, or the most probable class.
    interval : {"confidence", "prediction"}, optional
    level : float
    missing : {"error", "drop"}
    unseen : {"error", "reference", "own", "missing"}
    """

    fit: str
    to: FilePath
    data: FilePath | None = None
    id: str | tuple[str, ...] = ()
    append: bool = False
    kind: Literal["mean", "link", "probability", "class"] = "mean"
    interval: Literal["confidence", "prediction"] | None = None
    level: float = Field(default=0.95, gt=0, lt=1)
    missing: Literal["error", "drop"] = "drop"
    unseen: Literal["error", "reference", "own", "missing"] = "error"


class Output(Section):
    """Where results go: ``<name>.npz`` for each fit, and ``report.json``.

    A network is ``<name>.keras``. Lines by level are ``<name>.csv``, a table of all levels, and ``<name>.moments``, as
    `streamreg.scan` makes them, from which any line of any level is fitted again.

    Parameters
    ----------
    folder : path
        Relative to the folder of the job file.
    """

    folder: FilePath
