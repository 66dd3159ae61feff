"""Train a line: mini-batch passes, then full-batch steps, until the estimates are the least-squares ones."""

import dataclasses
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.agreement import Distance, measure
from streamreg.design import Design
from streamreg.neural import network
from streamreg.neural.conditioning import Conditioning, intercept
from streamreg.neural.losses import Loss
from streamreg.neural.polish import Secants
from streamreg.neural.rows import Feed, Rows
from streamreg.neural.trainer import Sums, Trainer
from streamreg.problem import Problem
from streamreg.progress import Progress
from streamreg.result import NAN, FitResult
from streamreg.solve import rank as ranks
from streamreg.sources.base import Source

if TYPE_CHECKING:
    from streamreg.models.neural import Keras

Float: TypeAlias = NDArray[np.float64]

_MINI_BATCH_PASSES = 2
_FULL_BATCH_ROWS = 8192
_PERFECT = 1e-3  # for a perfect fit: converged when fitted values are this many tolerances off, relative to the target
_DIVERGED = 4.0  # times the loss of the model without slopes

SHARED = "the moments of one scan: they condition the features, and say how far the estimates are from the minimum"
OWN = "every gradient: it is summed from the rows"


class Line:
    """A line in training on squared error.

    Two mini-batch passes come first, each ending at the average of its weights; then full-batch passes, each of which
    sums the gradient over all rows and takes one step. On whitened features that step is Newton's. After every pass the
    distance to the minimum is known without reading a row, because second moments describe the loss exactly; after
    a full-batch step on whitened features it says how far the gradient of the rows and the moments disagree.

    Parameters
    ----------
    spec : Keras
    source : Source
    problem : Problem
        Moments of the rows.
    exact : FitResult
        Their solution: the measure of the distance, never the source of a weight.
    threads : int or None
    """

    def __init__(self, spec: "Keras", source: Source, problem: Problem, exact: FitResult, threads: int | None) -> None:
        p, n = len(problem.names), problem.n
        self.spec, self.exact, self.n = spec, exact, n
        self.map = Conditioning.of(problem, spec.conditioning, exact.rank, scale_target=True)
        self.rows = Rows(
            source,
            Design.of(source, problem.names, spec.missing).with_target(),
            self.map,
            mean_weight=problem.weight / n,
            dtype=np.dtype(spec.precision),
            n=n,
            memory=spec.memory_mb * 2**20,
            seed=spec.seed,
            threads=threads,
        )
        loss = Loss("squared_error")
        self.size = spec.batch_size or network.batch_size(n, p)
        curvature = loss.bound(0.0) * self.map.curvature
        self.rate = spec.learning_rate or network.learning_rate(spec.optimizer, curvature, p, self.size)
        self.trainer = self._trainer(loss)
        self.secants = Secants(1.0 / curvature, memory=0 if spec.conditioning == "whiten" else 20)
        self.weights = np.zeros(p + spec.intercept)
        self.curves: dict[str, list[Any]] = {
            k: [] for k in ("phase", "precision", "loss", "distance", "step", "seconds")
        }

    def _trainer(self, loss: Loss) -> Trainer:
        model = network.line(len(self.exact.names), self.spec.intercept, self.rows.dtype.name)
        return Trainer(model, loss, network.optimizer(self.spec.optimizer, self.rate), self.size, self.rows.dtype)

    def run(self, passes: int, began: float, progress: bool | None) -> FitResult:
        """Train until converged, or for all epochs, and return the estimates.

        Parameters
        ----------
        passes : int
            Passes over the rows so far.
        began : float
            When the fit began, on the clock of `time.perf_counter`.
        progress : bool or None
        """
        spec, epoch = self.spec, 0
        mini_batch = min(_MINI_BATCH_PASSES, max(1, spec.epochs - 1))
        distance = self._distance(self._estimates())
        with Progress(f"train on {self.rows.source.label}", spec.epochs * self.n, shown=progress) as bar:
            while epoch < spec.epochs:
                start, before = time.perf_counter(), self.weights
                phase = "mini-batch" if epoch < mini_batch else "full batch"
                loss = self._mini_batch(epoch, bar) if epoch < mini_batch else self._full_batch(bar)
                epoch += 1
                finite = bool(np.isfinite(self.weights).all())
                distance = self._distance(self._estimates()) if finite else distance
                far = NAN if not finite else distance.fitted if distance.perfect else distance.greatest
                step = NAN if epoch <= mini_batch or not finite else self._step(before)
                loss *= self.map.target_scale**2
                values = phase, self.rows.dtype.name, loss, far, step, time.perf_counter() - start
                for curve, value in zip(self.curves.values(), values, strict=True):
                    curve.append(value)
                bar(0, f"loss {loss:.4g}, distance {far:.2g}")
                if not finite or self._converged(distance):
                    break
                if epoch > mini_batch + 1 and far > 0.5 * self.curves["distance"][-2]:
                    self._refine()
        return self._result(distance, passes + epoch, time.perf_counter() - began)

    def _mini_batch(self, epoch: int, bar: Progress) -> float:
        """Train one epoch of mini-batches; set the weights to their average, the start of the first epoch left out."""
        self.trainer.set_weights(self.weights)
        first = -(-self.n // self.size) // 4 if epoch == 0 else 0
        total = np.zeros(2)
        for number, (x, y, weight) in enumerate(Feed(self.rows, lambda: self.rows.shuffled(epoch, self.size))):
            total += self.trainer.update(x, y, weight, average=number >= first).numpy()
            bar(len(x), f"loss {total[0] / total[1] * self.map.target_scale**2:.4g}")
        self.trainer.take_average()
        loss = float(total[0] / total[1])
        diverged = not loss < _DIVERGED * self.exact.tss / self.exact_weight / self.map.target_scale**2
        if not diverged or self.spec.learning_rate is not None:
            self.weights = self.trainer.weights()
        return loss

    def _full_batch(self, bar: Progress) -> float:
        """Sum the gradient over all rows, and take one step from it in float64."""
        self.trainer.set_weights(self.weights)
        point = self.trainer.weights()  # as rounded
        sums = Sums.zeros(len(point), hessian=False)
        for x, y, weight in Feed(self.rows, lambda: self.rows.in_order(_FULL_BATCH_ROWS)):
            sums.add(self.trainer.sums(x, y, weight, hessian=False))
            bar(len(x))
        self.weights = self.secants.step(point, sums.gradient / sums.weight)
        return sums.loss / sums.weight

    def _refine(self) -> None:
        """Go on in float64: on whitened features it is rounding alone that keeps full-batch steps from arriving."""
        if self.rows.dtype == np.float32 and self.map.kind == "whiten":
            self.rows = dataclasses.replace(self.rows, dtype=np.dtype(np.float64), _kept={})
            self.trainer = self._trainer(Loss("squared_error"))

    @property
    def exact_weight(self) -> float:
        """Sum of weights."""
        assert self.exact.geometry is not None
        return self.exact.geometry.weight

    def _estimates(self) -> FitResult:
        """Return the present weights as estimates in the units of the data."""
        p = len(self.exact.names)
        coef = self.map.slopes(self.weights[:p])
        if self.map.kind == "whiten":
            assert self.exact.geometry is not None
            coef = ranks.minimum_norm(coef, self.exact.geometry.null_space)
        at_centre = self.map.at_centre(self.weights[p]) if self.spec.intercept else 0.0
        constant = intercept(coef, self.map.centre, at_centre) if self.spec.intercept else 0.0
        return dataclasses.replace(
            self.exact, coef=coef, intercept=constant, centre=self.map.centre, at_centre=at_centre
        )

    def _distance(self, fit: FitResult) -> Distance:
        assert self.exact.geometry is not None
        return measure(self.exact, self.exact.geometry, self.exact, fit)

    def _step(self, before: Float) -> float:
        """Return the largest move of a slope in the last full-batch step, in standard errors."""
        move = self.map.slopes(self.weights - before if not self.spec.intercept else (self.weights - before)[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nanmax(np.abs(move) / self.exact.std_errors, initial=0.0))

    def _converged(self, distance: Distance) -> bool:
        if distance.perfect:
            return distance.fitted <= _PERFECT * self.spec.tolerance
        return distance.greatest <= self.spec.tolerance

    def _status(self, distance: Distance) -> str:
        if not np.isfinite(self.weights).all():
            return f"not converged: training diverged at learning rate {self.rate:.3g}; lower it, or leave it out"
        if self._converged(distance):
            return self.exact.status
        amount = f"{distance.fitted:.2g} of the target" if distance.perfect else f"{distance.greatest:.2g} SE"
        advice = "raise epochs" if self.spec.conditioning == "whiten" else "raise epochs, or whiten"
        if self.spec.precision == "float32" and len(self.curves["step"]) > 3:
            advice += ", or take precision float64"
        return f"not converged: {amount} from the minimum after {len(self.curves['loss'])} epochs; {advice}"

    def _result(self, distance: Distance, passes: int, seconds: float) -> FitResult:
        fit, p = self._estimates(), len(self.exact.names)
        change = distance.excess * self.exact.rss
        training = {
            **self.curves,
            "distance_unit": "relative to the target" if distance.perfect else "standard errors",
            "conditioning": self.spec.conditioning,
            "batch_size": self.size,
            "learning_rate": self.rate,
            "shared_with_exact": SHARED,
            "own": OWN,
        }
        return dataclasses.replace(
            fit,
            std_errors=np.full(p, np.nan),
            intercept_std_error=NAN,
            rss=self.exact.rss + (change if np.isfinite(change) else (distance.fitted**2 * self.exact.tss)),
            passes=passes,
            level="mini-batch",
            digits=np.full(p, np.nan),
            digits_intercept=NAN,
            digits_se=NAN,
            status=self._status(distance),
            seconds=seconds,
            model=self.spec.to_dict(),
            source=self.rows.source.label,
            training=training,
        )
