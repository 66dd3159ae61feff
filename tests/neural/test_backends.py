"""The same training on the other libraries that Keras runs on, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from keras_data import distance, labelled, table

import streamreg as sr
from streamreg import backend
from streamreg.errors import UsageError
from streamreg.neural.result import NetworkResult

pytestmark = [pytest.mark.keras, pytest.mark.slow]

TRAIN = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
import streamreg as sr
from streamreg import backend

folder = Path(sys.argv[1])
keras = backend.load()
line, labels = (sr.open(folder / f"{name}.npy", target="x4") for name in ("line", "labels"))

class Break(keras.callbacks.Callback):
    seen = 0

    def on_train_batch_begin(self, number, logs=None):
        self.seen += 1
        if self.seen == 20:
            raise InterruptedError

def resumed(spec, data):
    state = tempfile.mkdtemp(dir=folder)
    try:
        spec.fit(data, checkpoint=state, checkpoint_seconds=0, callbacks=[Break()])
    except InterruptedError:
        return spec.fit(data, checkpoint=state, resume=True)

def build(p):
    model = keras.Sequential([keras.Input((p,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    weights = np.load(folder / "weights.npz")
    model.set_weights([weights[f"arr_{i}"] for i in range(4)])
    return model
"""

MEASURE = """
specs = [sr.Keras(batch_size=256), sr.Keras(batch_size=256, precision="float64", tolerance=1e-9)]
for number, spec in enumerate(specs):
    fit = spec.fit(line)
    fit.save(folder / f"line{number}.fit")
assert resumed(spec, line).coef.tolist() == fit.coef.tolist()
sr.Keras(batch_size=256, loss="binary_cross_entropy").fit(labels).save(folder / "logistic.fit")
net = sr.Keras(model=build, batch_size=256, epochs=3, validation=0.1)
fit = net.fit(line)
fit.save(folder / "net.keras")
x = np.load(folder / "line.npy")[:, :4]
np.save(folder / "predicted.npy", fit.predict(x))
assert resumed(net, line).predict(x).tolist() == fit.predict(x).tolist()
again = type(fit).load(folder / "net.keras").predict(x)
assert again.tolist() == fit.predict(x).tolist()
regular = sr.Keras(hidden=[8], l1=1e-3, epochs=2, precision="float64").fit(line)
print(json.dumps({"backend": fit.backend, "device": fit.device, "name": backend.name(), "seen": backend.devices(),
                  "regular": regular.status, "history": fit.history["loss"], "held": fit.history["val_loss"]}))
"""


