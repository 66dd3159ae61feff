"""Passes over the rows that train a model, each of which can be broken off anywhere and taken up again."""

from collections.abc import Callable, Sequence
from typing import Any

from streamreg.backend import load
from streamreg.errors import UsageError
from streamreg.neural.batches import Part
from streamreg.neural.checkpoint import Arrays, Checkpoint
from streamreg.neural.feed import parts
from streamreg.neural.rows import Rows
from streamreg.neural.trainer import Sums, Trainer
from streamreg.progress import Progress

_FULL_BATCH_ROWS = 8192
_TOGETHER = 32  # batches of rows in memory between two looks at the clock

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
        self._watched = any(_watches(callback, keras.callbacks.Callback) for callback in callbacks)
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=trainer.model, epochs=epochs, steps=-(-rows.n // trainer.size), verbose=0
        )

    def restore(self) -> None:
        """Take up the state of the checkpoint, if there is one."""
        meta, arrays = self._checkpoint.meta, self._checkpoint.arrays
        if meta:
            if not self.trainer.fits(arrays):
                raise UsageError("the checkpoint was made with another model; use that, or name another folder")
            self.epoch, self._batch = meta["epoch"], meta["batch"]
            self.trainer.restore(meta["averaged"], arrays)

    def take(self, trainer: Trainer) -> None:
        """Go on with another trainer, whose model is what callbacks see from now on."""
        trainer.model.stop_training = getattr(self.trainer.model, "stop_training", False)
        self.trainer = trainer
        self.callbacks.set_model(trainer.model)

    def begin(self) -> bool:
        """Begin or take up a pass; returns whether it is begun at its first batch."""
        self.callbacks.on_epoch_begin(self.epoch)
        if self._batch == 0:
            self.trainer.begin()
        return self._batch == 0

    def end(self, logs: dict[str, float]) -> bool:
        """End a pass and save; returns whether a callback asks to stop."""
        self.epoch, self._batch = self.epoch + 1, 0
        self.callbacks.on_epoch_end(self.epoch - 1, logs)
        self.save()
        return bool(getattr(self.trainer.model, "stop_training", False))

    def save(self) -> None:
        """Save the state, if there is a checkpoint to save it to."""
        meta, arrays = self._owner()
        position = {"epoch": self.epoch, "batch": self._batch, "averaged": self.trainer.averaged}
        self._checkpoint.save(meta | position, arrays | self.trainer.state())

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
        trainer, together = self.trainer, 1 if self._watched else _TOGETHER
        for part in parts(self.rows, trainer.size, self.epoch, self._batch, together, first_averaged):
            if self._watched:
                trainer.settle()
                self.callbacks.on_train_batch_begin(self._batch)
            trainer.update(part, average=first_averaged is not None and self._batch >= first_averaged)
            if self._watched:
                self.callbacks.on_train_batch_end(self._batch, {"loss": trainer.mean_loss()})
            bar(len(part), lambda: f"loss {trainer.mean_loss():.4g}")
            self._done(part)
        return trainer.mean_loss()

    def full_batch(self, bar: Progress) -> Sums:
        """Return sums over all rows at the present weights."""
        for part in parts(self.rows, _FULL_BATCH_ROWS, skip=self._batch):
            self.trainer.add_up(part)
            bar(len(part))
            self._done(part)
        return self.trainer.sums()

    def _done(self, part: Part) -> None:
        self._batch += part.batches
        if self._checkpoint.due:
            self.save()


def _watches(callback: Any, base: Any) -> bool:
    """Return whether a callback does anything at a batch. If none does, nobody waits for the batch to be computed."""
    hooks = "on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"
    return any(getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook) for hook in hooks)
