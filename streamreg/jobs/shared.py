"""One pass for all fits of a job that begin with the moments of the rows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from streamreg.jobs.chosen import Chosen
from streamreg.models.base import Spec
from streamreg.models.constrained import Constrained
from streamreg.models.linear import Linear
from streamreg.scans import scan
from streamreg.sources.base import Source
from streamreg.stats.grouped import Grouped


class Shared:
    """The fits of a job that share a scan of the columns that any of them needs.

    Fits that leave rows out, of missing values or to validate on, have moments of their own; so do those of another
    target, of powers, or of exact sums.

    Parameters
    ----------
    fits : mapping of str to Spec

    Attributes
    ----------
    names : tuple of str
        Two fits or more, or none.
    """

    def __init__(self, fits: Mapping[str, Spec]) -> None:
        able = {name: model for name, model in fits.items() if _from_moments(model)}
        self._folds = next((_folds(model) for model in able.values() if _folds(model)), None)
        names = tuple(name for name, model in able.items() if _folds(model) in (None, self._folds))
        self.names = names if len(names) > 1 else ()
        self._models = [fits[name] for name in self.names]

    @property
    def saved(self) -> int:
        """Passes that the fits would have read apart."""
        return max(len(self.names) - 1, 0)

    def scan(self, source: Source, **workers: Any) -> Any:
        """Read the rows once, and return their moments; None if no fits share them."""
        if not self.names:
            return None
        asked = [getattr(model, "features", None) for model in self._models]
        union = None if None in asked else tuple(dict.fromkeys(name for features in asked for name in features or ()))
        kept: dict[str, Any] = {} if self._folds is None else {"folds": self._folds[0], "seed": self._folds[1]}
        return scan(source, union, **workers, **kept)

    def fit(self, name: str, model: Spec, source: Source, moments: Any, **workers: Any) -> Any:
        """Fit one of the models of the job, from the moments if it is among those that share them."""
        if name not in self.names:
            return model.fit(source, **workers)
        whole = moments.merged() if isinstance(moments, Grouped) else moments
        if isinstance(model, Constrained):
            found = dataclasses.replace(model.fit(whole), source=source.label)
        elif isinstance(model, Chosen):
            found = model.choose_from(moments if _folds(model) else whole, source.label)
        else:
            found = model.fit(source, moments=whole, **workers)  # type: ignore[call-arg]  # Linear and Keras
        return dataclasses.replace(found, passes=found.passes + 1)


def _from_moments(model: Spec) -> bool:
    """Whether a model begins with float64 moments of all rows."""
    options: Any = model
    if options.missing != "error" or options.target is not None:
        return False
    if isinstance(model, Linear):
        return not (model.powers or model.device) and model.precision != "exact" and model.errors == "classical"
    return isinstance(model, Constrained | Chosen) or (hasattr(model, "epochs") and not options.validation)


def _folds(model: Spec) -> tuple[int, int] | None:
    return (model.folds, model.seed) if isinstance(model, Chosen) and model.by_folds else None
