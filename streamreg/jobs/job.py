"""What a job says, checked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from streamreg import sources
from streamreg.errors import ConfigError, StreamregError, nearest
from streamreg.generation import Generate
from streamreg.jobs.document import Document, read
from streamreg.models.base import Spec
from streamreg.sources.base import Source
from streamreg.validation import validated

KINDS = {
    "linear": ("linear", "Linear"),
    "logistic": ("glm", "Logistic"),
    "glm": ("glm", "Glm"),
    "penalised": ("penalised", "Penalised"),
    "subsets": ("selection", "Subsets"),
    "constrained": ("constrained", "Constrained"),
    "keras": ("neural", "Keras"),
}

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
    held_out : float
        Share of the rows that no fit sees, to score on; chosen by a hash of the row number.
    generate : Generate, optional
        How to make the file if it is not there.
    """

    path: FilePath
    target: str
    x: str | None = None
    weights: str | None = None
    features: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    missing_chunks: Literal["error", "fill"] = "error"
    held_out: float = Field(default=0.0, ge=0, lt=1)
    generate: Generate | None = None

    def open(self) -> Source:
        """Open the file."""
        own = ("path", "generate", "held_out")
        return sources.open(self.path, **{n: getattr(self, n) for n in type(self).model_fields if n not in own})


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


class Scoring(_Section):
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

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"fits": value} if isinstance(value, list | tuple) else value


class Output(_Section):
    """Where results go: ``<name>.npz`` for each fit, and ``report.json``.

    A network is ``<name>.keras``. Lines by level are ``<name>.csv``, a table of all levels, and ``<name>.moments``, as
    `streamreg.scan` makes them, from which any line of any level is fitted again.

    Parameters
    ----------
    folder : path
        Relative to the folder of the job file.
    """

    folder: FilePath


class _Written(_Section):
    data: Data
    fits: dict[FitName, dict[str, Any]] = Field(min_length=1)
    compare: tuple[Pair, ...] = ()
    score: tuple[Scoring, ...] = ()
    output: Output | None = None
    threads: int | None = Field(default=None, gt=0, le=4096)


@dataclass(frozen=True, slots=True)
class Job:
    """Data, fits, comparisons, scores and outputs.

    Attributes
    ----------
    path : Path
        The job file.
    data : Data
    fits : mapping of str to Spec
    compare : tuple of Pair
    score : tuple of Scoring
    output : Output or None
    threads : int or None
        Workers; default: all processors.
    document : Document
        Where the file says what.
    """

    path: Path
    data: Data
    fits: Mapping[str, Spec]
    compare: tuple[Pair, ...]
    score: tuple[Scoring, ...]
    output: Output | None
    threads: int | None
    document: Document

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
    written = validated(_Written, document.values, document.where)
    fits = {name: _fit(document, name) for name in written.fits}
    named: list[tuple[str, int, tuple[str, ...]]] = [
        ("compare", i, pair.fits) for i, pair in enumerate(written.compare)
    ]
    named += [("score", i, entry.fits) for i, entry in enumerate(written.score)]
    for section, i, names in named:
        where = document.where((section, i))
        for name in names:
            if name not in fits:
                raise ConfigError(f"{where}: no fit {name!r}{nearest(name, fits)}")
            if is_by_level(fits[name]):
                raise ConfigError(
                    f"{where}: {name!r} is a line for each level, and to {section} takes one for all rows; name another"
                )
            if section == "compare" and is_network(fits[name]):
                raise ConfigError(f"{where}: {name!r} is a network and has no coefficients to compare; score it")
    folder = Path(path).parent
    data = written.data.model_copy(update={"path": _inside(folder, written.data.path)})
    if data.generate is not None:
        try:
            data.generate.check(data.path)
        except ValueError as error:
            raise ConfigError(f"{document.where(('data', 'generate'))}: {error}") from None
    output = written.output and Output(folder=_inside(folder, written.output.folder))
    return Job(Path(path), data, fits, written.compare, written.score, output, written.threads, document)


def _inside(folder: Path, path: Path) -> Path:
    return Path(os.path.normpath(folder / path))


def _fit(document: Document, name: str) -> Spec:
    options = dict(document.values["fits"][name])
    at = ("fits", name)
    kind = options.pop("kind", None)
    if kind is None:
        *most, last = KINDS
        raise ConfigError(f"{document.where(at)}: fits.{name}.kind is missing; it can be {', '.join(most)} or {last}")
    model = _model(kind, document.where((*at, "kind")))
    around = _around(kind, options, document.where((*at, "by")))
    if around is None:
        return validated(model, options, document.where, at)
    rule = {n: options.pop(n) for n in around.model_fields if n in options and n != "model"}
    known = [*around.model_fields, *model.model_fields]
    for n in options:
        if n not in known or n == "model":
            raise ConfigError(f"{document.where((*at, n))}: fits.{name}: no option {n!r}{nearest(str(n), known[1:])}")
    whole: Spec = validated(
        around, {"model": validated(model, options, document.where, at), **rule}, document.where, at
    )
    return whole


def _around(kind: str, options: Mapping[str, Any], where: str) -> Any:
    """Return what a model is part of: a choice of one line out of many, or lines by level; None if it stands alone."""
    if kind in ("penalised", "subsets"):
        from streamreg.jobs.chosen import Chosen

        return Chosen
    if "by" not in options:
        return None
    if kind != "linear":
        raise ConfigError(f"{where}: lines by level are of kind linear, and this fit is {kind}; leave out by")
    from streamreg.jobs.levels import ByLevel

    return ByLevel


def _model(kind: Any, where: str) -> type[Spec]:
    """Return the class of a model; each is imported only if a job asks for it."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{where}: no kind of fit {kind!r}{nearest(str(kind), KINDS)}")
    module, name = KINDS[kind]
    model: type[Spec] = getattr(import_module(f"streamreg.models.{module}"), name)
    return model


def is_network(model: Spec) -> bool:
    """Return whether a model is a network, which has no coefficients."""
    return not getattr(model, "is_line", True)


def is_by_level(model: Spec) -> bool:
    """Return whether a model is a line for each level of a column."""
    return hasattr(model, "by")
