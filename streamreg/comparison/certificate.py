"""How far a fit is from the maximum of its likelihood, told by the rows themselves."""

import dataclasses
from typing import Any

import numpy as np

from streamreg.design.design import Design
from streamreg.errors import UsageError
from streamreg.line import Line
from streamreg.models.base import as_source
from streamreg.models.newton import newton_step
from streamreg.results.base import FitResult
from streamreg.results.distance import Distance
from streamreg.scans.formulas import as_fitted
from streamreg.scans.run import Run
from streamreg.stats.base import Statistic
from streamreg.stats.working import WorkingMoments


def certified(distance: Distance, reference: FitResult, fit: FitResult, data: Any, run: Run) -> Distance:
    """Return `distance` with gradient, Newton distance and excess loss of a fit computed from the rows.

    Parameters
    ----------
    distance : Distance
    reference : FitResult
        Solved, of a family other than gaussian.
    fit : FitResult
        With the names of the reference, in its order.
    data : Source, or anything that `streamreg.open` takes
    run : Run

    Notes
    -----
    Cost: one pass, that of `WorkingMoments`.
    """
    if isinstance(data, Statistic):
        raise UsageError(f"moments do not hold the rows, which a {reference.family} comparison reads; pass the source")
    source = as_fitted(as_source(data), reference.encoder).with_roles(reference.target)
    missing = reference.model.get("missing", "error")
    beside = {role: reference.model[role] for role in ("offset", "exposure", "trials") if reference.model.get(role)}
    design = Design.of(source, reference.terms_of, missing, reference.powers, beside=beside).with_target()
    place = [reference.names.index(name) for name in design.terms.names]
    line = Line(reference.centre[place], fit.coef[place], fit.line.value(reference.centre))
    # The null model has no part in what is asked here.
    empty = WorkingMoments(design.names, reference.family, line, null_mean=0.5)
    state = run.scan(source, design, empty, "check of")
    step = newton_step(state, reference.has_intercept)
    problem, p = step.problem, len(place)
    spread = np.sqrt(np.diag(problem.cross)[:p])
    live = spread > 0
    gradient = float(np.abs(problem.cross[:p, p][live] / spread[live]).max(initial=0.0))
    if reference.has_intercept:
        gradient = max(gradient, abs(float(problem.mean[0][p])) * float(np.sqrt(problem.weight)))
    excess = state.likelihood().deviance / reference.deviance - 1.0
    farthest = distance.apart[distance.farther]
    first, second = (step.distance if value == farthest else value for value in distance.apart)
    return dataclasses.replace(distance, newton=step.distance, gradient=gradient, excess=excess, apart=(first, second))
