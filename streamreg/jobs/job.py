"""What a job says, checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
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

KINDS = {
    "linear": ("linear", "Linear"),
    "logistic": ("glm", "Logistic"),
    "glm": ("glm", "Glm"),
    "penalised": ("penalised", "Penalised"),
    "subsets": ("selection", "Subsets"),
    "constrained": ("constrained", "Constrained"),
    "keras": ("neural", "Keras"),
}

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
    held_out : float
        Share of the rows that no fit sees, to score on; chosen by a hash of the row number.
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
    """Where results go: ``<name>.npz`` for each fit (a network: ``<name>.keras``), and ``report.json``.

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
    score: tuple[Scoring, ...] = ()
    output: Output | None = None
    threads: int | None = Field(default=None, gt=0)


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
    """

    path: Path
    data: Data
    fits: Mapping[str, Spec]
    compare: tuple[Pair, ...]
    score: tuple[Scoring, ...]
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
    named: list[tuple[str, int, tuple[str, ...]]] = [
        ("compare", i, pair.fits) for i, pair in enumerate(written.compare)
    ]
    named += [("score", i, entry.fits) for i, entry in enumerate(written.score)]
    for section, i, names in named:
        where = document.where((section, i))
        for name in names:
            if name not in fits:
                raise ConfigError(f"{where}: no fit {name!r}{nearest(name, fits)}")
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
    return Job(Path(path), data, fits, written.compare, written.score, output, written.threads)


def _inside(folder: Path, path: Path) -> Path:
    return Path(os.path.normpath(folder / path.expanduser()))


def _fit(document: Document, name: str) -> Spec:
    options = dict(document.values["fits"][name])
    at = ("fits", name)
    kind = options.pop("kind", None)
    if kind is None:
        *most, last = KINDS
        raise ConfigError(f"{document.where(at)}: fits.{name}.kind is missing; it can be {', '.join(most)} or {last}")
    model = _model(kind, document.where((*at, "kind")))
    if kind not in ("penalised", "subsets"):
        return validated(model, options, document.where, at)
    from streamreg.jobs.chosen import Chosen

    rule = {name: options.pop(name) for name in Chosen.model_fields if name in options and name != "model"}
    many = validated(model, options, document.where, at)
    return validated(Chosen, {"model": many, **rule}, document.where, at)


def _model(kind: Any, where: str) -> type[Spec]:
    """Return the class of a model; each is imported only if a job asks for it."""
    if kind not in KINDS:
        raise ConfigError(f"{where}: no kind of fit {kind!r}{nearest(str(kind), KINDS)}")
    module, name = KINDS[kind]
    model: type[Spec] = getattr(import_module(f"streamreg.models.{module}"), name)
    return model


def is_network(model: Spec) -> bool:
    """Return whether a model is a network, which has no coefficients."""
    return not getattr(model, "is_line", True)
