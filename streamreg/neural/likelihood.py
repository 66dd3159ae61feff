"""Train a line on a loss other than squared error: logistic, Poisson or robust regression."""

import dataclasses
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.families import family as facts_of
from streamreg.line import Line
from streamreg.models.newton import FAR, newton_step, separation
from streamreg.neural.checkpoint import Arrays
from streamreg.neural.line import LineTraining
from streamreg.neural.polish import Newton
from streamreg.neural.task import Task
from streamreg.neural.trainer import Sums
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.stats.working import WorkingMoments

Float: TypeAlias = NDArray[np.float64]

_HUBER = "The Huber loss is no likelihood: log-likelihood, AIC, BIC and F test are not defined."
_SHRINKS = 0.25  # share of the step before from which on a step does not tell what is left
_BLIND = 1e3  # standard errors that a conditioned slope's move of 1 counts for where errors are not known


class Likelihood(LineTraining):
    """A line whose loss is no square, so that no moments describe it: the rows alone say when training has arrived.

    After the mini-batch passes each full-batch pass sums gradient and Hessian and takes a Newton step. How far the end
    of a step is from the minimum, in standard errors, is told by how much shorter it was than the one before: steps
    that go on to shrink so leave ``step q / (1 - q)``, q being that share, and Newton steps shrink faster and faster.
    """

    sums_of = "hessian"
    mini_batches = 1  # full-batch steps converge so fast that another one would be lost
    shared = "the moments of one scan: they condition the features"

    def __init__(self, task: Task) -> None:
        self.newton = Newton()
        self.sums = Sums()
        self.unbounded = ""
        super().__init__(task)

    def _polish(self) -> Any:
        return self.newton

    def _next(self, point: Float, sums: Sums, gradient: Float) -> Float:
        p, penalty = len(self.exact.names), self.model.l2
        assert sums.hessian is not None
        hessian = sums.hessian / sums.weight
        hessian[np.arange(p), np.arange(p)] += 2.0 * penalty
        loss = sums.loss / sums.weight + penalty * float(point[:p] @ point[:p])
        self.sums = sums
        rounding = 0.5 * float(np.finfo(self.passes.rows.dtype).eps)
        return self.newton.step(point, loss, gradient, hessian, rounding)

    @property
    def _blind(self) -> int:
        """How many of the directions that the data determine have no curvature that the last step could see."""
        return max(0, self.map.rank + self.model.intercept - self.newton.rank) if len(self.newton.point) else 0

    def _assess(self, step: float) -> tuple[float, bool]:
        """Take for the distance what the last Newton steps leave if they go on to shrink as they did."""
        seen = not (self._blind or self.newton.halved)
        before = self.curves["step"][-1] if self.curves["step"] else NAN
        share = step / before if before > 0 else NAN
        far = step * share / (1.0 - share) if seen and share < _SHRINKS else step
        return far, bool(far <= self.model.tolerance) and seen

    def _step(self) -> float:
        p = len(self.exact.names)
        move = np.abs(self.map.slopes(self.weights[:p] - self.before[:p]))
        errors = self._standard_errors()[:p]
        known = np.isfinite(errors) & (errors > 0)
        if not known.any():  # a perfect fit, or all rows beyond the square part of the Huber loss
            return _BLIND * float(np.max(np.abs(self.weights[:p] - self.before[:p]), initial=0.0))
        return float(np.max(move[known] / errors[known]))

    def _standard_errors(self) -> Float:
        """Return those of the slopes and, last, of the intercept, from the Hessian where the last step was taken.

        For the Huber loss from least squares, with ``sum l'**2 / (n - k) / mean(l'')**2`` for the variance (Huber
        & Ronchetti 2009, *Robust Statistics*, eq. 7.81, with its correction left out).
        """
        p, sums, inverse = len(self.exact.names), self.sums, self.newton.inverse
        if not sums.weight or len(inverse) < p:
            return np.full(p + 1, np.nan)
        if not self.task.loss.family:
            with np.errstate(divide="ignore", invalid="ignore"):
                sigma = np.sqrt(sums.slopes / max(self.exact.df_resid, 1.0)) / (sums.spread / sums.weight)
                unit = sigma * self.map.target_scale / self.exact.sigma
                return np.asarray(np.append(self.exact.std_errors, self.exact.intercept_std_error) * unit)
        back = np.zeros((p + 1, len(inverse)))
        back[:p, :p] = self.map.transform if self.map.transform.ndim == 2 else np.diag(self.map.transform)
        back[p] = -self.map.centre @ back[:p]
        back[p, p:] = 1.0
        variance = np.einsum("ij,jk,ik->i", back, inverse, back) * self._dispersion
        return np.asarray(np.sqrt(np.maximum(variance, 0.0) / self.task.problem.weight))

    @property
    def _dispersion(self) -> float:
        """Pearson's statistic over the residual degrees of freedom, where the family does not know it."""
        if facts_of(self.task.loss.family).dispersion_known:
            return 1.0
        df = self.exact.df_resid
        return self._pearson / df if df > 0 else NAN

    @property
    def _pearson(self) -> float:
        return self.sums.spread / self.sums.weight * self.task.problem.weight if self.sums.weight else NAN

    def _null_loss(self) -> float:
        return self.task.loss.null(self.task.mean) * self.task.loss_unit

    def _stuck(self) -> bool:
        return not self.newton.halved and (self._blind > 0 or super()._stuck())

    def _result(self, passes: int) -> FitResult:
        if self._may_be_unbounded():
            self.unbounded = self._separation()
            passes += 1
        return super()._result(passes)

    def _may_be_unbounded(self) -> bool:
        """Return whether the last move may have changed the linear predictor of some row by as much as a half.

        Each move does so where the loss has no minimum. Its mean square over the rows is known from their moments.
        """
        model, geometry, p = self.model, self.exact.geometry, len(self.exact.names)
        if self.task.loss.bounded or model.l2 or not np.isfinite(self.weights).all():
            return False
        assert geometry is not None
        move = np.subtract(self.weights, self.before)
        slopes = self.map.slopes(move[:p]) * geometry.norms()
        at = self.exact.centre - self.map.centre
        level = float(at @ self.map.slopes(move[:p])) + (float(move[p]) if model.intercept else 0.0)
        square = float(slopes @ geometry.gram @ slopes) / geometry.weight + level**2
        return square * self.task.problem.n >= FAR**2

    def _separation(self) -> str:
        """Read the rows once more, to see whether the last move goes on for ever; return why, or nothing."""
        task, p = self.task, len(self.exact.names)

        def predictor(weights: Float) -> Line:
            at = float(weights[p]) if self.model.intercept else 0.0
            return Line(self.map.centre, self.map.slopes(weights[:p]), at)

        names, family = task.design.names, task.loss.family
        move = predictor(np.subtract(self.weights, self.before))
        empty = WorkingMoments(names, family, predictor(self.weights), task.mean, move)
        state = task.run.scan(task.source, task.design, empty, "check of")
        return separation(facts_of(family), state.likelihood(), move, newton_step(state, self.model.intercept))

    def _status(self) -> str:
        if self.unbounded:
            return f"not converged: {self.unbounded} (or add l2)"
        if self._blind and np.isfinite(self.weights).all():
            return (
                f"not converged: along {self._blind} of the directions that the data determine the loss is flat, "
                f"as far as {self.passes.rows.dtype} can tell; {self._remedy('add l2')}"
            )
        return super()._status()

    def _unit(self) -> str:
        return "SE"

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        meta, arrays = super()._state()
        scalars = dataclasses.replace(self.sums, gradient=None, hessian=None)
        return meta | {"sums": dataclasses.asdict(scalars)}, arrays

    def _restore(self) -> None:
        if self.task.checkpoint.meta:
            self.sums = Sums(**self.task.checkpoint.meta["sums"])
        super()._restore()

    def _goodness(self, fit: FitResult) -> dict[str, Any]:
        sums, p = self.sums, len(self.exact.names)
        unit = self.task.problem.weight / sums.weight if sums.weight else NAN
        known = self.arrived and not (self.model.l2 or self.unbounded)
        errors = self._standard_errors() if known else np.full(p + 1, NAN)
        values: dict[str, Any] = {
            "std_errors": np.where(self.exact.identifiable, errors[:p], NAN),
            "intercept_std_error": float(errors[p]) if self.model.intercept else NAN,
            "rss": sums.squares * unit * self.map.target_scale**2,
            "geometry": None,
        }
        if not self.task.loss.family:
            values["no_likelihood"] = _HUBER
        else:
            values["family"] = self.task.loss.family
            values |= {"deviance": 2.0 * sums.loss * unit, "null_deviance": 2.0 * sums.null * unit}
            if not facts_of(self.task.loss.family).dispersion_known:
                values["likelihood"] = {
                    "dispersion": self._dispersion,
                    "dispersion_by": "pearson",
                    "pearson": self._pearson,
                    "beside": {},
                }
        return values
