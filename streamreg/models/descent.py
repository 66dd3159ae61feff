"""From rows to the minimum of a penalised deviance: one proximal Newton step for each pass.

Each step minimises the quadratic model of the deviance plus the penalty itself, by the solver of a line's path (Lee,
Sun & Saunders 2014, *SIAM Journal on Optimization* 24; Friedman, Hastie & Tibshirani 2010, *Journal of Statistical
Software* 33, take the same steps).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.families import family
from streamreg.line import Line
from streamreg.models.climb import level_of
from streamreg.models.newton import newton_step, separation
from streamreg.models.passes import Ask, Climbing
from streamreg.problem import Problem
from streamreg.solve import path
from streamreg.solve.digits import EPS, FULL
from streamreg.solve.path import Penalty
from streamreg.solve.scaled import Scaled
from streamreg.solve.weighed import Weighed, worked
from streamreg.stats.opening import OpeningMoments
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]

_SLACK = 1e-10  # relative rise of the objective that rounding may cause
_NEAR = 1e-4  # standard errors; a longer step is not the last, so that the sums at its start tell those at its end
_ROUNDING = 2.0**-44  # of the predictor's norm: a shorter step is rounding
_NULL = 1e-9  # standard errors of its constant within which the null model is known
_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of the rows before the first step.

    Attributes
    ----------
    state : OpeningMoments
    problem : Problem
        Least squares of the target itself, with the rows' own weights.
    null : float
        Linear predictor of the model without columns, offsets not counted.
    scaled : Scaled
        The least-squares problem of the step from there.
    share, square : float
        What penalties of `scaled` are multiplied by; see `Weighed.of`.
    slope : float
        What slopes of `scaled` are divided by.
    spread : ndarray of shape (p,)
        What slopes are multiplied by before they are penalised.
    lambda_max : float
    """

    state: OpeningMoments
    problem: Problem
    null: float
    scaled: Scaled
    share: float
    square: float
    slope: float
    spread: Float
    lambda_max: float

    @property
    def centre(self) -> Float:
        """A point near the means; zero without an intercept."""
        return self.problem.mean[0][:-1].copy() if self.problem.intercept else np.zeros(len(self.problem.names))

    def first(self, penalty: Penalty, alpha: float) -> Line:
        """Return the predictor that the first step leads to, without a look at the rows."""
        own = Weighed.of(penalty, self.spread, self.share, self.square)
        coef = path.solve(self.scaled, own, np.array([alpha]))[0] / self.slope
        at = self.null
        if self.problem.intercept:
            middle = self.scaled.problem.mean[0][:-1] - self.centre
            at -= float(coef[0] @ middle)
        return Line(self.centre, coef[0], at)


def opening(model: Any, label: str, design: Design, penalty: Penalty) -> Climbing[Opened]:
    """Read the rows once, and again for the null model if they have offsets or there is no intercept."""
    kind, names = family(model.spelling), design.names
    state: OpeningMoments
    empty = OpeningMoments.of(names, model.spelling, False, None, model.weight_kind == "frequency")
    (state,) = yield [Ask(empty, "scan")]
    null = level_of(model, label, design, state.facts)
    problem = state.problem(names[-1], None, model.intercept)
    scaled = Scaled.of(problem)
    spread = np.sqrt(scaled.variances()) if penalty.standardised else np.ones(len(problem.names))
    slope, share, square = 1.0, 1.0, 1.0
    if model.intercept and not any(role != "trials" for role, _ in design.beside):
        # From a model without slopes all rows have the same variance: the first step is least squares.
        mean = np.array([state.facts.target_mean])
        slope, information = (float(f(mean)[0]) for f in (kind.slope, kind.information))
        share, square = slope / information, 1.0 / information
    else:
        null, own = yield from _null_model(model, design, problem, null)
        scaled = Scaled.of(own)
        share = square = problem.weight / own.weight
    greatest = Weighed.of(penalty, spread, share, square).greatest(scaled)
    return Opened(state, problem, null, scaled, share, square, slope, spread, greatest)


def _null_model(model: Any, design: Design, problem: Problem, null: float) -> Climbing[tuple[float, Problem]]:
    """Return the constant of the model without columns, and the least-squares problem of the step from there."""
    p = len(problem.names)
    centre = problem.mean[0][:p].copy() if model.intercept else np.zeros(p)
    for rounds in range(1, _ROUNDS + 1):
        at = Line(centre, np.zeros(p), null)
        sums: WorkingMoments
        (sums,) = yield [Ask(_working(model, design, at, None, null, None), "null model on")]
        own = sums.problem(model.intercept)
        step = float(own.mean[0][p]) if model.intercept else 0.0
        if abs(step) * np.sqrt(own.weight) <= _NULL or rounds == _ROUNDS:
            break
        null += step
    return null, worked(own, centre, at.coef, null)


def _working(
    model: Any, design: Design, at: Line, move: Line | None, null: float, whitening: Float | None
) -> WorkingMoments:
    mean = float(family(model.spelling).mean(np.array([null]))[0])
    return WorkingMoments(design.names, model.spelling, at, mean, move, None, whitening)


@dataclass(frozen=True, slots=True)
class Reached:
    """The minimum for one penalty.

    Attributes
    ----------
    at : Line
    deviance, null_deviance, pearson, rss, tss, saturated : float
    df : float
        Degrees of freedom of the slopes.
    digits : ndarray of shape (p,)
    digits_intercept : float
    information : float
        Sum of the working weights.
    status : str
        "ok", or why this is not the minimum.
    """

    at: Line
    deviance: float
    null_deviance: float
    pearson: float
    rss: float
    tss: float
    saturated: float
    df: float
    digits: Float
    digits_intercept: float
    information: float
    status: str


