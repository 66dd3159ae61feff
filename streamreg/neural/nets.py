"""Train a network: mini-batch passes, and the best weights of them."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import backend
from streamreg.neural import network
from streamreg.neural.checkpoint import Arrays
from streamreg.neural.passes import Passes
from streamreg.neural.result import NetworkResult
from streamreg.neural.task import Task, Validation
from streamreg.neural.trainer import Trainer
from streamreg.progress import Progress


class Net:
    """A network in training.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        model, problem = task.model, task.problem
        self.task = task
        self.size = min(problem.n, model.batch_size or min(network.batch_size(problem.n, 0), 1024))
        self.rate = model.learning_rate or 1e-3
        bias = task.loss.start(task.mean) if model.intercept else 0.0
        self.core = network.build(model, len(problem.names), bias)
        optimizer = network.optimizer(model.optimizer or "adam", self.rate)
        trainer = Trainer(self.core, task.loss, optimizer, self.size, np.dtype(model.precision))
        self.curves: dict[str, list[float]] = {"loss": [], "val_loss": [], "seconds": []}
        self.best = self._values()
        self.best_epoch = 0
        self.passes = Passes(task.rows(), trainer, model.epochs, task.checkpoint, task.callbacks, self._state)
        self._restore()

    def run(self) -> NetworkResult:
        """Train for all epochs, or until the loss has not improved for as many as `patience` says."""
        task, model, passes, validation = self.task, self.task.model, self.passes, Validation(self.task)
        total = model.epochs * task.problem.n
        passes.callbacks.on_train_begin()
        with Progress(f"train on {task.source.label}", total, shown=task.run.progress) as bar:
            while passes.epoch < model.epochs and not self._tired():
                start = time.perf_counter()
                passes.begin()
                loss = passes.mini_batch(bar, None) * task.loss_unit
                if not all(np.isfinite(value).all() for value in self._values()):
                    loss = float("nan")  # which the last step of the pass was too late for
                held = validation.loss(passes.trainer)
                for curve, figure in zip(self.curves.values(), (loss, held, time.perf_counter() - start), strict=True):
                    curve.append(figure)
                self._keep_best()
                if passes.end({"loss": loss, "val_loss": held}) or not np.isfinite(loss):
                    break
        passes.release()
        if model.patience is not None or self._broken():
            for variable, value in zip(self.core.variables, self.best, strict=True):
                variable.assign(value)
        return self._result(task.passes + passes.epoch + validation.passes)

    def _values(self) -> list[NDArray[Any]]:
        return [backend.to_numpy(variable) for variable in self.core.variables]

    def _judged(self) -> list[float]:
        """Return the curve that says which epoch is best."""
        return self.curves["val_loss"] if self.task.model.validation else self.curves["loss"]

    def _keep_best(self) -> None:
        judged = self._judged()
        if np.isfinite(judged[-1]) and judged[-1] <= np.nanmin(judged):
            self.best, self.best_epoch = self._values(), len(judged)

    def _tired(self) -> bool:
        patience = self.task.model.patience
        return patience is not None and len(self._judged()) - self.best_epoch >= patience

    def _broken(self) -> bool:
        return bool(self.curves["loss"]) and not np.isfinite(self.curves["loss"][-1])

    def _status(self) -> str:
        if self._broken():
            return f"not converged: training diverged at learning rate {self.rate:.3g}; lower it"
        return "ok"

    def _result(self, passes: int) -> NetworkResult:
        task, model = self.task, self.task.model
        chosen = self.best_epoch if model.patience is not None or self._broken() else len(self.curves["loss"])
        return NetworkResult(
            model=network.raw(self.core, task.map, task.loss),
            names=task.problem.names,
            encoder=task.exact.encoder,
            target=task.problem.target,
            loss=model.loss,
            n=task.problem.n,
            n_read=task.exact.n_read,
            n_missing=task.exact.n_missing,
            passes=passes,
            status=self._status(),
            seconds=time.perf_counter() - task.began,
            history=self.curves,
            best_epoch=chosen,
            spec=model.to_dict(),
            source=task.source.label,
            backend=backend.name(),
            device=task.device,
            provenance=task.exact.provenance,
        )

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        arrays = {f"best.{i}": np.asarray(v) for i, v in enumerate(self.best)}
        return {"curves": self.curves, "best_epoch": self.best_epoch}, arrays

    def _restore(self) -> None:
        meta, arrays = self.task.checkpoint.meta, self.task.checkpoint.arrays
        if meta:
            self.passes.restore()
            self.curves, self.best_epoch = meta["curves"], meta["best_epoch"]
            self.best = [arrays[f"best.{i}"] for i in range(len(self.best))]
