"""One pass for all fits of a job that begin with the moments of the rows."""

import time
from collections.abc import Mapping
from typing import Any

from streamreg.models.base import Model
from streamreg.models.needs import Needs
from streamreg.scans.scan import scan
from streamreg.sources.base import Source
from streamreg.stats.grouped import Grouped


class Shared:
    """The fits of a job that share a scan of the columns that any of them needs.

    Fits that leave rows out, of missing values or to validate on, have moments of their own; so do those of another
    target, of powers, or of exact sums. A scan keeps rows apart in one way, by folds or by the values of a column: the
    one that most fits can share. Groups may be many, so only fits of columns that theirs have anyway join them.

    Parameters
    ----------
    fits : mapping of str to Model

    Attributes
    ----------
    names : tuple of str
        Two fits or more, or none.
    first : str or None
        The fit that says how the scan keeps rows apart, if it does.
    seconds : float
        Of the scan.
    """

    def __init__(self, fits: Mapping[str, Model]) -> None:
        needs = {name: model.needs() for name, model in fits.items()}
        able = {name: need for name, need in needs.items() if _from_moments(need)}
        leads: list[str | None] = [*(name for name, need in able.items() if need.apart is not None), None]
        groups = {
            lead: [name for name, need in able.items() if _joins(need, able[lead] if lead else None)] for lead in leads
        }
        self.first = max(leads, key=lambda lead: len(groups[lead]))
        self.names = tuple(groups[self.first]) if len(groups[self.first]) > 1 else ()
        self.seconds = 0.0
        self._needs = {name: needs[name] for name in self.names}

    @property
    def saved(self) -> int:
        """How many passes the fits would read more if they were made apart."""
        return max(len(self.names) - 1, 0)

    def scan(self, source: Source, **workers: Any) -> Any:
        """Read the rows once, and return their moments; None if no fits share them."""
        if not self.names:
            return None
        began = time.perf_counter()
        asked = [need.columns(source) for need in self._needs.values()]
        union = tuple(dict.fromkeys(name for features in asked for name in features))
        found = scan(source, union, **workers, **(self._needs[self.first].scan_options() if self.first else {}))
        self.seconds = time.perf_counter() - began
        return found

    def fit(self, name: str, model: Model, source: Source, moments: Any, **workers: Any) -> Any:
        """Fit one of the models of the job, from the moments if it is among those that share them."""
        if name not in self.names:
            return model.fit(source, **workers)
        together = isinstance(moments, Grouped) and self._needs[name].apart is None
        return model.fit_from(moments.merged() if together else moments, source, **workers)


def _from_moments(need: Needs) -> bool:
    """Whether a fit begins with float64 moments of all rows and the target of the data."""
    return need.moments and need.missing == "error" and need.target is None


def _joins(need: Needs, lead: Needs | None) -> bool:
    """Whether a fit can begin with a scan that keeps rows apart as `lead` has it, or, without it, does not."""
    if lead is None:
        return need.apart is None
    if need.apart not in (None, lead.apart):
        return False
    if lead.group is None or lead.features is None:
        return True
    return need.features is not None and {*lead.features, lead.group}.issuperset(need.features)
