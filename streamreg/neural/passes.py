"""Passes over the rows that train a model, each of which can be broken off anywhere and taken up again."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streamreg.backend import load
from streamreg.neural.checkpoint import Arrays, Checkpoint
from streamreg.neural.rows import Feed, Rows
from streamreg.neural.trainer import Sums, Trainer
from streamreg.progress import Progress

_FULL_BATCH_ROWS = 8192

State = tuple[dict[str, Any], Arrays]


class Passes:
    """Mini-batch and full-batch passes, with Keras callbacks, progress and checkpoints.

    Parameters
    ----------
    rows : Rows
    trainer : Trainer
    epochs : int
        At most.
    checkpoint : Checkpoint
        If it holds a state, the first pass goes on from there.
    callbacks : sequence of keras.callbacks.Callback
    owner : callable
        Returns what the owner of these passes wants kept in a checkpoint.
    """

    def __init__(
        self,
        rows: Rows,
        trainer: Trainer,
        epochs: int,
        checkpoint: Checkpoint,
        callbacks: Sequence[Any] = (),
        owner: Callable[[], State] = lambda: ({}, {}),
    ) -> None:
        keras = load()
        self.rows, self.trainer = rows, trainer
        self.epoch, self._batch = 0, 0
        self._checkpoint, self._owner = checkpoint, owner
        self._running: Arrays = {}
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=trainer.model, epochs=epochs, steps=-(-rows.n // trainer.size), verbose=0
        )

    def restore(self) -> None:
        """Take up the state of the checkpoint, if there is one."""
        meta, arrays = self._checkpoint.meta, self._checkpoint.arrays
        if meta:
            self.epoch, self._batch = meta["epoch"], meta["batch"]
            self._running = {k.removeprefix("running."): v for k, v in arrays.items() if k.startswith("running.")}
            self.trainer.restore(meta["averaged"], arrays)

    def begin(self) -> bool:
        """Begin or take up a pass; returns whether it is begun at its first batch."""
        self.callbacks.on_epoch_begin(self.epoch)
        return self._batch == 0

    def end(self, logs: dict[str, float]) -> bool:
        """End a pass and save; returns whether a callback asks to stop."""
        self.epoch, self._batch, self._running = self.epoch + 1, 0, {}
        self.callbacks.on_epoch_end(self.epoch - 1, logs)
        self.save()
        return bool(getattr(self.trainer.model, "stop_training", False))

    def save(self) -> None:
        """Save the state, if there is a checkpoint to save it to."""
        meta, arrays = self._owner()
        position = {"epoch": self.epoch, "batch": self._batch, "averaged": self.trainer.averaged}
        running = {f"running.{k}": v for k, v in self._running.items()}
        self._checkpoint.save(meta | position, arrays | running | self.trainer.state())

    def release(self) -> None:
        """End the training and give back its memory."""
        self.callbacks.on_train_end()
        self.rows.release()
        self.trainer.release()
        self._owner = lambda: ({}, {})

    def mini_batch(self, bar: Progress, first_averaged: int | None) -> float:
        """Train on all rows in shuffled order; returns the mean loss met on the way.

        Parameters
        ----------
        bar : Progress
        first_averaged : int or None
            The batch from which on weights are averaged.
        """
        total = self._running.get("total", np.zeros(2))
        epoch, size = self.epoch, self.trainer.size
        for x, y, weight in Feed(self.rows, lambda: self.rows.shuffled(epoch, size), self._batch):
            self.callbacks.on_train_batch_begin(self._batch)
            average = first_averaged is not None and self._batch >= first_averaged
            total = total + self.trainer.update(x, y, weight, average).numpy()
            loss = float(total[0] / total[1])
            self.callbacks.on_train_batch_end(self._batch, {"loss": loss})
            bar(len(x), f"loss {loss:.4g}")
            self._batch += 1
            if self._checkpoint.due:
                self._running = {"total": total}
                self.save()
        return float(total[0] / total[1])

    def full_batch(self, bar: Progress, hessian: bool) -> Sums:
        """Return sums over all rows at the present weights."""
        sums = Sums.zeros(len(self.trainer.weights()), hessian)
        if self._running:
            sums = Sums.from_arrays(self._running)
        for x, y, weight in Feed(self.rows, lambda: self.rows.in_order(_FULL_BATCH_ROWS), self._batch):
            sums.add(self.trainer.sums(x, y, weight, hessian))
            bar(len(x))
            self._batch += 1
            if self._checkpoint.due:
                self._running = sums.to_arrays()
                self.save()
        return sums
