"""Steps of training, compiled: the one thing that TensorFlow, JAX and PyTorch do each in a way of its own.

A step is a function of tensors that reads and assigns Keras variables, and returns nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from streamreg import backend

Step: TypeAlias = Callable[..., None]


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
    def compiled(self, step: Step, shapes: Sequence[tuple[int | None, ...]], dtype: np.dtype[Any]) -> Step:
        """Return the step compiled for arguments of these shapes, of which None stands for any length."""

    @abstractmethod
    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        """Return the gradient of a number by the trainable weights; within a step."""

    def settle(self) -> None:  # noqa: B027 - where steps assign variables themselves there is nothing to do
        """Let the variables hold what the steps have made of them: to be called before one is looked at, or set."""


class _TensorFlow(Steps):
    def compiled(self, step: Step, shapes: Sequence[tuple[int | None, ...]], dtype: np.dtype[Any]) -> Step:
        tf = backend.library()
        # A concrete function: traced once, here, and never again.
        traced = tf.function(step, input_signature=[tf.TensorSpec(shape, dtype) for shape in shapes])
        concrete: Step = traced.get_concrete_function()
        return concrete

    def gradients(self, objective: Callable[[], Any]) -> list[Any]:
        with backend.library().GradientTape() as tape:
            value = objective()
        return list(tape.gradient(value, self._model.trainable_variables))


class _Jax(Steps):
    """Functions of JAX are pure: values go from step to step, and into the variables when somebody looks."""

    def __init__(self, model: Any, variables: Sequence[Any]) -> None:
        super().__init__(model, variables)
        self._values: list[Any] | None = None

    def compiled(self, step: Step, shapes: Sequence[tuple[int | None, ...]], dtype: np.dtype[Any]) -> Step:
        keras = backend.load()

        def pure(values: list[Any], *arguments: Any) -> list[Any]:
            with keras.StatelessScope(list(zip(self._variables, values, strict=True))) as scope:
                step(*arguments)
            return [scope.get_current_value(variable) for variable in self._variables]

        # Traced again where a shape is new: for the last batch of a pass.
        traced = backend.library().jit(pure, donate_argnums=0)

        def run(*arguments: Any) -> None:
            if self._values is None:
                self._values = [variable.value for variable in self._variables]
            self._values = traced(self._values, *arguments)

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
    def compiled(self, step: Step, shapes: Sequence[tuple[int | None, ...]], dtype: np.dtype[Any]) -> Step:
        eager: Step = backend.library().no_grad()(step)
        return eager

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
