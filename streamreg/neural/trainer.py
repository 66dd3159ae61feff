"""One step of training, compiled once: a mini-batch update, or the sums of a full-batch gradient."""

from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.backend import library
from streamreg.neural.losses import Loss
from streamreg.neural.rows import Feed

Float: TypeAlias = NDArray[np.float64]


@dataclass(slots=True)
class Sums:
    """What a full-batch pass adds up, in float64, over rows of weights w with the loss l.

    Attributes
    ----------
    weight, loss, null : float
        Sum of w, of w l, and of w l for the model without slopes.
    gradient : ndarray of shape (k,)
        Of the summed loss, by the k trainable weights.
    hessian : ndarray of shape (k, k) or None
    squares : float
        Sum of ``w (y - mean)**2``.
    slopes : float
        Sum of ``w l'**2``, by the model's output.
    within : float
        Sum of w over the rows in the square part of the Huber loss.
    """

    weight: float
    loss: float
    gradient: Float
    hessian: Float | None
    null: float = 0.0
    squares: float = 0.0
    slopes: float = 0.0
    within: float = 0.0

    @classmethod
    def zeros(cls, k: int, hessian: bool) -> Self:
        """Return the sums of no rows."""
        return cls(0.0, 0.0, np.zeros(k), np.zeros((k, k)) if hessian else None)

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Rebuild what `to_arrays` returned."""
        values: dict[str, Any] = {"hessian": None} | {k: v if v.ndim else float(v) for k, v in arrays.items()}
        return cls(**values)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the sums as plain arrays."""
        return {f.name: np.array(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None}

    def add(self, other: "Sums") -> None:
        """Add the sums of further rows."""
        self.weight += other.weight
        self.loss += other.loss
        self.null += other.null
        self.squares += other.squares
        self.gradient += other.gradient
        self.slopes += other.slopes
        self.within += other.within
        if self.hessian is not None and other.hessian is not None:
            self.hessian += other.hessian


class Trainer:
    """A Keras model with a loss and an optimizer, and the compiled steps that train it.

    A batch's loss is divided by the nominal batch size, not by its own number of rows, so that a row weighs the same
    in a partial batch as in a full one.

    Parameters
    ----------
    model : keras.Model
        Maps conditioned features (m, p) to one output (m, 1).
    loss : Loss
    optimizer : keras.optimizers.Optimizer
    batch_size : int
    dtype : dtype
    null : float
        Output of the model without slopes.
    """

    def __init__(
        self, model: Any, loss: Loss, optimizer: Any, batch_size: int, dtype: np.dtype[Any], null: float = 0.0
    ) -> None:
        tf = library()
        self.model, self.optimizer, self.size = model, optimizer, batch_size
        self._tf, self._loss, self._null = tf, loss, null
        model.compile(optimizer)  # for callbacks that look for it
        optimizer.build(model.trainable_variables)
        self._total = [tf.Variable(tf.zeros_like(v), trainable=False) for v in model.trainable_variables]
        self.averaged = 0
        width = model.input_shape[-1]
        rows = tf.TensorSpec((None, width), dtype), tf.TensorSpec((None,), dtype), tf.TensorSpec((None,), dtype)
        # Concrete functions: traced once, here, and never again.
        self._update = self._compiled(self._update_step, *rows, tf.TensorSpec((), dtype))
        self._evaluate = self._compiled(self._loss_step, *rows)
        self._sums: dict[bool, Any] = {}
        self._signature = rows

    def _compiled(self, step: Any, *signature: Any) -> Any:
        return self._tf.function(step, input_signature=signature).get_concrete_function()

    def update(self, x: Any, y: Any, weight: Any, average: bool) -> Any:
        """Take one optimizer step on a batch; returns its summed loss and weight, before the step, as a tensor (2,).

        With `average`, the weights after the step go into the running average.
        """
        self.averaged += average
        return self._update(x, y, weight, self._tf.constant(float(average), x.dtype))

    def release(self) -> None:
        """Let go of the compiled steps, which refer to this object and would wait for the garbage collector."""
        del self._update, self._evaluate, self._sums

    def take_average(self) -> None:
        """Set the weights to the running average and begin a new one."""
        if self.averaged:
            for variable, total in zip(self.model.trainable_variables, self._total, strict=True):
                variable.assign(total / self.averaged)
                total.assign(self._tf.zeros_like(total))
        self.averaged = 0

    def evaluate(self, feed: Feed) -> tuple[float, float]:
        """Return summed loss and summed weight of rows."""
        total = np.zeros(2)
        for batch in feed:
            total += self._evaluate(*batch).numpy()
        return float(total[0]), float(total[1])

    def sums(self, x: Any, y: Any, weight: Any, hessian: bool) -> Sums:
        """Return the sums of one batch; the Hessian only for a model that is one dense layer."""
        if hessian not in self._sums:
            self._sums[hessian] = self._compiled(self._hessian_step if hessian else self._sum_step, *self._signature)
        scalars, gradient, *second = self._sums[hessian](x, y, weight)
        matrix = second[0].numpy().astype(np.float64) if second else None
        w, loss, *others = scalars.numpy().tolist()
        return Sums(w, loss, gradient.numpy().astype(np.float64), matrix, *others)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the next step depends on, as arrays."""
        return {f"trainer.{i}": np.asarray(v.numpy()) for i, v in enumerate(self._variables())}

    def restore(self, averaged: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.averaged = averaged
        for i, variable in enumerate(self._variables()):
            variable.assign(arrays[f"trainer.{i}"])

    def _variables(self) -> list[Any]:
        kept = [*self.model.variables, *self.optimizer.variables]
        return [*(v.value for v in kept), *self._total]

    def weights(self) -> Float:
        """Return all trainable weights as one vector, shape (k,)."""
        return np.concatenate([np.ravel(v.numpy()) for v in self.model.trainable_variables]).astype(np.float64)

    def set_weights(self, values: Float) -> None:
        """Set the trainable weights from one vector."""
        at = 0
        for variable in self.model.trainable_variables:
            count = int(np.prod(variable.shape))
            variable.assign(values[at : at + count].reshape(variable.shape))
            at += count

    def _update_step(self, x: Any, y: Any, weight: Any, average: Any) -> Any:
        tf = self._tf
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            summed = tf.reduce_sum(weight * self._loss.rows(y, self.model(x, training=True)[:, 0]))
            penalty = tf.add_n(self.model.losses) if self.model.losses else tf.zeros((), x.dtype)
            objective = summed / self.size + penalty
        self.optimizer.apply(tape.gradient(objective, variables), variables)
        for variable, total in zip(variables, self._total, strict=True):
            total.assign_add(average * variable)
        return tf.stack([summed, tf.reduce_sum(weight)])

    def _loss_step(self, x: Any, y: Any, weight: Any) -> Any:
        tf = self._tf
        loss = self._loss.rows(y, self.model(x, training=False)[:, 0])
        return tf.stack([tf.reduce_sum(weight * loss), tf.reduce_sum(weight)])

    def _sum_step(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any]:
        tf = self._tf
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            eta = self.model(x, training=False)[:, 0]
            summed = tf.reduce_sum(weight * self._loss.rows(y, eta))
        gradient = tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(summed, variables)], axis=0)
        slopes = tf.reduce_sum(weight * tf.square(self._loss.slope(y, eta)))
        within = tf.reduce_sum(weight * self._loss.within(y, eta))
        null = tf.reduce_sum(weight * self._loss.rows(y, tf.fill(tf.shape(eta), tf.cast(self._null, eta.dtype))))
        squares = tf.reduce_sum(weight * tf.square(y - self._loss.mean(eta)))
        return tf.stack([tf.reduce_sum(weight), summed, null, squares, slopes, within]), gradient

    def _hessian_step(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        tf = self._tf
        scalars, gradient = self._sum_step(x, y, weight)
        eta = self.model(x, training=False)[:, 0]
        rows = x if len(self.model.trainable_variables) == 1 else tf.pad(x, [[0, 0], [0, 1]], constant_values=1.0)
        second = tf.matmul(rows, rows * (weight * self._loss.curvature(y, eta))[:, None], transpose_a=True)
        return scalars, gradient, second