@pytest.fixture(scope="module", params=["jax", "torch"])
def other(request, tmp_path_factory):
    """Train on another library; returns its name, what it said, and the folder of its results."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    np.save(folder / "line.npy", np.column_stack(table(n=3000, p=4)))
    np.save(folder / "labels.npy", np.column_stack(labelled(n=3000)[:2]))
    random = np.random.default_rng(0)
    np.savez(folder / "weights.npz", *(random.normal(size=s) * 0.5 for s in ((4, 8), (8,), (8, 1), (1,))))
    command = [sys.executable, "-c", TRAIN + MEASURE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"KERAS_BACKEND": request.param})
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout.splitlines()[-1]), folder


def test_it_is_the_library_asked_for(other):
    name, said, folder = other
    assert said["name"] == said["backend"] == name
    assert said["device"] in said["seen"]
    assert said["regular"] == "ok"
    assert sr.FitResult.load(folder / "line0.fit").training["backend"] == name


def test_a_line_is_that_of_least_squares(other):
    _, _, folder = other
    exact = sr.Linear().fit(sr.open(folder / "line.npy", target="x4"))
    for number, far in enumerate((1e-3, 1e-9)):
        fit = sr.FitResult.load(folder / f"line{number}.fit")
        assert fit.status == "ok"
        assert distance(fit, exact) < far


def test_mini_batches_take_the_same_way(other):
    _, _, folder = other
    here = sr.Keras(batch_size=256, precision="float64", tolerance=1e-9).fit(sr.open(folder / "line.npy", target="x4"))
    there = sr.FitResult.load(folder / "line1.fit")
    np.testing.assert_allclose(there.training["loss"], here.training["loss"], rtol=1e-10)
    np.testing.assert_allclose(there.training["distance"][:2], here.training["distance"][:2], rtol=1e-8)


def test_labels_are_those_of_maximum_likelihood(other):
    _, _, folder = other
    exact = sr.Logistic().fit(sr.open(folder / "labels.npy", target="x4"))
    fit = sr.FitResult.load(folder / "logistic.fit")
    assert fit.status == "ok"
    assert distance(fit, exact) < 1e-3
    np.testing.assert_allclose(fit.std_errors, exact.std_errors, rtol=1e-3)


def test_a_network_from_the_same_weights_becomes_the_same(other):
    _, said, folder = other
    scope = {}
    exec(TRAIN.replace("sys.argv[1]", repr(str(folder))), scope)
    here = sr.Keras(model=scope["build"], batch_size=256, epochs=3, validation=0.1).fit(scope["line"])
    x = np.load(folder / "line.npy")[:, :4]
    np.testing.assert_allclose(said["history"], here.history["loss"], rtol=1e-4)
    np.testing.assert_allclose(said["held"], here.history["val_loss"], rtol=1e-4)
    there = np.load(folder / "predicted.npy")
    np.testing.assert_allclose(there, here.predict(x), atol=1e-3 * there.std())
    saved_there = NetworkResult.load(folder / "net.keras")
    np.testing.assert_allclose(saved_there.predict(x), there, atol=1e-5 * there.std())


def test_a_device_is_one_that_there_is():
    fit = sr.Keras(device="cpu", epochs=1).fit(table(n=100))
    assert fit.training["device"] == "cpu:0"
    assert fit.training["backend"] == backend.name()
    assert sr.Keras(hidden=[2], device="cpu:0", epochs=1).fit(table(n=100)).device == "cpu:0"
    with pytest.raises(UsageError, match=r"no device 'gpu:7': .* sees .*cpu:0"):
        sr.Keras(device="gpu:7").fit(table(n=100))
    with pytest.raises(UsageError, match="device"):
        sr.Keras(device="abacus")


def choose(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout.split()


def test_the_library_is_chosen_without_importing_it(tmp_path):
    code = "import sys; from streamreg import backend; print(backend.name(), 'keras' in sys.modules)"
    bare = {"KERAS_BACKEND": "", "KERAS_HOME": str(tmp_path)}
    installed = [name for name in backend.LIBRARIES if importlib.util.find_spec(name) is not None]
    assert choose(code, **bare | {"KERAS_BACKEND": "jax"}) == ["jax", "False"]
    assert choose(code, **bare) == [installed[0], "False"]
    (tmp_path / "keras.json").write_text('{"backend": "nonsuch"}')
    assert choose(code, **bare) == ["nonsuch", "False"]
    missing = sorted(set(backend.LIBRARIES) - set(installed))
    for name in missing[:1]:  # Keras writes this file itself, so a name there is no wish
        (tmp_path / "keras.json").write_text(json.dumps({"backend": name}))
        assert choose(code, **bare) == [installed[0], "False"]


def test_a_library_that_does_not_train_is_refused():
    code = """
import streamreg as sr
try:
    sr.Keras().fit(([[1.0], [2.0]], [1.0, 2.0]))
except sr.errors.UsageError as error:
    print(error)"""
    assert "does" in choose(code.replace("sr.errors", "__import__('streamreg.errors').errors"), KERAS_BACKEND="numpy")


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_settings_of_jax_that_are_not_ours_are_left_alone():
    code = """
import jax
from streamreg import backend
from streamreg.errors import UsageError
try:
    backend.load()
except UsageError as error:
    print(error)
print(jax.config.jax_enable_x64)"""
    words = choose(code, KERAS_BACKEND="jax")
    assert "JAX_ENABLE_X64=1," in words
    assert words[-1] == "False"
    assert choose(code, KERAS_BACKEND="jax", JAX_ENABLE_X64="1") == ["True"]
