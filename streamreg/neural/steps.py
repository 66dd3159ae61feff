"""Steps of training, compiled: the one thing that TensorFlow, JAX and PyTorch do each in a way of its own.

A step is a function of tensors that reads and assigns Keras variables, and returns nothing. It is compiled for a batch
by itself, and for many of them in one call, which takes them from a table.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from streamreg import backend
from streamreg.neural.batches import Batch, Part, Stretch, Tensors

Step: TypeAlias = Callable[..., None]
Shapes: TypeAlias = Sequence[tuple[int | None, ...]]
Looped: TypeAlias = Callable[..., None]
"""A step on all batches of a stretch; what it takes beside a batch follows the stretch."""


class Steps(ABC):
    """What turns steps into something fast.

    Parameters
    ----------
    model : keras.Model
    variables : sequence of keras.Variable
        All that steps read and assign, the model's own among them.
    """

    def __init__(self, model: Any, variables: Sequence[Any]) -> None:
        self._model, self._variables = model, list(variables)

    @abstractmethod
    def compiled(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Step:
        """Return the step compiled for arguments of these shapes, of which None stands for any length."""

    @abstractmethod
    def looped(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Looped:
        """Return the step compiled to be taken on all batches of a stretch."""

    @abstractmethod
    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        """Return the gradient of a number by the trainable weights; within a step."""

    def apply(self, optimizer: Any, gradients: Sequence[Any]) -> None:
        """Take an optimizer's step; within a step."""
        optimizer.apply(gradients, self._model.trainable_variables)

    def settle(self) -> None:  # noqa: B027 - where steps assign variables themselves there is nothing to do
        """Let the variables hold what the steps have made of them: to be called before one is looked at, or set."""


