"""A model is a frozen specification: the object, its YAML and the provenance in a result are one thing."""

import dataclasses
import os
import re
from abc import abstractmethod
from collections.abc import Container
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from streamreg import sources
from streamreg.errors import UsageError, current
from streamreg.models.needs import Needs
from streamreg.models.registry import kind_of
from streamreg.models.validation import usage_error
from streamreg.sources.base import Source
from streamreg.stats.base import SUFFIX, Statistic
from streamreg.stats.moments import Moments

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


def _device(value: str) -> str:
    if not re.fullmatch(r"(cpu|gpu)(:[0-9]+)?", value):
        raise ValueError(f"no {value!r}; it can be 'gpu', 'gpu:1' and so on, or 'cpu'")
    return value


Device = Annotated[str, AfterValidator(_device)]
"""Where Keras's backend computes: "gpu", "gpu:1", or "cpu"."""


class _Listed(ModelMetaclass):
    """Class of models: `help` and completion list what is ours, and not the methods of pydantic."""

    def __dir__(self) -> list[str]:
        own = {name for base in self.__mro__ if base not in BaseModel.__mro__ for name in vars(base)}
        return sorted(name for name in own if not name.startswith(("_", "model_")))


class Model(BaseModel, metaclass=_Listed):
    """Base of all models. Unknown options are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, *unnamed: Any, **options: Any) -> None:
        if unnamed:
            options = _formula_first(type(self), unnamed, options)
        options = current(options, type(self).model_fields)
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise usage_error(type(self), error, options) from None

    # Values of a document are validated without a call of `__init__`, so that its errors keep their places.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic's own mark

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            kind = type(self).__name__
            raise UsageError(f"{kind} does not change once it is made; make another: {kind}({name}={value!r}, ...)")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise UsageError(f"{type(self).__name__} does not change once it is made: {name} stays")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Show options and their defaults where the class is looked at; what they can be is in the docstring."""
        shown = [
            Parameter(
                name,
                Parameter.POSITIONAL_OR_KEYWORD if name == "formula" else Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
            )
            for name, field in cls.model_fields.items()
        ]
        cls.__signature__ = Signature(sorted(shown, key=lambda one: one.kind))

    @abstractmethod
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
    ) -> Any:
        """Estimate from `data`: a source, or what `streamreg.open` takes; ``fit(X, y)`` is ``fit((X, y))``.

        `y` and `weight` may be names, where the data have names.
        """

    @abstractmethod
    def needs(self) -> Needs:
        """Return which columns, passes and memory a fit takes. No data are touched."""

    @property
    def gives(self) -> Literal["coefficients", "network", "groups", "classes", "instruments"]:
        """What `fit` returns: a line, a network, a line for each group or each class, or one by instruments."""
        return "coefficients"

    @classmethod
    def wrapped(cls, options: Container[str]) -> str | None:
        """Return the kind of wrapper that is meant where options of it and of this model are written in one mapping.

        None: these are options of this model alone.
        """
        return None

    def fit_from(self, moments: Any, source: Source, **workers: Any) -> Any:
        """Estimate as `fit` does, with the moments of a scan of `source` in place of the first pass.

        Called only if `needs` says that the fit begins with moments. They may hold more columns than the model needs.
        The result counts the scan as one of its passes.
        """
        own: Any = self.model_copy(update={"features": self.needs().columns(source)})
        found = own.fit(moments, **workers)
        return dataclasses.replace(found, source=source.label, model=self.to_dict(), passes=found.passes + 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values, with the kind of the model."""
        return {"kind": kind_of(type(self)), **self.model_dump(mode="json")}


def _formula_first(kind: type[Model], unnamed: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the one that needs no name: ``sr.Linear("y ~ x")``."""
    first = unnamed[0]
    if len(unnamed) == 1 and isinstance(first, str) and "~" in first and "formula" in kind.model_fields:
        if "formula" in options:
            raise UsageError(
                f"{kind.__name__}: {first!r} and formula={options['formula']!r} are two formulas; give one"
            )
        return {"formula": first, **options}
    raise UsageError(
        f"{kind.__name__}: {first!r} has no name, and options go by name, but for a formula, 'y ~ a + b': columns are "
        "chosen by features=[...] and target=..., and rows are passed to fit"
    )


def together(data: Any, y: Any, weight: Any) -> Any:
    """Return features, and a target and weights that were passed beside them, as `streamreg.open` takes them.

    A target, and weights, may be named where the data have names.

    Raises
    ------
    UsageError
        The data have columns of their own to name, or there are weights without a target.
    """
    if y is None and weight is None:
        return data
    if isinstance(y, str) and (weight is None or isinstance(weight, str)) and not isinstance(data, Statistic | tuple):
        return sources.open(data, target=y, weights=weight)
    if isinstance(data, Source | Statistic | tuple | str | os.PathLike) or isinstance(y, str):
        raise UsageError("y and weight go with a matrix X in memory; name columns by target=, and weights= in sr.open")
    if y is None:
        raise UsageError("weight goes with y: fit(X, y, weight)")
    return (data, y) if weight is None else (data, y, weight)


def as_source(data: Any, target: str | None = None) -> Source:
    """Return `data` as a source: a source stays one, anything that `streamreg.open` takes is opened.

    `target`, if given, takes the place of the source's.

    Raises
    ------
    UsageError
        These are moments, which hold no rows.
    """
    if as_state(data) is not None:
        raise UsageError("moments hold no rows, and rows are needed here; pass the source that was scanned")
    return sources.open(data, target=target)


def as_moments(data: Any) -> Moments | None:
    """Return `as_state` for models that work on float64 moments.

    Raises
    ------
    UsageError
        The state is of another kind.
    """
    state = as_state(data)
    if state is None or isinstance(state, Moments):
        return state
    raise UsageError(f"this needs Moments (sr.scan), not {type(state).__name__}")


def as_state(data: Any) -> Any:
    """Return the state of an earlier scan, of all its rows together: `data` itself, or what is in a file of moments.

    None if `data` is something else.
    """
    if isinstance(data, str | os.PathLike) and str(data).endswith(SUFFIX):
        from streamreg.scans.moments_file import load

        data = load(data)
    if not isinstance(data, Statistic):
        return None
    from streamreg.stats.grouped import Grouped

    return data.merged() if isinstance(data, Grouped) else data
