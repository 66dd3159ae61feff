"""How a user's own network ends: on the linear predictor that training needs, or on a function of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.backend import load, to_numpy
from streamreg.errors import UsageError
from streamreg.neural.losses import Loss

_POINTS = np.array([-4.0, -1.5, -0.25, 0.0, 0.5, 2.0, 5.0], dtype=np.float32)[:, None]
_NEAR = 1e-4  # what one of Keras's libraries may differ from another
_WIDE = (1.0, 1e2, 1e4)  # sizes of the features that a network is tried on
_TRIED = 64  # rows of each size


def linear(model: Any, loss: Loss, free: bool) -> Any:
    """Return the user's own network without the mean function of its loss at its end, if it has one there.

    A network that ends in a sigmoid is what Keras itself calls ``from_logits=False``: training takes the logit, and the
    sigmoid comes back after it (`network.raw`). What the last layers do is read off the layers, or, where these do not
    say, off the values that they give.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential; the activation of its last layer is taken off in place.
    loss : Loss
    free : bool
        Whether the target is left in its own units: then a network for squared errors may end as it likes.

    Raises
    ------
    UsageError
        It ends in a function that is not the mean function of the loss, or in one that cannot be taken off.
    """
    tensor, inner, shared = model.outputs[0], False, False
    while True:
        operation, index, _ = tensor._keras_history  # the only way that Keras tells what made an output
        node = operation._inbound_nodes[index]
        if not node.input_tensors:
            return model
        shared |= _uses(tensor, operation) > 1
        if isinstance(operation, load().Model) and getattr(operation, "outputs", None):
            tensor, inner = operation.outputs[0], True
            continue
        before = node.input_tensors[0]
        function = getattr(operation, "activation", None)
        if function is None:
            if before.shape != (None, 1) or len(node.input_tensors) > 1:
                break
            function = operation
        kind = _kind(function)
        if kind == "identity" and function is operation:
            tensor = before
            continue
        if kind == "identity" or (free and loss.scales_target):
            return model
        if kind != loss.activation:
            if kind == "affine":
                return model
            raise UsageError(_refusal(_name(function), loss))
        if shared or (inner and function is operation):
            raise UsageError(
                f"model ends in {_name(function)}, in a layer that cannot be taken off; end it with "
                f"keras.layers.Dense(1, activation={loss.activation!r}), or without activation"
            )
        if function is operation:
            return load().Model(model.inputs, before)
        operation.activation = load().activations.linear
        return model
    return _tried(model, loss, free)


def _uses(tensor: Any, operation: Any) -> int:
    """Return how many times an operation is called on the way to a tensor."""
    found, waiting = set(), [tensor]
    while waiting:
        made_by, index, _ = waiting.pop()._keras_history
        if (id(made_by), index) not in found:
            found.add((id(made_by), index))
            waiting += made_by._inbound_nodes[index].input_tensors
    return sum(which == id(operation) for which, _ in found)


def _tried(model: Any, loss: Loss, free: bool) -> Any:
    """Return a network whose end does not say what it is, if the values that it gives are not those of a mean."""
    random = np.random.default_rng(0)
    shape = (_TRIED, model.input_shape[1])
    rows = [random.standard_normal(shape) * size for size in _WIDE]
    values = _values(model, np.concatenate(rows).astype(model.inputs[0].dtype))
    bounded = values.min() >= 0.0 and (loss.activation != "sigmoid" or values.max() <= 1.0)
    if bounded and not (free and loss.scales_target) and np.ptp(values) > 0:
        extent = f"{values.min():.3g} to {values.max():.3g}, whatever the features"
        raise UsageError(
            f"model seems to end in a function of the linear predictor: it gives {extent}; {_remedy(loss)}"
        )
    return model


def _kind(function: Any) -> str:
    """Return which function of one number this is: "identity", "sigmoid", "exponential", "affine" or "other"."""
    try:
        found = _values(function, _POINTS)
    except Exception:  # whatever a layer of the user's own makes of a column of numbers
        return "other"
    points = _POINTS.astype(np.float64)
    if found.shape != points.shape:
        return "other"
    known = {"identity": points, "sigmoid": 1.0 / (1.0 + np.exp(-points)), "exponential": np.exp(points)}
    for name, values in known.items():
        if np.allclose(found, values, rtol=_NEAR, atol=_NEAR * (name == "identity")):
            return name
    slope = (found[-1] - found[0]) / (points[-1] - points[0])
    line = found[0] + slope * (points - points[0])
    return "affine" if slope != 0 and np.allclose(found, line, rtol=_NEAR, atol=_NEAR * np.ptp(found)) else "other"


def _values(function: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(to_numpy(function(load().ops.convert_to_tensor(rows))), dtype=np.float64)


def _name(function: Any) -> str:
    name = getattr(function, "__name__", "")
    return "a lambda" if name == "<lambda>" else str(name or type(function).__name__).lower()


def _refusal(name: str, loss: Loss) -> str:
    return f"model ends in {name}, and the loss is {loss.name}; {_remedy(loss)}"


def _remedy(loss: Loss) -> str:
    if loss.activation:
        return f"end it without activation, or with {loss.activation!r}"
    return "the target is centred and scaled for training, so end it without activation (or set conditioning='none')"
