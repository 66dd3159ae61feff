"""Networks, what they save, and what they are fed with."""

import gc
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from keras_data import labelled

import streamreg as sr
from streamreg.errors import CorruptError, NotFound, UsageError
from streamreg.neural.result import NetworkResult

pytestmark = pytest.mark.keras


def bent(n=4000, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, size=(n, 3)) * [1, 100, 0.01] + [0, 1e6, 5]
    return x, 1e3 * np.abs(x[:, 0]) + 7e5 + random.normal(size=n)


def test_a_network_bends_where_a_line_cannot():
    x, y = bent()
    fit = sr.Keras(hidden=[16, 8], epochs=30, learning_rate=0.01, validation=0.2).fit((x, y))
    assert fit.status == "ok"
    assert fit.history["val_loss"][-1] < 0.05 * y.var()
    assert np.mean((fit.predict(x) - y) ** 2) < 0.05 * y.var()
    assert fit.n == pytest.approx(0.8 * len(y), abs=100)
    assert len(fit.history["loss"]) == 30
    assert "val_loss" in fit.summary()


def test_a_saved_network_takes_raw_data_and_needs_keras_only(tmp_path):
    x, y = bent()
    fit = sr.Keras(hidden=[4], epochs=2).fit((x, y))
    fit.save(tmp_path / "net.keras")
    again = sr.load(tmp_path / "net.keras")
    np.testing.assert_array_equal(again.predict(x[:50]), fit.predict(x[:50]))
    assert json.loads(json.dumps(again.to_dict(), allow_nan=False)) == fit.to_dict()
    assert str(again) == again.summary() == fit.summary()
    assert len(fit.to_frame()) == len(fit.table(None).rows) == 2
    assert f"{fit.history['loss'][1]:.6g}" in fit._repr_html_()
    assert fit.provenance["sources"][0]["rows"] == len(y)
    np.save(tmp_path / "x.npy", x[:50])
    code = f"""
import keras, numpy as np, sys
model = keras.models.load_model({str(tmp_path / "net.keras")!r})
out = model(np.load({str(tmp_path / "x.npy")!r}))
np.save({str(tmp_path / "out.npy")!r}, keras.ops.convert_to_numpy(out))
assert "streamreg" not in sys.modules"""
    environment = os.environ | {"JAX_ENABLE_X64": "1"}  # where Keras runs on JAX, which is to compute in float64
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy")[:, 0], fit.predict(x[:50]))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_line_becomes_a_model_of_raw_data(tmp_path):
    from streamreg.backend import load, to_numpy
    from streamreg.neural import to_keras

    keras = load()
    x, y, counts = labelled()
    x = x + 1e7
    for fit in (
        sr.Keras().fit((x, counts)),
        sr.Linear().fit((x, counts)),
        sr.Keras(loss="binary_cross_entropy").fit((x, y)),
        sr.Keras(loss="poisson").fit((x, counts)),
    ):
        to_keras(fit).save(tmp_path / "line.keras")
        model = keras.models.load_model(tmp_path / "line.keras")
        np.testing.assert_allclose(to_numpy(model(x[:50]))[:, 0], fit.predict(x[:50]), rtol=1e-9)


def test_a_saved_network_is_checked(tmp_path):
    (tmp_path / "bad.keras").write_bytes(b"PK nonsense")
    with pytest.raises(CorruptError, match="damaged"):
        NetworkResult.load(tmp_path / "bad.keras")
    with pytest.raises(NotFound):
        NetworkResult.load(tmp_path / "none.keras")
    with pytest.raises(UsageError, match="path of a saved network, not a int"):
        NetworkResult.load(3)
    with pytest.raises(UsageError, match="end the path so"):
        sr.Keras(hidden=[2], epochs=1).fit(bent(n=100)).save(tmp_path / "net.h5")


def test_probabilities_and_rates():
    x, y, counts = labelled()
    label = sr.Keras(hidden=[8], loss="binary_cross_entropy", epochs=5).fit((x, y)).predict(x)
    assert ((label > 0) & (label < 1)).all()
    assert label.mean() == pytest.approx(y.mean(), abs=0.05)
    rate = sr.Keras(hidden=[8], loss="poisson", epochs=5).fit((x, counts)).predict(x)
    assert (rate > 0).all()


def test_early_stopping_returns_the_best_weights():
    x, y = bent(n=300)
    y = y + np.random.default_rng(1).normal(size=300) * 500
    spec = sr.Keras(hidden=[64, 64], learning_rate=0.02, batch_size=32, epochs=200, validation=0.3, patience=3)
    fit = spec.fit((x, y))
    curve = fit.history["val_loss"]
    assert len(curve) < 200
    assert fit.best_epoch == np.argmin(curve) + 1 == len(curve) - 3


def test_too_high_a_rate_is_a_status():
    fit = sr.Keras(hidden=[8], learning_rate=1e30, optimizer="sgd", epochs=3).fit(bent())
    assert fit.status.startswith("not converged")
    assert np.isfinite(fit.predict(bent()[0])).all()


