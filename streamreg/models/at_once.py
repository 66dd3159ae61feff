"""A line on columns filled by their means, in one pass: from moments of the columns and of what is missing in them."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from streamreg.design.policy import FILLING, Missing
from streamreg.models.base import as_source
from streamreg.models.estimates import result
from streamreg.results.base import FitResult
from streamreg.scans.run import Run
from streamreg.scans.scan import scan
from streamreg.solve.ladder import next_level
from streamreg.stats.refilled import Precision

_MOST = 64
"""Columns with indicators; of more, their products cost more than a pass in which means are learned."""


def fit_at_once(model: Any, data: Any, options: Mapping[str, Any]) -> tuple[FitResult | None, int]:
    """Return the fit of a `Linear`, None where it takes more than such moments; and the passes that were taken."""
    solved = getattr(model, "_from_state", None)  # of lines by least squares
    if solved is None or model.absorb or model.powers or model.device or model.errors != "classical":
        return None, 0
    if model.precision == "exact" or options.get("moments") is not None:
        return None, 0
    began, run = time.perf_counter(), Run.of(*(options.get(name) for name in ("threads", "engine", "progress")))
    source = as_source(data, model.target)
    names = model.features or source.roles.features or source.schema.names
    if source.one_pass or sum(source.schema.numeric(name) for name in names if name in source.schema.names) > _MOST:
        return None, 0
    try:
        state = scan(source, model.features, _indicators(model.missing), engine=run)
        problem, found, origin = solved(state)
    except Precision:
        return None, 1
    wanted = model.digits, model.digits if model.digits > 10 else 6
    if model.precision == "auto" and next_level(found, *wanted) != "float64":
        return None, 1
    if model.singular == "error" and found.dependencies:
        return None, 1
    seconds = time.perf_counter() - began
    origin = dataclasses.replace(origin, label=source.label, passes=1, seconds=seconds)
    return result(model, problem, found, origin), 1


def _indicators(missing: Missing) -> Missing:
    if isinstance(missing, str):
        return "indicator" if missing in FILLING else missing
    return {name: "indicator" if word in FILLING else word for name, word in missing.items()}
