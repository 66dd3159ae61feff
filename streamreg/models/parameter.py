"""A family's own parameter by maximum likelihood: alpha of counts, the power of a variance.

Scores of coefficients and of such parameters are uncorrelated (Cox & Reid 1987, *JRSS B* 49), so a step of each is
taken by the same pass; nothing is lost by not looking at the other.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import DataError, StreamregError
from streamreg.families import family
from streamreg.line import Line
from streamreg.models.climb import Climb, climb, climb_from, whitened
from streamreg.models.newton import newton_step
from streamreg.models.sample import sample
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.parameter import JointStep, ParameterSums
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]

_START = 0.05  # standard errors of a sample, within which it tells no more of the maximum of all rows
_FARTHEST = 3.0  # step of a parameter at most, on its own scale
_SLACK = 1e-10  # relative fall of the likelihood that rounding may cause


@dataclass(frozen=True, slots=True)
class _Found:
    value: float
    error: float
    dispersion: float
    at: Line
    level: float
    whitening: Float
    passes: int
    last: float = float("nan")  # length of the last step of the coefficients
    path: Climb | None = None  # where it stopped without a maximum
    status: str = "ok"


def maximised(model: Any, source: Source, design: Design, run: Run) -> tuple[Any, Climb, dict[str, Any]]:
    """Return a `Glm` with its parameter estimated, the maximum there, and what to tell of the estimate.

    Raises
    ------
    DataError
        The likelihood rises up to the end of where the parameter can be; says which family that is.
    """
    found = _found(model, source, design, run, model.tolerance)
    name = family(model.spelling).parameter
    inner = model.model_copy(update={name: found.value})
    told = {"estimated": name, name: found.value, f"{name}_std_error": found.error}
    if not family(inner.spelling).dispersion_known:
        told["dispersion_at_maximum"] = found.dispersion
    if found.path is not None:
        return inner, found.path, told | {name: float("nan")}
    path = climb_from(inner, source, design, run, found.at, found.level, found.whitening, found.last)
    if path.found.status == "ok" and found.status != "ok":
        path = replace(path, found=replace(path.found, status=found.status))
    return inner, replace(path, passes=path.passes + found.passes), told


def _found(model: Any, source: Source, design: Design, run: Run, tolerance: float) -> _Found:
    facts = family(model.spelling)
    name = facts.parameter
    start = _sampled(model, source, design, run) if tolerance < _START else None
    if start is None:
        # Of coefficients little is lost by a parameter that is wrong.
        inner = model.model_copy(update={name: getattr(facts, name)})
        path = climb(inner, source, design, run)
        end = path.found
        df = max(end.state.n - end.step.solution.rank - model.intercept, 1)
        dispersion = 1.0 if facts.dispersion_known else end.state.pearson() / df
        start = _Found(
            getattr(facts, name), np.nan, dispersion, end.at, path.level, whitened(end.step.solution), path.passes
        )
        if end.status != "ok":
            return replace(start, path=path)
    return _joint(model, source, design, run, start, tolerance)


def _sampled(model: Any, source: Source, design: Design, run: Run) -> _Found | None:
    """Return the estimates of a sample of the rows; None where there are few rows, or it has none."""
    if model.max_iterations < 4:
        return None
    try:
        part = sample(source, design, run)
        if part is None:
            return None
        here = replace(run, engine=Threads(run.engine.workers), progress=False, checkpoint=None)
        found = _found(model, part, design, here, _START)
    except StreamregError:
        return None
    return None if found.path is not None or found.status != "ok" else replace(found, passes=0)


def _joint(model: Any, source: Source, design: Design, run: Run, start: _Found, tolerance: float) -> _Found:
    """Climb in coefficients, parameter and dispersion together, one pass for each step."""
    name = family(model.spelling).parameter
    value, dispersion, at = start.value, start.dispersion, start.at
    frequency = model.weight_kind == "frequency"
    move, step, share, below = None, np.zeros(0), 1.0, -np.inf
    before = (value, dispersion)
    passes = 0
    while passes < model.max_iterations:
        passes += 1
        spelling = model.model_copy(update={name: value}).spelling
        facts = family(spelling)
        mean = float(facts.mean(np.array([start.level]))[0])
        working = WorkingMoments(design.names, spelling, at, mean, move, model.device, start.whitening)
        sums = ParameterSums(design.names, spelling, at, dispersion, model.intercept, frequency)
        state = run.scan(source, design, JointStep(working, sums), f"{name} step {passes} on")
        now = state.parameter.log_likelihood
        if move is not None and not now >= below - _SLACK * abs(below) and share > 1e-4:
            at, share = at.moved(move, -share / 2), share / 2
            value, dispersion = _moved(model, name, before, step * share)
            continue
        newton = newton_step(state.working, model.intercept)
        score, information = state.parameter.derivatives()
        step, distance = _safe(score, information)
        if words := facts.parameter_end():
            raise DataError(f"{source.label}: {words}")
        move, share, below, before = newton.change, 1.0, now, (value, dispersion)
        at = at.moved(move)
        value, dispersion = _moved(model, name, before, step)
        if max(newton.distance / np.sqrt(before[1]), distance) <= max(tolerance, 1e-8):
            with np.errstate(invalid="ignore"):
                error = facts.parameter_error(np.asarray(np.linalg.inv(state.parameter.profiled()), np.float64))
            whole = start.passes + passes
            last = newton.distance
            return replace(start, value=value, error=error, dispersion=dispersion, at=at, passes=whole, last=last)
    status = f"not converged: {name} is not at its maximum after {passes} passes; raise max_iterations"
    return replace(start, value=value, dispersion=dispersion, at=at, passes=start.passes + passes, status=status)


def _moved(model: Any, name: str, before: tuple[float, float], step: Float) -> tuple[float, float]:
    """Return parameter and dispersion after a step from those before."""
    return family(model.model_copy(update={name: before[0]}).spelling).moved(step, before[1])


def _safe(score: Float, information: Float) -> tuple[Float, float]:
    """Return Newton's step, or one that rises where the likelihood is not concave, and its length in SE."""
    values, vectors = np.linalg.eigh(information)
    turned = vectors.T @ score
    step = vectors @ (turned / np.maximum(np.abs(values), 1e-12 * np.abs(values).max() + 1e-300))
    far = float(np.abs(step).max())
    step = step * min(1.0, _FARTHEST / far) if far > 0 else step
    distance = float(np.sqrt((turned**2 / np.abs(values)).sum())) if (values > 0).all() else np.inf
    return step, distance
