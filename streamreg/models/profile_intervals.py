"""Profile likelihood intervals of asked-for coefficients, all ends in the same passes over the rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.errors import NotFound, OnePassError, UsageError, nearest, require, typed
from streamreg.families import family
from streamreg.inference.distributions import t_quantile
from streamreg.inference.statistics import require_level
from streamreg.line import Line
from streamreg.models.base import as_source
from streamreg.models.newton import Step, newton_step
from streamreg.models.passes import Ask, Climbing, drive, joined
from streamreg.results.base import FitResult
from streamreg.results.intervals import require_errors
from streamreg.results.profiled import ProfileIntervals
from streamreg.scans.formulas import as_fitted
from streamreg.scans.run import Run
from streamreg.solve.restrictions import INTERCEPT
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]

_STEPS = 60
_FAR = 50.0  # standard errors from the estimate, beyond which an end counts as infinite
_ROUNDED = 1e-6  # standard errors; what the length of a step is known to, as it is a small difference
_SAME = 1e-9  # relative difference of deviances of the same rows


@typed
def profile_intervals(
    fit: FitResult,
    data: Any,
    names: str | Sequence[str],
    level: float = 0.95,
    *,
    tolerance: float = 1e-8,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> ProfileIntervals:
    """Return intervals that hold the values which a likelihood-ratio test does not refuse.

    Parameters
    ----------
    fit : FitResult
        Of a generalised linear model with errors. Of a line `conf_int` is this interval already.
    data : Source, or anything that `streamreg.open` takes
        The rows of the fit; they are read several times.
    names : str or sequence of str
        Coefficients; "intercept" is the constant.
    level : float
        A share between 0 and 1.
    tolerance : float
        Length of the last step, in standard errors.
    threads, progress, engine : optional
        As in `streamreg.scan`.

    Raises
    ------
    UsageError
        The fit is of a line, has no errors, or a coefficient is not determined.
    NotFound
        No such coefficient.
    OnePassError
        The rows can be read only once.

    Notes
    -----
    An end is where the deviance, least over all other coefficients, is that of the fit and the square of the quantile
    of the tests (normal; Student's t where the dispersion is estimated), times the dispersion. Both conditions are met
    together by Newton's method (Venzon & Moolgavkar 1988, *Applied Statistics* 37). Cost: some five passes, whatever
    the number of coefficients.
    """
    require(fit, FitResult, "profile intervals are of the fit that sr.Glm(...).fit(data) returns")
    require_level(level)
    if family(fit.family).least_squares:
        raise UsageError("of least squares fit.conf_int() is the profile interval; there is nothing to search for")
    require_errors(fit, "profile intervals")
    if not np.isfinite(fit.deviance) or fit.absorbed is not None or not fit.status.startswith(("ok", "dependent")):
        raise UsageError(f"profile intervals are about the maximum of a likelihood, and this fit is {fit.status!r}")
    wanted = (names,) if isinstance(names, str) else tuple(names)
    places = [_place(name, fit) for name in wanted]
    run = Run.of(threads, engine, progress)
    source = as_fitted(as_source(data, None), fit.encoder).with_roles(target=fit.target)
    if source.one_pass:
        raise OnePassError(f"{source.label}: profile intervals take several passes, and its rows can be read only once")
    beside = {role: fit.columns[len(fit.terms_of) + k] for k, role in enumerate(fit.likelihood.get("beside", ()))}
    if trials := fit.model.get("trials"):
        beside["trials"] = trials
    missing: Any = "drop" if fit.n_missing else "error"
    design = Design.of(source, fit.terms_of, missing, fit.powers, beside=beside).with_target()
    quantile = t_quantile(1.0 - level, fit.df_test)
    climbs = [_end(fit, design.names, place, side, quantile, tolerance) for place in places for side in (-1.0, 1.0)]
    ends, passes = drive(joined(climbs), source, design, run)
    lost = [f"{wanted[k // 2]} ({'lower' if k % 2 == 0 else 'upper'})" for k, v in enumerate(ends) if np.isnan(v)]
    whole = np.vstack([fit.intercept_conf_int(level), fit.conf_int(level)])
    return ProfileIntervals(
        names=wanted,
        estimates=np.array([fit.intercept if place < 0 else fit.coef[place] for place in places]),
        lower=np.array(ends[::2]),
        upper=np.array(ends[1::2]),
        wald=whole[[place + 1 for place in places]],
        conf_level=level,
        passes=passes,
        target=fit.target,
        source=source.label,
        family=fit.family,
        status="ok" if not lost else f"not converged: the ends of {', '.join(lost)} were not found in {_STEPS} passes",
        provenance=fit.provenance,
    )


def _place(name: str, fit: FitResult) -> int:
    """Return where a coefficient stands; -1 for the constant."""
    if name in fit.names:
        place = fit.names.index(name)
        if not fit.identifiable[place]:
            raise UsageError(f"the data do not determine the coefficient of {name!r}, so it has no interval")
        return place
    if name == INTERCEPT and fit.has_intercept:
        return -1
    raise NotFound(f"the fit has no coefficient {name!r}{nearest(name, (*fit.names, INTERCEPT))}")


def _end(
    fit: FitResult, names: tuple[str, ...], place: int, side: float, quantile: float, tolerance: float
) -> Climbing[float]:
    """Search for one end: the value there; infinite if the likelihood does not fall so far, NaN if it was not found."""
    centre, p = fit.centre, len(fit.names)
    scale = fit.sigma**2
    aim = fit.deviance + quantile**2 * scale
    error = fit.intercept_std_error if place < 0 else float(fit.std_errors[place])
    estimate = fit.intercept if place < 0 else float(fit.coef[place])
    at = Line(centre, np.nan_to_num(fit.coef), fit.at_centre)
    mean = float(family(fit.family).mean(np.array([fit.at_centre]))[0])
    move, below = Line(centre, np.zeros(p), 0.0), fit.deviance
    for number in range(_STEPS):
        state: WorkingMoments
        empty = WorkingMoments(names, fit.family, at, mean)
        (state,) = yield [Ask(empty, "profile intervals of")]
        deviance = state.likelihood().deviance
        if number == 0 and abs(deviance - fit.deviance) > _SAME * max(abs(fit.deviance), 1.0):
            raise UsageError(
                f"the rows have deviance {deviance:.10g} at the estimates, and the fit has {fit.deviance:.10g}; pass "
                "the rows that were fitted"
            )
        step = newton_step(state, fit.has_intercept)
        along, spread = _direction(step, place)
        left = aim - deviance + step.distance**2
        if left < 0 or not np.isfinite(deviance):
            # Beyond the end by more than the others can make good: back to half of the step.
            move = Line(centre, move.coef / 2.0, move.at / 2.0)
            at = at.moved(move, -1.0)
            continue
        share = side * np.sqrt(left / spread)
        move = Line(centre, step.change.coef + share * along.coef, step.change.at + share * along.at)
        at, below = at.moved(move), deviance
        value, moved, own = (_coefficient(line, place) for line in (at, move, step.change))
        if abs(value - estimate) > _FAR * error and below < aim:
            return side * np.inf
        # How far the step went, in standard errors: the coefficient itself, and all together.
        length = max(step.distance**2 + 2.0 * share * own + share**2 * spread, 0.0)
        if number and moved**2 <= tolerance**2 * scale * spread and length <= _ROUNDED**2 * scale:
            return value
    return float("nan")


def _coefficient(line: Line, place: int) -> float:
    return float(line.at - line.centre @ line.coef) if place < 0 else float(line.coef[place])


def _direction(step: Step, place: int) -> tuple[Line, float]:
    """Return the inverse information times the coefficient's direction, and the coefficient's own part of that."""
    problem, found, p = step.problem, step.solution, len(step.problem.names)
    norms = np.ldexp(found.scale, found.exponent)[found.kept]
    means = problem.mean[0][:p] - step.change.centre if problem.intercept else np.zeros(p)
    inverse = found.inverse / norms[:, None] / norms
    slopes = np.zeros(p)
    if place >= 0:
        slopes[found.kept] = inverse[:, list(found.kept).index(place)]
        return Line(step.change.centre, slopes, -float(means @ slopes)), float(slopes[place])
    # The constant: the value at the means, of variance 1 / weight, less what the slopes make of the way to zero.
    way = -(means + step.change.centre)
    slopes[found.kept] = inverse @ way[found.kept]
    level = 1.0 / problem.weight
    return Line(step.change.centre, slopes, level - float(means @ slopes)), level + float(way @ slopes)
