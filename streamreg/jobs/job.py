"""What a job says, checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamreg import sources
from streamreg.errors import ConfigError, nearest
from streamreg.generation import Generate
from streamreg.jobs.document import Document, read
from streamreg.models.base import Spec
from streamreg.sources.base import Source
from streamreg.validation import validated

FitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """Where the rows are; the options are those of `streamreg.open`.

    Parameters
    ----------
    path : path
        Relative to the folder of the job file.
    target : str
    x, weights : str, optional
    features, columns : tuple of str, optional
    missing_chunks : {"error", "fill"}
    generate : Generate, optional
        How to make the file if it is not there.
    """

    path: Path
    target: str
    x: str | None = None
    weights: str | None = None
    features: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    missing_chunks: Literal["error", "fill"] = "error"
    generate: Generate | None = None

    def open(self) -> Source:
        """Open the file."""
        options = {name: getattr(self, name) for name in type(self).model_fields if name not in ("path", "generate")}
        return sources.open(self.path, **options)


class Pair(_Section):
    """Two fits to compare; in short ``[exact, keras]``.

    Parameters
    ----------
    fits : two str
    tolerance : float
        Standard errors within which they agree.
    """

    fits: tuple[str, str]
    tolerance: float = Field(default=0.01, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"fits": value} if isinstance(value, list | tuple) else value


class Output(_Section):
    """Where results go: ``<name>.npz`` for each fit, and ``report.json``.

    Parameters
    ----------
    folder : path
        Relative to the folder of the job file.
    """

    folder: Path


class _Written(_Section):
    data: Data
    fits: dict[FitName, dict[str, Any]] = Field(min_length=1)
    compare: tuple[Pair, ...] = ()
    output: Output | None = None
    threads: int | None = Field(default=None, gt=0)


@dataclass(frozen=True, slots=True)
class Job:
    """Data, fits, comparisons and outputs.

    Attributes
    ----------
    path : Path
        The job file.
    data : Data
    fits : mapping of str to Spec
    compare : tuple of Pair
    output : Output or None
    threads : int or None
        Workers; default: all processors.
    """

    path: Path
    data: Data
    fits: Mapping[str, Spec]
    compare: tuple[Pair, ...]
    output: Output | None
    threads: int | None


def load(path: str | os.PathLike[str]) -> Job:
    """Read a job file. No data are touched.

    Raises
    ------
    ConfigError
        Something in it is wrong; the message says the line, and the nearest name for a misspelt one.
    """
    document = read(Path(path))
    written = validated(_Written, document.values, document.where)
    fits = {name: _fit(document, name) for name in written.fits}
    for i, pair in enumerate(written.compare):
        for name in pair.fits:
            if name not in fits:
                raise ConfigError(f"{document.where(('compare', i))}: no fit {name!r}{nearest(name, fits)}")
    folder = Path(path).parent
    data = written.data.model_copy(update={"path": _inside(folder, written.data.path)})
    if data.generate is not None:
        try:
            data.generate.check(data.path)
        except ValueError as error:
            raise ConfigError(f"{document.where(('data', 'generate'))}: {error}") from None
    output = written.output and Output(folder=_inside(folder, written.output.folder))
    return Job(Path(path), data, fits, written.compare, output, written.threads)


def _inside(folder: Path, path: Path) -> Path:
    return Path(os.path.normpath(folder / path.expanduser()))


def _fit(document: Document, name: str) -> Spec:
    options = dict(document.values["fits"][name])
    at = ("fits", name)
    kind = options.pop("kind", None)
    if kind is None:
        raise ConfigError(f"{document.where(at)}: fits.{name}.kind is missing; it can be linear or keras")
    return validated(_model(kind, document.where((*at, "kind"))), options, document.where, at)


def _model(kind: Any, where: str) -> type[Spec]:
    """Return the class of a model; each is imported only if a job asks for it."""
    if kind == "linear":
        from streamreg.models.linear import Linear

        return Linear
    if kind == "keras":
        from streamreg.models.neural import Keras

        return Keras
    raise ConfigError(f"{where}: no kind of fit {kind!r}{nearest(str(kind), ('linear', 'keras'))}")
