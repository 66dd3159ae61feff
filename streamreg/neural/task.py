"""What a fit asks of the training: everything a line and a network have in common."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from streamreg.design.design import Design
from streamreg.errors import UsageError
from streamreg.neural.checkpoint import Checkpoint
from streamreg.neural.conditioning import Conditioning
from streamreg.neural.feed import parts
from streamreg.neural.losses import Huber, Loss
from streamreg.neural.options import KerasOptions
from streamreg.neural.rows import Rows
from streamreg.neural.trainer import Trainer
from streamreg.problem import Problem
from streamreg.results.base import FitResult
from streamreg.scans.run import Run
from streamreg.sources.base import Source

_WIDE, _NARROW = 1e18, 1e-18  # deltas of the Huber loss whose squares float32 holds


@dataclass(frozen=True)
class Task:
    """A training to be done.

    Attributes
    ----------
    model : KerasOptions
    source : Source
    design : Design
        The training rows.
    problem : Problem
        Their moments.
    low, high : float
        Range of the target.
    exact : FitResult
        The least-squares line on these rows: a measure, never the source of a weight.
    checkpoint : Checkpoint
    callbacks : sequence of keras.callbacks.Callback
    device : str
        Where to train: "cpu:0", "gpu:0", ...
    start : FitResult or None
        Estimates to begin from.
    run : Run
    passes : int
        Passes over the rows so far.
    began : float
        When the fit began, on the clock of `time.perf_counter`.
    """

    model: KerasOptions
    source: Source
    design: Design
    problem: Problem
    low: float
    high: float
    exact: FitResult
    checkpoint: Checkpoint
    callbacks: Sequence[Any]
    device: str
    start: FitResult | None
    run: Run
    passes: int
    began: float

    @property
    def mean(self) -> float:
        """Mean of the target."""
        return float(self.problem.mean[0][-1])

    @cached_property
    def map(self) -> Conditioning:
        """What is done to the rows before training."""
        scale = Loss.of(self.model.loss).scales_target
        return Conditioning.of(self.problem, self.model.conditioning, self.exact.rank, scale)

    @cached_property
    def loss(self) -> Loss:
        """The loss, in the units of the conditioned target."""
        delta = min(self.model.delta / self.map.target_scale, _WIDE)
        return Loss.of(self.model.loss, delta, self.model.parameter)

    @property
    def loss_unit(self) -> float:
        """Loss in the units of the data per loss in training."""
        return self.map.target_scale**2 if self.loss.scales_target else 1.0

    def check(self) -> None:
        """Refuse targets that the loss is not made for."""
        p, problem = len(self.problem.names), self.problem
        variance = float(np.ldexp(problem.cross[p, p], 2 * problem.exponent[p])) / problem.weight
        square = variance + self.mean**2 if problem.intercept else variance
        if self.loss.name == Huber.name and self.loss.delta < _NARROW:
            raise UsageError(
                f"delta is {self.model.delta:g}, of a target that spreads over {self.map.target_scale:.3g}; raise it"
            )
        self.loss.check_target(self.source.label, problem.target, self.low, self.high, self.mean, square)

    def rows(self) -> Rows:
        """Return the training rows, conditioned."""
        room = self.model.memory
        if self.model.memory_mb is None and self.source.in_memory:
            room = max(room, 2 * (self.source.nbytes() or 0))
        return Rows(
            self.source,
            self.design,
            self.map,
            mean_weight=self.problem.weight / self.problem.n,
            dtype=np.dtype(self.model.precision),
            device=self.device,
            n=self.problem.n,
            memory=self.model.memory,
            room=room,
            seed=self.model.seed,
            threads=self.run.engine.workers,
        )


class Validation:
    """The rows held out: their mean loss, as often as asked for.

    Attributes
    ----------
    passes : int
        Passes over the source so far.
    """

    def __init__(self, task: Task) -> None:
        rows = task.rows()
        if task.model.validation:
            assert task.design.sample is not None
            sample = dataclasses.replace(task.design.sample, held_out=True)
            rows.design = dataclasses.replace(task.design, sample=sample)
        rows.n = int(task.exact.n_read * task.model.validation)
        self._rows, self._task = rows, task
        self._live = task.model.validation > 0
        self.passes = 0

    def loss(self, trainer: Trainer) -> float:
        """Return the mean loss, in the units of the data; NaN if no rows are to be held out.

        Raises
        ------
        UsageError
            The fraction is so small that there are no such rows.
        """
        if not self._live:
            return float("nan")
        self.passes += not self._rows.kept
        loss, weight = trainer.evaluate(parts(self._rows, 8192))
        if not weight:
            raise UsageError(
                f"validation: {self._task.model.validation:g} of {self._task.exact.n_read:,} rows came to none; "
                "raise the fraction, or leave it out"
            )
        return loss / weight * self._task.loss_unit
