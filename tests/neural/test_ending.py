"""A user's own network may end on the linear predictor or on the mean; anything else is refused."""

import numpy as np
import pytest
from keras_data import labelled

import streamreg as sr
from streamreg.errors import UsageError
from streamreg.neural.losses import Loss
from streamreg.neural.result import NetworkResult

pytestmark = pytest.mark.keras

BINARY, COUNTS, SQUARES = "binary_cross_entropy", "poisson", "squared_error"


def endings(last, mean):
    """Return functions that build a network of 3 features with this at its end; `mean` does the same in an op."""
    from streamreg.backend import load

    keras = load()
    layers = keras.layers

    def graph(of):
        data = keras.Input((3,))
        return keras.Model(data, of(data))

    def stack(*more):
        return keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), *more])

    return {
        "activation of the last layer": lambda: stack(layers.Dense(1, last)),
        "a function": lambda: stack(layers.Dense(1, mean)),
        "a layer": lambda: stack(layers.Dense(1), layers.Activation(last)),
        "layers after it": lambda: stack(layers.Dense(1, last), layers.Dropout(0.1), layers.Reshape((1,))),
        "a model within": lambda: graph(lambda x: stack(layers.Dense(1, last))(x)),
        "an operation": lambda: graph(lambda x: mean(layers.Dense(1)(x))),
        "a lambda": lambda: stack(layers.Dense(1), layers.Lambda(mean)),
    }


def outputs(model, rows):
    from streamreg.backend import load, to_numpy

    return np.asarray(to_numpy(model(load().ops.convert_to_tensor(rows))), dtype=float)


@pytest.mark.parametrize("loss", [BINARY, COUNTS])
def test_the_mean_function_is_taken_off(loss):
    from streamreg.backend import load
    from streamreg.neural import ending

    last, mean, inverse = {
        BINARY: ("sigmoid", load().ops.sigmoid, lambda p: np.log(p / (1 - p))),
        COUNTS: ("exponential", load().ops.exp, np.log),
    }[loss]
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    for name, build in endings(last, mean).items():
        model = build()
        before = outputs(model, rows)
        for free in (False, True):
            model = ending.linear(model, Loss.of(loss), free)
            np.testing.assert_allclose(outputs(model, rows), inverse(before), rtol=1e-3, atol=1e-4, err_msg=name)
    for name, build in endings("linear", load().ops.copy).items():
        model = build()
        before = outputs(model, rows)
        np.testing.assert_array_equal(outputs(ending.linear(model, Loss.of(loss), False), rows), before, err_msg=name)


@pytest.mark.filterwarnings("ignore:You are using a softmax:UserWarning")
@pytest.mark.parametrize(
    ("loss", "last"),
    [
        *((BINARY, last) for last in ("tanh", "relu", "softmax", "exponential", "softplus", "hard_sigmoid")),
        *((COUNTS, last) for last in ("sigmoid", "relu", "softplus")),
        *((SQUARES, last) for last in ("sigmoid", "tanh", "relu", "exponential")),
        ("huber", "sigmoid"),
    ],
)
def test_another_function_is_refused(loss, last):
    from streamreg.backend import load
    from streamreg.neural import ending

    function = getattr(load().activations, last)
    for name, build in endings(last, function).items():
        with pytest.raises(UsageError, match=r"model ends in .* without activation"):
            pytest.fail(f"{name}: {ending.linear(build(), Loss.of(loss), False)}")
    if loss in (SQUARES, "huber"):  # of a target in its own units a network may end as it likes
        ending.linear(endings(last, function)["a layer"](), Loss.of(loss), True)


def test_what_cannot_be_seen_is_tried():
    from streamreg.backend import load
    from streamreg.neural import ending

    keras = load()
    layers = keras.layers
    data = keras.Input((3,))
    two = [layers.Dense(1, "sigmoid")(data), layers.Dense(1, "sigmoid")(data)]
    with pytest.raises(UsageError, match="whatever the features"):
        ending.linear(keras.Model(data, layers.Average()(two)), Loss.of(BINARY), False)
    sum_of_lines = keras.Model(data, layers.Add()([layers.Dense(1)(data), layers.Dense(1)(data)]))
    assert ending.linear(sum_of_lines, Loss.of(BINARY), False) is sum_of_lines
    again = layers.Activation("sigmoid")
    with pytest.raises(UsageError, match="cannot be taken off"):
        ending.linear(keras.Model(data, again(layers.Dense(1)(again(data)))), Loss.of(BINARY), False)


def test_a_sigmoid_is_not_applied_twice(tmp_path):
    from streamreg.backend import load

    keras = load()
    x, y, _ = labelled()

    def build(last):
        layers = [keras.Input((x.shape[1],)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1, last)]
        return lambda p: keras.Sequential(layers)

    options = {"loss": BINARY, "epochs": 4, "learning_rate": 0.02, "seed": 3}
    logit, own = (sr.Keras(model=build(last), **options).fit((x, y)) for last in (None, "sigmoid"))
    np.testing.assert_allclose(own.history["loss"], logit.history["loss"], rtol=0.2)
    assert own.predict(x).max() > 0.75  # a sigmoid of a sigmoid is between 0.5 and 0.73
    assert own.predict(x).min() < 0.45
    given = build("sigmoid")(3)
    sr.Keras(model=given, **options).fit((x, y))
    assert given.layers[-1].activation is keras.activations.sigmoid
    own.save(tmp_path / "own.keras")
    np.testing.assert_array_equal(NetworkResult.load(tmp_path / "own.keras").predict(x), own.predict(x))
    card = sr.score({"own": own, "logit": logit}, (x, y))
    assert card["own"].accuracy == np.mean((own.predict(x) >= 0.5) == y)
