"""Train a line: mini-batch passes, then full-batch steps, until the estimates are those that minimise the loss."""

import dataclasses
import time
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg import backend
from streamreg.line import Line
from streamreg.neural import network
from streamreg.neural.checkpoint import Arrays
from streamreg.neural.passes import Passes
from streamreg.neural.polish import Secants
from streamreg.neural.task import Task, Validation
from streamreg.neural.trainer import Sums, Trainer
from streamreg.progress import Progress
from streamreg.results.base import FitResult
from streamreg.results.distance import Distance, measure
from streamreg.results.estimates import NAN
from streamreg.solve import rank as ranks

Float: TypeAlias = NDArray[np.float64]

_PERFECT = 1e-3  # for a perfect fit: converged when fitted values are this many tolerances off, relative to the target
_DIVERGED = 4.0  # times the loss of the model without slopes

_NOT_MAXIMUM = "Not the maximum of the likelihood: log-likelihood, AIC, BIC and F test are not defined."

SHARED = "the moments of one scan: they condition the features, and say how far the estimates are from the minimum"
OWN = "every gradient: it is summed from the rows"


class LineTraining:
    """A line in training on squared error.

    Mini-batch passes come first, `mini_batches` of them, each ending at the average of its weights; then full-batch
    passes, each of which sums the gradient over all rows and takes one step. On whitened features that step is
    Newton's. After every pass the distance to the minimum is known without reading a row, because second moments
    describe the loss exactly; after a full-batch step on whitened features it says how far the gradient of the rows and
    the moments disagree.

    Parameters
    ----------
    task : Task
    """

    sums_of: Literal["gradient", "hessian"] = "gradient"
    mini_batches = 2
    shared = SHARED

    def __init__(self, task: Task) -> None:
        p, model = len(task.problem.names), task.model
        self.task, self.model, self.exact, self.map = task, model, task.exact, task.map
        self.size = min(task.problem.n, model.batch_size or network.batch_size(task.problem.n, p))
        curvature = task.loss.bound(task.mean) * self.map.curvature
        self.rate = model.learning_rate or network.learning_rate(model.optimizer or "sgd", curvature, p, self.size)
        self.secants = Secants(1.0 / (curvature + 2.0 * model.l2), memory=0 if self._plain else 20)
        self.weights = self._start(p)
        self.before = self.weights
        self.optimum = self._optimum()
        self.far, self.arrived = NAN, False
        curves = ("phase", "precision", "loss", "val_loss", "distance", "step", "seconds")
        self.curves: dict[str, list[Any]] = {k: [] for k in curves}
        self.passes = Passes(task.rows(), self._trainer(), model.epochs, task.checkpoint, task.callbacks, self._state)
        self._restore()

    @property
    def _plain(self) -> bool:
        return self.model.conditioning == "whiten" and not self.model.l2

    def _trainer(self, dtype: str | None = None) -> Trainer:
        model = self.model
        net = network.line(len(self.exact.names), model.intercept, dtype or model.precision, model.l2)
        optimizer = network.optimizer(model.optimizer or "sgd", self.rate)
        null = self.task.loss.start(self.task.mean) if model.intercept else 0.0
        kind = np.dtype(dtype or model.precision)
        return Trainer(net, self.task.loss, optimizer, self.size, kind, self.sums_of, null)

    def _start(self, p: int) -> Float:
        task, weights = self.task, np.zeros(p + self.model.intercept)
        if self.model.intercept:
            weights[p] = task.loss.start(task.mean)
        if self.model.start == "random":
            weights[:p] = np.random.default_rng(self.model.seed).normal(size=p) / max(p, 1) ** 0.5
        if task.start is not None:
            at = task.start.line.value(self.map.centre)
            weights[:p] = self.map.back(task.start.coef)
            if self.model.intercept:
                weights[p] = (at - self.map.target_centre) / self.map.target_scale
        return weights

    def run(self) -> FitResult:
        """Train until converged, or for all epochs, and return the estimates."""
        task, passes, validation = self.task, self.passes, Validation(self.task)
        mini_batch = min(self.mini_batches, max(1, self.model.epochs - 1))
        total = self.model.epochs * task.problem.n
        passes.callbacks.on_train_begin()
        with Progress(f"train on {task.source.label}", total, shown=task.run.progress) as bar:
            while passes.epoch < self.model.epochs and not self.arrived:
                start = time.perf_counter()
                phase = "mini-batch" if passes.epoch < mini_batch else "full batch"
                if passes.begin():
                    self.before = self.weights
                    passes.trainer.set_weights(self.weights)
                loss = self._mini_batch(bar) if phase == "mini-batch" else self._full_batch(bar)
                seconds = time.perf_counter() - start
                finite = bool(np.isfinite(self.weights).all())
                step = self._step() if finite and phase != "mini-batch" else NAN
                self.far, self.arrived = self._assess(step) if finite else (NAN, False)
                passes.trainer.set_weights(self.weights)
                held = validation.loss(passes.trainer) if finite else NAN
                values = phase, passes.rows.dtype.name, loss * task.loss_unit, held, self.far, step, seconds
                for curve, value in zip(self.curves.values(), values, strict=True):
                    curve.append(value)
                stop = passes.end({"loss": loss * task.loss_unit, "val_loss": held, "distance": self.far})
                bar(0, f"loss {loss * task.loss_unit:.4g}, distance {self.far:.2g}")
                if stop or not finite:
                    break
                if phase != "mini-batch":
                    self._refine()
        passes.release()
        return self._result(task.passes + passes.epoch + validation.passes)

    def _mini_batch(self, bar: Progress) -> float:
        """Train one epoch of mini-batches; take the average of the weights, the start of the first epoch left out."""
        trainer = self.passes.trainer
        first = -(-self.task.problem.n // self.size) // 4 if self.passes.epoch == 0 else 0
        loss = self.passes.mini_batch(bar, first)
        trainer.take_average()
        diverged = not loss * self.task.loss_unit < _DIVERGED * self._null_loss()
        if not diverged or self.model.learning_rate is not None:
            self.weights = trainer.weights()
        return loss

    def _full_batch(self, bar: Progress) -> float:
        """Sum the gradient over all rows, and take one step from it in float64."""
        trainer, p = self.passes.trainer, len(self.exact.names)
        point = trainer.weights()  # as rounded
        sums = self.passes.full_batch(bar)
        assert sums.gradient is not None
        gradient = sums.gradient / sums.weight
        gradient[:p] += 2.0 * self.model.l2 * point[:p]
        self.weights = self._next(point, sums, gradient)
        return sums.loss / sums.weight

    def _next(self, point: Float, sums: Sums, gradient: Float) -> Float:
        return self.secants.step(point, gradient)

    def _null_loss(self) -> float:
        return self.exact.tss / self._geometry_weight

    @property
    def _geometry_weight(self) -> float:
        assert self.exact.geometry is not None
        return self.exact.geometry.weight

    def _refine(self) -> None:
        """Go on in float64 where rounding alone keeps full-batch steps from arriving."""
        if self._plain and self._stuck() and not self.arrived and self.curves["precision"][-1] == "float32":
            self._to_float64()

    def _stuck(self) -> bool:
        """Return whether the last step has not halved the distance."""
        far = self.curves["distance"]
        return len(far) > 1 and self.curves["phase"][-2] == "full batch" and far[-1] > 0.5 * far[-2]

    def _to_float64(self) -> None:
        passes = self.passes
        passes.rows.release()
        passes.rows = dataclasses.replace(passes.rows, dtype=np.dtype(np.float64), _all=None, _table=None)
        passes.take(self._trainer("float64"))

    def _estimates(self) -> FitResult:
        """Return the present weights as estimates in the units of the data."""
        p, model = len(self.exact.names), self.model
        coef = self.map.slopes(self.weights[:p])
        if self.map.kind == "whiten":
            assert self.exact.geometry is not None
            coef = ranks.minimum_norm(coef, self.exact.geometry.null_space)
        at_centre = self.map.at_centre(self.weights[p]) if model.intercept else 0.0
        constant = Line(self.map.centre, coef, at_centre).intercept if model.intercept else 0.0
        return dataclasses.replace(
            self.optimum, coef=coef, intercept=constant, centre=self.map.centre, at_centre=at_centre
        )

    def _optimum(self) -> FitResult:
        """Return the estimates that minimise the loss: least squares, or with a penalty on conditioned slopes."""
        if not self.model.l2 or self.sums_of == "hessian":
            return self.exact
        second = self.map.second_moment(self.task.problem)
        theta = self.map.back(self.exact.coef)
        shrunk = np.asarray(np.linalg.solve(second + self.model.l2 * np.eye(len(second)), second @ theta), np.float64)
        coef = self.map.slopes(shrunk)
        constant = Line(self.exact.centre, coef, self.exact.at_centre).intercept
        return dataclasses.replace(self.exact, coef=coef, intercept=constant)

    def _distance(self) -> Distance:
        assert self.exact.geometry is not None
        return measure(self.exact, self.exact.geometry, self.optimum, self._estimates())

    def _assess(self, step: float) -> tuple[float, bool]:
        """Return the distance to the minimum, and whether it is within the tolerance."""
        distance = self._distance()
        if distance.perfect:
            near = distance.fitted <= _PERFECT * self.model.tolerance
            return distance.fitted, near and distance.in_errors <= self.model.tolerance
        return distance.greatest, distance.greatest <= self.model.tolerance

    def _step(self) -> float:
        """Return the largest move of a slope in the last full-batch step, in standard errors."""
        p = len(self.exact.names)
        move = self.map.slopes(np.subtract(self.weights[:p], self.before[:p]))
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nanmax(np.abs(move) / self.exact.std_errors, initial=0.0))

    def _status(self) -> str:
        epochs = len(self.curves["loss"])
        if not np.isfinite(self.weights).all():
            remedy = self._remedy("set precision to float64")
            return f"not converged: training diverged at learning rate {self.rate:.3g}; {remedy}"
        if self.arrived:
            return self.exact.status
        advice = "raise epochs" if self.model.conditioning == "whiten" else "raise epochs, or whiten"
        return f"not converged: {self.far:.2g} {self._unit()} from the minimum after {epochs} epochs; {advice}"

    def _remedy(self, last: str) -> str:
        """Return what to do about numbers that grew too large; `last` if nothing in the options explains it."""
        if self.model.learning_rate is not None:
            return "lower the learning rate, or leave it out"
        return "whiten" if self.model.conditioning != "whiten" else last

    def _unit(self) -> str:
        return "of the target" if self._distance().perfect else "SE"

    def _result(self, passes: int) -> FitResult:
        fit, p = self._estimates(), len(self.exact.names)
        training = {
            **self.curves,
            "loss_name": self.model.loss,
            "backend": backend.name(),
            "device": self.task.device,
            "conditioning": self.model.conditioning,
            "batch_size": self.size,
            "learning_rate": self.rate,
            "shared_with_exact": self.shared,
            "own": OWN,
        }
        values: dict[str, Any] = {
            "std_errors": np.full(p, np.nan),
            "intercept_std_error": NAN,
            "passes": passes,
            "method": "mini-batch",
            "digits": np.full(p, np.nan),
            "digits_intercept": NAN,
            "digits_se": NAN,
            "status": self._status(),
            "seconds": time.perf_counter() - self.task.began,
            "model": self.model.to_dict(),
            "source": self.task.source.label,
            "training": training,
        }
        return dataclasses.replace(fit, **(values | self._goodness(fit)))

    def _goodness(self, fit: FitResult) -> dict[str, Any]:
        assert self.exact.geometry is not None
        if not np.isfinite(self.weights).all():
            return {"rss": NAN, "no_likelihood": _NOT_MAXIMUM}
        distance = measure(self.exact, self.exact.geometry, self.exact, fit)
        values: dict[str, Any] = {"rss": self.exact.rss + distance.fitted**2 * self.exact.tss}
        if self.model.l2 or not self.arrived:
            values["no_likelihood"] = _NOT_MAXIMUM
        return values

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        arrays = {"weights": self.weights, "before": self.before}
        arrays |= {f"polish.{k}": v for k, v in self._polish().to_arrays().items()}
        return {"curves": self.curves, "far": self.far, "arrived": self.arrived}, arrays

    def _polish(self) -> Any:
        return self.secants

    def _restore(self) -> None:
        meta, arrays = self.task.checkpoint.meta, self.task.checkpoint.arrays
        if not meta:
            return
        self.weights, self.before = arrays["weights"], arrays["before"]
        self._polish().restore({k.removeprefix("polish."): v for k, v in arrays.items() if k.startswith("polish.")})
        self.far, self.arrived = meta["far"], meta["arrived"]
        self.curves = meta["curves"]
        self._refine()
        if "float64" in self.curves["precision"] and self.model.precision == "float32":
            self._to_float64()
        self.passes.restore()