def test_no_rows_held_out_is_an_error():
    with pytest.raises(UsageError, match="came to none"):
        sr.Keras(hidden=[2], validation=1e-9).fit(bent(n=50))


def test_the_same_seed_gives_the_same_network():
    fits = [sr.Keras(hidden=[8], epochs=2, seed=s).fit(bent()) for s in (1, 1, 2)]
    values = [f.predict(bent()[0][:9]) for f in fits]
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_a_model_of_ones_own():
    from streamreg.backend import load

    keras = load()

    def build(p):
        return keras.Sequential([keras.Input((p,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (sr.Keras(model=build, epochs=2, seed=4).fit(bent()) for _ in range(2))
    np.testing.assert_array_equal(one.predict(bent()[0][:9]), two.predict(bent()[0][:9]))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert sr.Keras(model=build(3), epochs=1).fit(bent()).status == "ok"
    with pytest.raises(UsageError, match="must map"):
        sr.Keras(model=build(2), epochs=1).fit(bent())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": [0]}, "at least one unit"),
        ({"hidden": [3], "model": len}, "one of them"),
        ({"hidden": [3], "start": "zeros"}, "begins at random"),
        ({"l1": 1.0}, "lasso path"),
        ({"patience": 2}, "tolerance"),
        ({"start": 3}, "result of a fit"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(UsageError, match=words):
        sr.Keras(**options).fit(bent(n=50))


def test_callbacks_are_called_and_may_stop():
    from streamreg.backend import load

    keras = load()
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    result = sr.Keras(hidden=[4], epochs=9).fit(bent(), callbacks=[Watch()])
    assert len(result.history["loss"]) == 2
    assert seen[0][0] == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_callbacks_of_keras_itself(tmp_path):
    from streamreg.backend import load

    keras = load()
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(monitor="loss"),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "core.keras")),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    ]
    sr.Keras(hidden=[4], epochs=2).fit(bent(), callbacks=callbacks)
    assert (tmp_path / "core.keras").exists()
    assert (tmp_path / "log.csv").read_text().startswith("epoch")


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # of the learning rate, by JAX
def test_weights_broken_by_the_last_step_are_a_status():
    x, y = bent(n=200)
    spec = sr.Keras(hidden=[8], learning_rate=1e300, optimizer="sgd", epochs=1, batch_size=200, precision="float64")
    fit = spec.fit((x, y))
    assert fit.status.startswith("not converged")
    assert np.isfinite(fit.predict(x)).all()


def test_a_model_that_is_given_is_left_alone():
    from streamreg.backend import load, to_numpy

    keras = load()
    x, y = bent(n=500)
    layers = keras.layers.Dense(4, "tanh"), keras.layers.Dropout(0.1), keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((3,)), *layers])
    before = [to_numpy(each) for each in model.weights]
    spec = sr.Keras(model=model, epochs=3, learning_rate=0.05)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", True))
    first = spec.fit((x, y), callbacks=[stop])
    predicted = first.predict(x)
    second = spec.fit((x, y))
    assert len(first.history["loss"]) == 1
    assert len(second.history["loss"]) == 3
    assert second.history["loss"][0] == first.history["loss"][0]
    np.testing.assert_array_equal(first.predict(x), predicted)
    for now, then in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(now), then)


def test_models_that_will_not_do_are_refused():
    from streamreg.backend import load

    keras = load()

    class Unseen(keras.Model):
        pass

    class Closed(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

        def compute_output_shape(self, shape):
            return shape

    closed = keras.Sequential([keras.Input((3,)), Closed(abs), keras.layers.Dense(1)])
    half = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="float64")])
    for model, words in [
        (3, "give a keras.Model"),
        (lambda p: Unseen(), "keras.Sequential"),
        (closed, "pass a function that builds it"),
        (half, "computes in float64 and precision is float32"),
    ]:
        with pytest.raises(UsageError, match=words):
            sr.Keras(model=model, epochs=1).fit(bent(n=50))


def test_there_must_be_a_feature():
    for conditioning in ("whiten", "none"):
        with pytest.raises(UsageError, match="no feature"):
            sr.Keras(features=(), conditioning=conditioning).fit(bent(n=50))


def test_a_batch_holds_no_more_than_all_rows():
    x, y = (np.tile(part, (500, 1)[: part.ndim]) for part in bent(n=200))
    for options in ({}, {"hidden": [2], "epochs": 1}):
        sr.Keras(batch_size=10**10, memory_mb=1, **options).fit((x, y))
        sr.Keras(batch_size=10**10, **options).fit((x, y))


def test_nothing_of_an_ended_fit_is_kept():
    from streamreg import backend

    if backend.name() != "tensorflow":
        pytest.skip("graphs are TensorFlow's")
    backend.load()
    from tensorflow.python.framework.func_graph import FuncGraph

    def graphs():
        gc.collect()
        return sum(isinstance(each, FuncGraph) for each in gc.get_objects())

    before = graphs()
    for optimizer in ("sgd", "adamw"):
        sr.Keras(optimizer=optimizer, epochs=2).fit(bent(n=200))
        sr.Keras(hidden=[2], optimizer=optimizer, epochs=1).fit(bent(n=200))
    assert graphs() == before
