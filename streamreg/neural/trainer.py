"""A Keras model in training: mini-batch updates, and sums over all rows, on whatever library Keras runs on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.backend import load, to_numpy
from streamreg.neural.batches import Part
from streamreg.neural.losses import Loss
from streamreg.neural.steps import Compiled, steps

Float: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """What a full-batch pass adds up, in float64, over rows of weights w with the loss l.

    Attributes
    ----------
    weight, loss, null : float
        Sum of w, of w l, and of w l for the model without slopes.
    squares : float
        Sum of ``w (y - mean)**2``.
    slopes : float
        Sum of ``w l'**2``, by the model's output.
    spread : float
        Sum of w over the rows in the square part of the Huber loss; of others Pearson's statistic (`Loss.spread`).
    gradient : ndarray of shape (k,)
        Of the summed loss, by the k trainable weights.
    hessian : ndarray of shape (k, k) or None
    """

    weight: float = 0.0
    loss: float = 0.0
    null: float = 0.0
    squares: float = 0.0
    slopes: float = 0.0
    spread: float = 0.0
    gradient: Float | None = None
    hessian: Float | None = None


class Trainer:
    """A Keras model with a loss and an optimizer, and the compiled steps that train it.

    A batch's loss is divided by the nominal batch size, not by its own number of rows, so that a row weighs the same
    in a partial batch as in a full one. Totals stay where they are computed, in float64, until they are asked for.

    Parameters
    ----------
    model : keras.Model
        Maps conditioned features (m, p) to one output (m, 1).
    loss : Loss
    optimizer : keras.optimizers.Optimizer
    batch_size : int
    dtype : dtype
    line : {"gradient", "hessian"}, optional
        The model is one dense unit, whose weights are to be averaged, and these sums over all rows to be had.
    null : float
        Output of a line without slopes.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        optimizer: Any,
        batch_size: int,
        dtype: np.dtype[Any],
        line: Literal["gradient", "hessian"] | None = None,
        null: float = 0.0,
    ) -> None:
        keras = load()
        self.model, self.optimizer, self.size = model, optimizer, batch_size
        self._ops, self._loss, self._null = keras.ops, loss, null
        model.compile(optimizer)  # for callbacks that look for it
        optimizer.build(model.trainable_variables)
        k = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        shapes: dict[str, list[tuple[int, ...]]] = {"gradient": [(6,), (k,)], "hessian": [(6,), (k,), (k, k)]}

        def zeros(shape: tuple[int, ...], kind: str) -> Any:
            return keras.Variable(np.zeros(shape), trainable=False, dtype=kind, autocast=False)

        self._met = zeros((2,), "float64")  # loss and weight of the rows met
        self._average = [zeros(v.shape, v.dtype) for v in model.trainable_variables] if line else []
        self._sums = [zeros(shape, "float64") for shape in shapes[line]] if line else []
        self.averaged = 0
        self._variables = [*model.variables, *optimizer.variables, self._met, *self._average, *self._sums]
        self._steps = steps(model, self._variables)
        self._flags = [keras.ops.cast(flag, dtype.name) for flag in (0.0, 1.0)]
        rows: list[tuple[int | None, ...]] = [(None, model.input_shape[-1]), (None,), (None,)]
        self._update = Compiled(self._steps, self._update_step, [*rows, ()], dtype)
        self._evaluate = Compiled(self._steps, self._loss_step, rows, dtype)
        self._add_up = Compiled(self._steps, self._sum_step, rows, dtype) if line else None

    def release(self) -> None:
        """Let go of the compiled steps, which refer to this object and would wait for the garbage collector."""
        self._steps.settle()
        del self._update, self._evaluate, self._add_up

    def begin(self) -> None:
        """Set all totals to zero."""
        self._steps.settle()
        for variable in (self._met, *self._sums):
            variable.assign(np.zeros(variable.shape))

    def update(self, part: Part, average: bool) -> None:
        """Take one optimizer step on each batch, and add its loss, before the step, to the total.

        With `average`, the weights after each step go into the running average.
        """
        self.averaged += average * part.batches
        self._update(part, self._flags[average])

    def met(self) -> tuple[float, float]:
        """Return summed loss and summed weight of the rows met since `begin`."""
        loss, weight = self._array(self._met)
        return float(loss), float(weight)

    def mean_loss(self) -> float:
        """Return the mean loss of the rows met since `begin`."""
        loss, weight = self.met()
        return loss / weight

    def settle(self) -> None:
        """Let the model's variables hold their present values, for others to see."""
        self._steps.settle()

    def take_average(self) -> None:
        """Set the weights to the running average and begin a new one."""
        self._steps.settle()
        if self.averaged:
            for variable, total in zip(self.model.trainable_variables, self._average, strict=True):
                variable.assign(total / self.averaged)
                total.assign(np.zeros(total.shape))
        self.averaged = 0

    def evaluate(self, parts: Iterable[Part]) -> tuple[float, float]:
        """Return summed loss and summed weight of rows."""
        self.begin()
        for part in parts:
            self._evaluate(part)
        return self.met()

    def add_up(self, part: Part) -> None:
        """Add the sums of some rows to those of a full-batch pass."""
        assert self._add_up is not None, "sums are those of a line"
        self._add_up(part)

    def sums(self) -> Sums:
        """Return the sums over all rows since `begin`."""
        scalars, *arrays = map(self._array, self._sums)
        return Sums(*scalars.tolist(), *arrays)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the next step depends on, as arrays."""
        return {f"trainer.{i}": self._array(v) for i, v in enumerate(self._variables)}

    def fits(self, arrays: dict[str, NDArray[Any]]) -> bool:
        """Return whether `state` of a trainer of a model like this one would return such arrays."""
        shapes = {name: array.shape for name, array in arrays.items() if name.startswith("trainer.")}
        return shapes == {f"trainer.{i}": tuple(v.shape) for i, v in enumerate(self._variables)}

    def restore(self, averaged: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.averaged = averaged
        self._steps.settle()
        for i, variable in enumerate(self._variables):
            variable.assign(arrays[f"trainer.{i}"])

    def weights(self) -> Float:
        """Return all trainable weights as one vector, shape (k,)."""
        return np.concatenate([np.ravel(self._array(v)) for v in self.model.trainable_variables]).astype(np.float64)

    def set_weights(self, values: Float) -> None:
        """Set the trainable weights from one vector."""
        self._steps.settle()
        at = 0
        for variable in self.model.trainable_variables:
            count = int(np.prod(variable.shape))
            variable.assign(values[at : at + count].reshape(variable.shape))
            at += count

    def _array(self, variable: Any) -> NDArray[Any]:
        self._steps.settle()
        return to_numpy(variable)

    def _update_step(self, x: Any, y: Any, weight: Any, average: Any) -> None:
        def objective() -> Any:
            eta = self.model(x, training=True)[:, 0]
            self._add(self._met, self._loss_of(y, eta, weight))
            # Only the model is differentiated: what the loss adds is known. This has the gradient of the loss.
            summed = self._ops.sum(self._ops.stop_gradient(weight * self._loss.slope(y, eta)) * eta)
            return summed / self.size + sum(self.model.losses)

        variables = self.model.trainable_variables
        self._steps.apply(self.optimizer, self._steps.gradients(objective))
        for variable, total in zip(variables, self._average, strict=bool(self._average)):
            total.assign(total + average * variable)

    def _loss_step(self, x: Any, y: Any, weight: Any) -> None:
        self._add(self._met, self._loss_of(y, self.model(x, training=False)[:, 0], weight))

    def _sum_step(self, x: Any, y: Any, weight: Any) -> None:
        ops, loss = self._ops, self._loss
        eta = self.model(x, training=False)[:, 0]
        slope = loss.slope(y, eta)
        null = loss.rows(y, ops.full_like(eta, self._null))
        squares = ops.square(y - loss.mean(eta))
        lost, spread = loss.rows(y, eta), loss.spread(y, eta)
        of_rows = ops.stack([ops.ones_like(y), lost, null, squares, ops.square(slope), spread])
        if len(self.model.trainable_variables) > 1:
            x = ops.concatenate([x, ops.ones_like(eta)[:, None]], axis=1)
        found = [(of_rows @ weight[:, None])[:, 0], ((weight * slope)[None] @ x)[0]]
        if len(self._sums) > len(found):
            found.append(ops.transpose(x) @ (x * (weight * loss.curvature(y, eta))[:, None]))
        for total, value in zip(self._sums, found, strict=True):
            self._add(total, value)

    def _loss_of(self, y: Any, eta: Any, weight: Any) -> Any:
        return self._ops.stack([self._ops.sum(weight * self._loss.rows(y, eta)), self._ops.sum(weight)])

    def _add(self, total: Any, value: Any) -> None:
        total.assign(total + self._ops.cast(value, "float64"))
