"""One pass for all fits of a job that begin with the moments of the rows."""

import dataclasses
from collections.abc import Container, Mapping
from typing import Any

from streamreg.design.design import Design
from streamreg.models.base import Spec
from streamreg.models.by_group_spec import ByLevel
from streamreg.models.constrained import Constrained
from streamreg.models.linear import Linear
from streamreg.models.selected import Chosen
from streamreg.scans.scan import scan
from streamreg.sources.base import Source
from streamreg.stats.grouped import Grouped


class Shared:
    """The fits of a job that share a scan of the columns that any of them needs.

    Fits that leave rows out, of missing values or to validate on, have moments of their own; so do those of another
    target, of powers, or of exact sums. A scan keeps rows apart in one way, by folds or by the levels of a column: the
    one that most fits can share. Levels may be many, so only fits of columns that theirs have anyway join them.

    Parameters
    ----------
    fits : mapping of str to Spec

    Attributes
    ----------
    names : tuple of str
        Two fits or more, or none.
    first : str or None
        The fit that says how the scan keeps rows apart, if it does.
    """

    def __init__(self, fits: Mapping[str, Spec]) -> None:
        able = {name: model for name, model in fits.items() if _from_moments(model)}
        leads: list[str | None] = [*(name for name, model in able.items() if _apart(model)), None]
        groups = {lead: [name for name, model in able.items() if _joins(model, lead and able[lead])] for lead in leads}
        self.first = max(leads, key=lambda lead: len(groups[lead]))
        self.names = tuple(groups[self.first]) if len(groups[self.first]) > 1 else ()
        self._models = {name: fits[name] for name in self.names}

    def saved(self, fits: Container[str]) -> int:
        """Return how many passes these fits would have read apart."""
        return max(sum(name in fits for name in self.names) - 1, 0)

    def scan(self, source: Source, **workers: Any) -> Any:
        """Read the rows once, and return their moments; None if no fits share them."""
        if not self.names:
            return None
        asked = [_columns(model, source) for model in self._models.values()]
        union = tuple(dict.fromkeys(name for features in asked for name in features))
        return scan(source, union, **workers, **(_apart(self._models[self.first]) if self.first else {}))

    def fit(self, name: str, model: Spec, source: Source, moments: Any, **workers: Any) -> Any:
        """Fit one of the models of the job, from the moments if it is among those that share them."""
        if name not in self.names:
            return model.fit(source, **workers)
        if isinstance(model, ByLevel):
            return model.fit_from(moments, source.label, _columns(model, source))
        whole = moments.merged() if isinstance(moments, Grouped) else moments
        if isinstance(model, Constrained | Chosen):
            own = _of(model, _columns(model, source))
            if isinstance(own, Chosen):
                found = own.choose_from(moments if _apart(own) else whole, source.label)
            else:
                found = own.fit(whole)
            found = dataclasses.replace(found, source=source.label, model=model.to_dict())
        else:
            found = model.fit(source, moments=whole, **workers)  # type: ignore[call-arg]  # Linear and Keras
        return dataclasses.replace(found, passes=found.passes + 1)


def _from_moments(model: Spec) -> bool:
    """Whether a model begins with float64 moments of all rows."""
    options: Any = model
    if options.missing != "error" or options.target is not None:
        return False
    line = model.model if isinstance(model, ByLevel) else model
    if isinstance(line, Linear):
        return not (line.powers or line.device) and line.precision != "exact" and line.errors == "classical"
    return isinstance(model, Constrained | Chosen) or (hasattr(model, "epochs") and not options.validation)


def _apart(model: Spec) -> dict[str, Any]:
    """Return how the scan of a model keeps rows apart, as options of `scan`."""
    if isinstance(model, ByLevel):
        return {"by": model.by, "memory": model.memory}
    return {"folds": model.folds, "seed": model.seed} if isinstance(model, Chosen) and model.by_folds else {}


def _joins(model: Any, lead: Any) -> bool:
    """Whether a model can be fitted from a scan that keeps rows apart as `lead` has it, or, without it, does not."""
    if not isinstance(lead, ByLevel):
        return not _apart(model) or (lead is not None and _apart(model) == _apart(lead))
    able = model.by == lead.by if isinstance(model, ByLevel) else not _apart(model)
    columns = None if lead.features is None else {*lead.features, lead.by}
    return able and (columns is None or (model.features is not None and columns.issuperset(model.features)))


def _of(model: Any, features: tuple[str, ...]) -> Any:
    """Return the same model of these features."""
    if isinstance(model, Chosen):
        return model.model_copy(update={"model": _of(model.model, features)})
    return model.model_copy(update={"features": features})


def _columns(model: Any, source: Source) -> tuple[str, ...]:
    """Return the features of a model of these rows, which for lines by level leave the level out."""
    keys = (model.by,) if isinstance(model, ByLevel) else ()
    chosen = Design.of(source, model.features, keys=keys).features
    return tuple(name for name in chosen if name not in keys)
