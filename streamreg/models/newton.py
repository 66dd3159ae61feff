"""Newton's method for a likelihood, one scan of the rows at each step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamreg.families.base import Family
from streamreg.kernels import doubledouble as dd
from streamreg.line import Line
from streamreg.models.passes import Climbing
from streamreg.problem import Problem, Solution
from streamreg.solve import cholesky
from streamreg.solve.digits import EPS
from streamreg.solve.rank import UNIT
from streamreg.stats.working import Likelihood, WorkingMoments

Float = NDArray[np.float64]
Read = Callable[[Line, Line | None], Climbing[WorkingMoments]]

_SLACK = 1e-10  # relative rise of the deviance that rounding may cause
_ROUNDING = 1e-6  # standard errors; the most that rounding may keep a fit from its maximum
_PARALLEL = 1e-6  # share of a move that rows may oppose although it separates them, because other steps still go on
FAR = 0.5  # a move along which the likelihood rises for ever changes the linear predictor by one each time
_SLOW = 0.02  # of Fisher scoring such moves become shorter: with probit as 1 / eta, with cloglog as exp(-eta)
_NEAR = 0.5  # beyond this change of a linear predictor a Newton step does not tell how far the maximum is
_CONVERGES = 0.1  # beyond this product of rounding and the inverse information neither does it


@dataclass(frozen=True, slots=True)
class Step:
    """The Newton step at a predictor.

    Attributes
    ----------
    problem : Problem
    solution : Solution
    change : Line
    distance : float
        ``sqrt(g' H^-1 g)``, g being the score and H the Fisher information: a bound of the distance to the maximum,
        in standard errors, of every linear combination of the coefficients, good to first order.
    each : ndarray of shape (p,)
        Step of each coefficient in its standard errors; NaN where it is not identifiable.
    errors : ndarray of shape (p,)
        Predicted rounding error of each coefficient, in its standard errors.
    level_error : float
        Predicted rounding error of the intercept, that of the value at the columns' means not counted.
    se_error : float
        Predicted relative rounding error of the standard errors.
    reach : float
        The most that the step moves the linear predictor of any row; infinite if it does not tell where the maximum is.
    rate : float
        Of Fisher scoring, which converges linearly: the share of the distance that a step leaves, as seen last.
    """

    problem: Problem
    solution: Solution
    change: Line
    distance: float
    each: Float
    errors: Float
    level_error: float
    se_error: float
    reach: float
    rate: float = 0.0

    @property
    def remainder(self) -> float:
        """How far the maximum may be from the end of the step, in standard errors.

        Along a move that changes no linear predictor by more than r, the information changes by a factor of at most
        ``exp(r)`` in these families, so a Newton step leaves at most ``(exp(r) - 1 - r) / r`` of the distance, which is
        below ``exp(r) r / 2``. Standard errors change by ``exp(r / 2)`` at most, so r bounds their relative error.
        """
        own = self.reach * np.exp(self.reach) / 2.0 if np.isfinite(self.reach) else np.inf
        share = max(own, self.rate / (1.0 - self.rate) if self.rate < 1.0 else np.inf)
        return share * self.distance if np.isfinite(share) else np.inf


def newton_step(state: WorkingMoments, intercept: bool, ridge: float = 0.0) -> Step:
    """Solve for the Newton step. No rows are read."""
    problem = state.problem(intercept, ridge)
    found = cholesky.solve(problem)
    p = len(problem.names)
    change, at, level = found.coef, 0.0, 0.0
    if intercept:
        offset = dd.add_float(dd.take(problem.mean, slice(p)), -state.at.centre)
        at = float(dd.subtract(dd.take(problem.mean, p), dd.dot(offset, dd.from_float(change)))[0])
        level = float(problem.mean[0][p]) ** 2 * problem.weight
    norms = np.ldexp(found.scale, found.exponent)
    scaled = change * norms
    errors, each = np.full(p, np.nan), np.full(p, np.nan)
    spread = np.sqrt(np.diag(found.inverse))
    each[found.kept] = np.abs(scaled[found.kept]) / spread
    each[~found.identifiable] = np.nan
    # Rounding of the score, and of the solution: eps ||C[i, :]|| ||x|| for each unit of the step.
    share = state.rounding()[found.kept] / norms[found.kept]
    far = problem.mean[0][:p][found.kept] / norms[found.kept]
    reach = np.vstack([found.inverse, far @ found.inverse])
    wrong = EPS * (np.abs(reach) @ share + np.linalg.norm(reach, axis=1) * np.linalg.norm(scaled))
    errors[found.kept] = wrong[:-1] / spread
    distance = float(np.sqrt(max(float(scaled @ found.gram @ scaled), 0.0) + level))
    # A linear predictor is rounded as its terms are, which may cancel. As an error e of all rows' predictors moves a
    # coefficient by C[i]'X'We, it is at most |e| sqrt(sum of W) standard errors (Cauchy-Schwarz).
    terms = abs(state.at.at) + float(state.spans() @ np.abs(state.at.coef))
    errors += UNIT * terms * (8.0 + np.sqrt(problem.weight))
    own = (np.linalg.norm(found.inverse, axis=1) ** 2 / np.diag(found.inverse)).max(initial=1.0)
    se_error = EPS * own / 2.0 + EPS * terms
    move = Line(state.at.centre, change, at)
    farthest = state.reach(move)
    certain = found.status != "uncertain" and EPS * np.linalg.norm(found.inverse) <= _CONVERGES
    return Step(
        problem=problem,
        solution=found,
        change=move,
        distance=distance,
        each=each,
        errors=errors,
        level_error=float(wrong[-1]),
        se_error=se_error,
        reach=farthest if certain and farthest <= _NEAR else np.inf,
    )


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where Newton's method ended.

    Attributes
    ----------
    at : Line
    step : Step
        The last one.
    state : WorkingMoments
        Of the last scan.
    passes : int
    status : str
        "ok", or why this is not the maximum.
    bounded : bool
        Whether there is a finite maximum at all.
    taken : bool
        Whether the last step is part of `at`.
    """

    at: Line
    step: Step
    state: WorkingMoments
    passes: int
    status: str
    bounded: bool = True
    taken: bool = False

    @property
    def errors(self) -> Float:
        """Bounds of the errors of the coefficients, in their standard errors, shape (p,)."""
        left = self.step.errors + self.step.remainder
        return left if self.taken else left + self.step.each

    @property
    def se_error(self) -> float:
        """Bound of the relative error of the standard errors, which are those of the predictor before the step."""
        return self.step.se_error + self.step.reach

    def intercept_error(self, std_error: float) -> float:
        """Return a bound of the error of the intercept, whose standard error it is."""
        change = self.step.change
        moved = 0.0 if self.taken else abs(change.about(np.zeros(len(change.coef))).at)
        rounding = self.step.level_error + EPS * abs(self.at.at)
        return float(moved + rounding + self.step.remainder * std_error)


def maximise(
    read: Read,
    facts: Family,
    start: Line,
    first: Line | None,
    *,
    intercept: bool,
    tolerance: float,
    iterations: int,
    sparing: bool = False,
    ridge: float = 0.0,
    last: float = np.nan,
) -> Climbing[Maximum]:
    """Climb to the maximum of a likelihood: Newton's method with a canonical link, else Fisher scoring.

    A step that makes the deviance rise is halved. The last step is taken without looking at the rows again: where the
    one before it was below `tolerance`, this one is below its square, up to a factor.

    Parameters
    ----------
    read : callable
        Asks the rows for the sums at a predictor; also told the move that led there.
    facts : Family
    start : Line
        Without slopes.
    first : Line, optional
        The Newton step at the start, if it is known.
    intercept : bool
    tolerance : float
        In standard errors.
    iterations : int
        Scans at most.
    sparing : bool
        Whether the last step is already taken where it is sure to end within `tolerance` (see `Step.remainder`).
    ridge : float
        Penalty on the slopes, added to the deviance. The maximum is then finite whatever the labels.
    last : float
        Length of the step that led to the start, in standard errors; NaN: not known.
    """
    at, move, share = start if first is None else start.moved(first), first, 1.0
    below, best = np.inf, None
    for passes in range(1, iterations + 1):
        state = yield from read(at, move)
        now = state.likelihood()
        deviance = now.deviance + (ridge * float(at.coef @ at.coef) if ridge else 0.0)
        if passes == 1 and first is not None:
            below = now.null_deviance
        if deviance > below + _SLACK * abs(below) and move is not None and share > 1e-3:
            # Too far: come back to half of the step.
            at, share = at.moved(move, -share / 2), share / 2
            continue
        step = newton_step(state, intercept, ridge)
        if not facts.canonical:
            rate = 2.0 * step.distance / last if share == 1.0 and last > 0 else 1.0
            step = replace(step, rate=max(rate, 0.0))
        last = step.distance
        best = Maximum(at, step, state, passes, "ok")
        apart = "" if ridge else separation(facts, now, move, step)
        if apart:
            return replace(best, status=f"not converged: {apart}", bounded=False)
        rounding = min(float(np.nanmax(np.append(step.errors, 0.0))), _ROUNDING)
        near = sparing and passes > 1 and step.remainder <= max(tolerance, rounding)
        if near or step.distance <= max(tolerance, rounding):
            return replace(best, at=at.moved(step.change), taken=True)
        move, below, share = step.change, deviance, 1.0
        at = at.moved(move)
    if best is None:
        step = newton_step(state, intercept, ridge)
        best = Maximum(at, step, state, passes, "ok")
    reason = f"{best.step.distance:.2g} SE from the maximum after {passes} scans; raise max_iterations"
    return replace(best, passes=passes, status=f"not converged: {reason}")


def separation(facts: Family, now: Likelihood, move: Line | None, step: Step) -> str:
    """Return why the likelihood has no finite maximum, or nothing, from the sums after a move and the step there."""
    whole = now.misfit < 0 or (now.reach > 0 and now.opposed <= 0)
    part = now.reach >= (FAR if facts.canonical else _SLOW) and now.opposed <= _PARALLEL * now.reach
    if move is None or not (whole or part):
        return ""
    weights = move.coef * np.ldexp(step.solution.scale, step.solution.exponent)
    remedy = "so the coefficients grow without bound; leave columns out, or join rare categories"
    sign, before, after = facts.separated(whole)
    return f"{before}{direction(step.problem.names, sign * weights)}{after}, {remedy}"


def direction(names: tuple[str, ...], weights: Float) -> str:
    """Return the columns that a direction joins, the largest first but for their signs."""
    size = np.abs(weights)
    order = [int(i) for i in np.argsort(-size, kind="stable") if size[i] >= 0.2 * size.max()]
    text = ""
    for i in sorted(order[:4], key=lambda i: weights[i] < 0):
        sign = (" - " if weights[i] < 0 else " + ") if text else ("-" if weights[i] < 0 else "")
        text += sign + names[i]
    return (text or "the intercept") + (" and others" if len(order) > 4 else "")
