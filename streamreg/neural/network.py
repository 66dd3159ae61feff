"""Build Keras models: the one that is trained on conditioned rows, and the one that takes raw data."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from streamreg.backend import load, to_numpy
from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.neural import ending
from streamreg.neural.conditioning import Conditioning
from streamreg.neural.losses import Loss
from streamreg.neural.options import KerasOptions
from streamreg.results.base import FitResult


def line(p: int, intercept: bool, dtype: str, l2: float = 0.0) -> Any:
    """Return a model of one dense unit, its weights zero."""
    keras = load()
    penalty = keras.regularizers.L2(l2) if l2 else None
    unit = dense(1, intercept, kernel_initializer="zeros", kernel_regularizer=penalty, dtype=dtype, name="line")
    return keras.Sequential([keras.Input((p,), dtype=dtype), unit])


def dense(units: int, bias: bool = True, *, dtype: str, **options: Any) -> Any:
    """Return a layer of dense units.

    In float64 it is one that multiplies by einsum: on PyTorch, Keras's own product rounds to float32.
    """
    layers = load().layers
    if dtype == "float64":
        return layers.EinsumDense("ab,bc->ac", units, bias_axes="c" if bias else None, dtype=dtype, **options)
    return layers.Dense(units, use_bias=bias, dtype=dtype, **options)


def optimizer(name: str, rate: float) -> Any:
    """Return a Keras optimizer by name."""
    keras = load()
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate}})


def batch_size(n: int, p: int) -> int:
    """Return the default batch size: 4096, or enough for 64 batches an epoch, but no less than p rows."""
    return min(n, 4096, max(32, p, n // 64))


def learning_rate(name: str, curvature: float, p: int, size: int) -> float:
    """Return the default learning rate.

    For plain gradient steps half of what the curvature allows, and less where batches are so small that their own
    curvature exceeds that of all rows: by ``(1 + sqrt(p / size))**2``, the edge of the Marchenko-Pastur law.
    """
    if name != "sgd":
        return 0.02
    return float(0.5 / (curvature * (1.0 + (p / size) ** 0.5) ** 2))


def build(model: KerasOptions, p: int, bias: float) -> Any:
    """Return the network that a specification asks for; its input are p conditioned features, its output is one number.

    Raises
    ------
    UsageError
        The user's own model cannot be had, does not take p features, does not return one number in the precision, or
        ends in a function that does not belong to the loss.
    """
    keras = load()
    if model.model is not None:
        with _seeded(model.seed):
            net = _own(model.model, p)
        if net.input_shape != (None, p) or net.output_shape != (None, 1):
            raise UsageError(
                f"model maps {net.input_shape} to {net.output_shape}; there are {p} features, "
                f"so it must map (None, {p}) to (None, 1)"
            )
        if net.outputs[0].dtype != model.precision:
            raise UsageError(
                f"model computes in {net.outputs[0].dtype} and precision is {model.precision}; set that, "
                "or the dtype of the last layer"
            )
        return ending.linear(net, Loss.of(model.loss, parameter=model.parameter), free=model.conditioning == "none")
    penalty = keras.regularizers.L1L2(model.l1, model.l2) if model.l1 or model.l2 else None
    layers: list[Any] = [keras.Input((p,), dtype=model.precision)]
    initial = keras.initializers.HeUniform if model.activation == "relu" else keras.initializers.GlorotUniform
    for number, units in enumerate(model.hidden):
        layers.append(
            dense(
                units,
                activation=model.activation,
                kernel_initializer=initial(seed=model.seed + number),
                kernel_regularizer=penalty,
                dtype=model.precision,
            )
        )
    last = keras.initializers.GlorotUniform(seed=model.seed + len(model.hidden))
    start = keras.initializers.Constant(bias)
    layers.append(
        dense(1, kernel_initializer=last, bias_initializer=start, kernel_regularizer=penalty, dtype=model.precision)
    )
    return keras.Sequential(layers)


def _own(given: Any, p: int) -> Any:
    """Return the user's own model of p features."""
    keras = load()
    if isinstance(given, keras.Model):
        net = _copied(given)
    elif callable(given):
        net = given(p)
    else:
        raise UsageError(f"model is a {type(given).__name__}; give a keras.Model, or a function that returns one")
    if not isinstance(net, keras.Model):
        raise UsageError(f"model returned a {type(net).__name__}; it must return a keras.Model")
    if isinstance(net, keras.Sequential) and not net.built:
        net.build((None, p))
    if not hasattr(net, "input_shape"):
        raise UsageError(
            f"model is a {type(net).__name__}, whose layers Keras cannot see; "
            "make it by keras.Sequential, or by keras.Model(inputs, outputs)"
        )
    return net


def _copied(net: Any) -> Any:
    """Return a model with the same weights, so that a fit leaves alone what it was given, and earlier fits of it."""
    try:
        copy = load().models.clone_model(net)
        if net.built:
            copy.build(net.input_shape)
            for there, here in zip(copy.weights, net.weights, strict=True):
                there.assign(to_numpy(here))
        return copy
    except Exception as error:  # whatever a layer of the user's own makes of it
        reason = " ".join(str(error).split())
        raise UsageError(f"model cannot be copied ({reason}); pass a function that builds it") from error


def raw(core: Any, conditioning: Conditioning, loss: Loss) -> Any:
    """Return a model of raw data: conditioning in float64, then `core`, then the target's units.

    It is made of Keras's own layers, so that a saved one can be loaded without streamreg.
    """
    keras = load()
    p = len(conditioning.centre)
    data = keras.Input((p,), dtype="float64", name="raw")
    out = _centred(data, conditioning.centre)
    matrix = conditioning.transform if conditioning.transform.ndim == 2 else np.diag(conditioning.transform)
    whiten = dense(p, bias=False, trainable=False, dtype="float64", name="condition")
    out = whiten(out)
    whiten.set_weights([matrix])
    out = core(keras.layers.Rescaling(1.0, dtype=core.compute_dtype, name="cast")(out))
    units = keras.layers.Rescaling(
        conditioning.target_scale, conditioning.target_centre, dtype="float64", name="prediction"
    )
    if loss.activation is not None:
        units = keras.layers.Activation(loss.activation, dtype="float64", name="prediction")
    return keras.Model(data, units(out))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what initialisers draw from, and leave the generators of Python and NumPy as they were."""
    keras = load()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def from_line(fit: FitResult) -> Any:
    """Return the line of any fit as a model of raw data, shape (m, p) in float64, that predicts means, shape (m, 1).

    It is made of Keras's own layers, so that a saved one can be loaded without streamreg.
    """
    keras = load()
    p = len(fit.names)
    data = keras.Input((p,), dtype="float64", name="raw")
    line = dense(
        1,
        activation=family(fit.family).activation,
        dtype="float64",
        name="prediction",
    )
    net = keras.Model(data, line(_centred(data, fit.centre)))
    line.set_weights([fit.line.coef[:, None], np.array([fit.at_centre])])
    return net


def _centred(data: Any, centre: Any) -> Any:
    layer = load().layers.EinsumDense(
        "ab,b->ab", len(centre), bias_axes="b", trainable=False, dtype="float64", name="centre"
    )
    out = layer(data)
    layer.set_weights([np.ones(len(centre)), -np.asarray(centre)])  # a product with 1 is exact
    return out