class Compiled:
    """A step on a batch or on each of a stretch, compiled for either when it is first called so.

    Parameters
    ----------
    steps : Steps
    step : callable
    shapes : sequence of tuples
        Of its arguments: features, target, weights, and what else it takes.
    dtype : dtype
    """

    def __init__(self, steps: Steps, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> None:
        self._steps, self._step, self._shapes, self._dtype = steps, step, shapes, dtype

    def __call__(self, part: Part, *rest: Any) -> None:
        """Take the step."""
        if isinstance(part, Batch):
            self._single(*part.tensors, *rest)
        else:
            self._looped(part, *rest)

    @cached_property
    def _single(self) -> Step:
        return self._steps.compiled(self._step, self._shapes, self._dtype)

    @cached_property
    def _looped(self) -> Looped:
        return self._steps.looped(self._step, self._shapes, self._dtype)


class _TensorFlow(Steps):
    def compiled(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Step:
        tf = backend.library()
        # A concrete function: traced once, here, and never again.
        traced = tf.function(step, input_signature=[tf.TensorSpec(shape, dtype) for shape in shapes])
        concrete: Step = traced.get_concrete_function()
        return concrete

    def looped(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Looped:
        tf = backend.library()

        def run(table: Tensors, order: Any, start: Any, stop: Any, size: Any, rest: Any) -> None:
            def batch(at: Any) -> list[Any]:
                rows = slice(at, tf.minimum(at + size, stop))
                return [tf.gather(part, order[rows]) for part in table]

            def one(at: Any, *given: Any) -> list[Any]:
                following = batch(tf.minimum(at + size, stop))  # gathered while the step is taken
                step(*given, *rest)
                return [at + size, *following]

            lengths = [tf.TensorShape(()), *map(tf.TensorShape, shapes[:3])]
            tf.while_loop(lambda at, *_: at < stop, one, [start, *batch(start)], shape_invariants=lengths)

        specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
        # Positions in 32 bits, which TensorFlow keeps beside the processor; an order in 64, which it does not.
        order, position = tf.TensorSpec((None,), "int64"), tf.TensorSpec((), "int32")
        signature = [tuple(specs[:3]), order, position, position, position, tuple(specs[3:])]
        traced = tf.function(run, input_signature=signature).get_concrete_function()

        def stretched(stretch: Stretch, *rest: Any) -> None:
            positions = (tf.constant(number, "int32") for number in (stretch.start, stretch.stop, stretch.size))
            traced(stretch.table, stretch.order, *positions, rest)

        return stretched

    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        with backend.library().GradientTape() as tape:
            value = objective()
        return list(tape.gradient(value, self._model.trainable_variables))

    def apply(self, optimizer: Any, gradients: Sequence[Any]) -> None:
        # As if they were merged already. A Keras optimizer else sums gradients over replicas, of which there is one, by
        # a function whose own gradient TensorFlow keeps for ever, and with it the graph that this is traced in.
        replica = backend.library().distribute.get_replica_context()
        if replica is None:
            super().apply(optimizer, gradients)
        else:
            replica.merge_call(lambda _: super(_TensorFlow, self).apply(optimizer, gradients))


class _Jax(Steps):
    """Functions of JAX are pure: values go from step to step, and into the variables when somebody looks."""

    def __init__(self, model: Any, variables: Sequence[Any]) -> None:
        super().__init__(model, variables)
        self._values: list[Any] | None = None

    def compiled(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Step:
        # Traced again where a shape is new: for the last batch of a pass.
        return self._kept(backend.library().jit(self._pure(step), donate_argnums=0))

    def looped(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Looped:
        jax, pure = backend.library(), self._pure(step)

        def run(values: Any, table: Tensors, order: Any, start: Any, count: Any, rest: Any, *, size: int) -> Any:
            def one(number: Any, values: Any) -> Any:
                rows = jax.lax.dynamic_slice_in_dim(order, start + number * size, size)
                return pure(values, *(part.at[rows].get(mode="promise_in_bounds") for part in table), *rest)

            return jax.lax.fori_loop(0, count, one, values)

        # Traced again for another size: that of the last batch.
        traced = self._kept(jax.jit(run, donate_argnums=0, static_argnames="size"))

        def stretched(stretch: Stretch, *rest: Any) -> None:
            count, left = divmod(len(stretch), stretch.size)
            if count:
                traced(stretch.table, stretch.order, stretch.start, count, rest, size=stretch.size)
            if left:
                traced(stretch.table, stretch.order, stretch.stop - left, 1, rest, size=left)

        return stretched

    def _pure(self, step: Step) -> Callable[..., list[Any]]:
        """Return the step as a function from values of the variables to their values after it."""
        keras = backend.load()

        def pure(values: list[Any], *arguments: Any) -> list[Any]:
            with keras.StatelessScope(list(zip(self._variables, values, strict=True))) as scope:
                step(*arguments)
            return [scope.get_current_value(variable) for variable in self._variables]

        return pure

    def _kept(self, pure: Callable[..., list[Any]]) -> Step:
        """Return a function of values that takes those that are kept here, and keeps what it returns."""

        def run(*arguments: Any, **options: Any) -> None:
            if self._values is None:
                self._values = [variable.value for variable in self._variables]
            self._values = pure(self._values, *arguments, **options)

        return run

    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        keras, trained = backend.load(), self._model.trainable_variables
        within = {id(variable) for variable in trained}
        others = [variable for variable in self._variables if id(variable) not in within]

        def pure(values: list[Any]) -> tuple[Any, list[Any]]:
            mapping = [*zip(trained, values, strict=True), *((other, other.value) for other in others)]
            with keras.StatelessScope(mapping, collect_losses=True) as scope:
                value = objective()
            return value, [scope.get_current_value(other) for other in others]

        found, assigned = backend.library().grad(pure, has_aux=True)([variable.value for variable in trained])
        for other, value in zip(others, assigned, strict=True):
            other.assign(value)
        return list(found)

    def settle(self) -> None:
        if self._values is not None:
            for variable, value in zip(self._variables, self._values, strict=True):
                variable.assign(value)
            self._values = None


class _Torch(Steps):
    def compiled(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Step:
        eager: Step = backend.library().no_grad()(step)
        return eager

    def looped(self, step: Step, shapes: Shapes, dtype: np.dtype[Any]) -> Looped:
        eager = self.compiled(step, shapes, dtype)

        def stretched(stretch: Stretch, *rest: Any) -> None:
            for at in range(stretch.start, stretch.stop, stretch.size):
                rows = stretch.order[at : min(at + stretch.size, stretch.stop)]
                eager(*(part.index_select(0, rows) for part in stretch.table), *rest)

        return stretched

    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        torch = backend.library()
        with torch.enable_grad():
            value = objective()
        weights = [variable.value for variable in self._model.trainable_variables]
        return list(torch.autograd.grad(value, weights, allow_unused=True))


def steps(model: Any, variables: Sequence[Any]) -> Steps:
    """Return the steps of the library that Keras runs on."""
    kinds: dict[str, type[Steps]] = {"tensorflow": _TensorFlow, "jax": _Jax, "torch": _Torch}
    return kinds[backend.name()](model, variables)