def descend(
    model: Any, design: Design, opened: Opened, penalty: Penalty, alpha: float, start: Line | None, tolerance: float
) -> Climbing[Reached]:
    """Minimise half of the deviance plus the penalty. A step that makes it rise is halved.

    Parameters
    ----------
    start : Line, optional
        Where to begin; default: where the step from the null model leads.
    tolerance : float
        Distance to the minimum, in standard errors of the fit without a penalty, at which to stop.
    """
    canonical, weight = family(model.spelling).canonical, opened.problem.weight
    at = start or opened.first(penalty, alpha)
    norms = np.sqrt(np.maximum(np.diag(opened.problem.cross)[:-1], 0.0))
    norms = np.ldexp(norms, opened.problem.exponent[:-1])
    whitening = np.where(norms > 0, 1.0 / np.where(norms > 0, norms, 1.0), 0.0)
    move, portion, below, last, passes = None, 1.0, np.inf, np.nan, 0
    while True:
        passes += 1
        state: WorkingMoments
        (state,) = yield [Ask(_working(model, design, at, move, opened.null, whitening), f"{model.spelling} path on")]
        now = state.likelihood()
        size = np.abs(at.coef) * opened.spread
        cost = alpha * (penalty.l1_ratio * size.sum() + (1.0 - penalty.l1_ratio) / 2.0 * float(size @ size))
        objective = now.deviance / 2.0 + weight * cost
        again = objective > below + _SLACK * abs(below) and move is not None and portion > 1e-3
        if again and move is not None and passes < model.max_iterations:
            at, portion = at.moved(move, -portion / 2), portion / 2
            continue
        problem = state.problem(model.intercept)
        scaled = Scaled.of(worked(problem, at.centre, at.coef, at.at))
        own = Weighed.of(penalty, opened.spread, weight / problem.weight)
        coef, df, settled = path.solve(scaled, own, np.array([alpha]))
        new = Line(at.centre, coef[0], float(scaled.at_means(coef, at.centre)[0]))
        came, move, below = move, Line(at.centre, new.coef - at.coef, new.at - at.at), objective
        level = move.value(problem.mean[0][:-1]) if model.intercept else 0.0
        distance = _norm(scaled, move.coef, level)
        reach = state.reach(move)
        rate = 0.0 if canonical else (2.0 * distance / last if portion == 1.0 and last > 0 else 1.0)
        share = max(float(reach * np.exp(min(reach, 50.0)) / 2.0), rate / (1.0 - rate) if rate < 1.0 else np.inf)
        middle = new.value(problem.mean[0][:-1]) if model.intercept else 0.0
        rounding = _ROUNDING * (1.0 + _norm(scaled, new.coef, middle))
        remainder = share * distance
        done = distance <= rounding or (remainder <= max(tolerance, rounding) and distance <= max(_NEAR, tolerance))
        status = "ok" if settled.all() else "rounding kept it from settling"
        if not alpha and (apart := separation(family(model.spelling), now, came, newton_step(state, model.intercept))):
            done, status = True, apart  # without a penalty there may be no minimum
        elif not done and passes >= model.max_iterations:
            done, status = True, f"{distance:.2g} SE from the minimum after {passes} steps; raise max_iterations"
        if done:
            digits = own.digits(scaled, coef[0], alpha)
            left = remainder if status == "ok" else distance
            known = _digits_left(scaled, own, alpha, coef[0], max(left, rounding * EPS)) * (status == "ok")
            pearson = state.pearson()
            return Reached(
                new,
                max(now.deviance + float(scaled.rss(coef)[0]) - pearson, 0.0),
                now.null_deviance,
                pearson,
                now.rss,
                now.tss,
                now.saturated,
                float(df[0]),
                np.minimum(digits.slopes, known),
                min(digits.intercept, known.min(initial=FULL)) if model.intercept else np.nan,
                problem.weight,
                status,
            )
        last, portion, at = distance, 1.0, new


def _norm(scaled: Scaled, coef: Float, level: float) -> float:
    """Return the length of a predictor in standard errors: slopes about the mean, and the level there."""
    b = np.ldexp(coef * scaled.norm, scaled.exponent)
    return float(np.sqrt(max(float(b @ scaled.gram @ b), 0.0) + level**2 * scaled.problem.weight))


def _digits_left(scaled: Scaled, penalty: Weighed, alpha: float, coef: Float, left: float) -> Float:
    """Return the digits of slopes that a distance to the minimum, in standard errors, leaves."""
    digits = np.full(len(coef), FULL)
    used = np.flatnonzero(coef)
    if not len(used):
        return digits
    hessian = scaled.gram + np.diag(penalty.weights(scaled, alpha)[1])
    inverse = np.linalg.pinv(hessian[np.ix_(used, used)], hermitian=True)
    spread = np.ldexp(np.sqrt(np.maximum(np.diag(inverse), 0.0)) / scaled.norm[used], -scaled.exponent[used])
    with np.errstate(divide="ignore"):
        digits[used] = -np.log10(np.maximum(left * spread / np.abs(coef[used]), 1e-16))
    return np.asarray(np.clip(digits, 0.0, FULL))
