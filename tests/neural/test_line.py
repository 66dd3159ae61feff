"""A line trained by Keras reaches the least-squares estimates, in the units of the data."""

import subprocess
import sys

import numpy as np
import pytest
from keras_data import distance, table

import streamreg as sr
from streamreg.errors import MissingExtra, NonFiniteError, OnePassError, UsageError

pytestmark = pytest.mark.keras


@pytest.mark.parametrize("intercept", [True, False])
def test_default_settings_reach_the_exact_fit_in_four_passes(intercept):
    data = table()
    exact = sr.Linear(intercept=intercept).fit(data)
    fit = sr.Keras(intercept=intercept).fit(data)
    assert fit.status == "ok"
    assert fit.passes <= 4
    assert distance(fit, exact) < 1e-3
    assert fit.rss == pytest.approx(exact.rss, rel=1e-9)
    assert fit.intercept == pytest.approx(exact.intercept, rel=1e-4, abs=1e-12)
    np.testing.assert_allclose(fit.predict(data[0][:5]), exact.predict(data[0][:5]), rtol=1e-4, atol=1e-3)
    assert np.isnan(fit.std_errors).all()
    assert fit.method == "mini-batch"
    assert sr.compare(exact, fit)


def test_float64_reaches_a_millionth_of_a_standard_error():
    data = table()
    fit = sr.Keras(precision="float64", tolerance=1e-6).fit(data)
    assert fit.status == "ok"
    assert distance(fit, sr.Linear().fit(data)) < 1e-6


def test_standardised_features_converge_too():
    random = np.random.default_rng(1)
    x = random.normal(size=(5000, 5)) * [1, 10, 0.1, 3, 5] + 4
    data = x, x.sum(axis=1) + random.normal(size=5000)
    fit = sr.Keras(conditioning="standardise", tolerance=0.01).fit(data)
    assert fit.status == "ok"
    assert fit.passes <= 8
    assert distance(fit, sr.Linear().fit(data)) < 0.01


def test_where_float32_is_too_coarse_training_goes_on_in_float64():
    data = table(noise=1e-5)
    fit = sr.Keras().fit(data)
    assert fit.status == "ok"
    assert fit.training["precision"][0] == "float32"
    assert fit.training["precision"][-1] == "float64"


def test_one_epoch_only_is_said_to_be_short():
    data = table()
    fit = sr.Keras(epochs=1).fit(data)
    assert fit.status.startswith("not converged")
    assert fit.passes == 2
    assert sr.compare(sr.Linear().fit(data), fit).verdict == "not converged"


def test_the_curves_say_what_happened():
    fit = sr.Keras().fit(table())
    training = fit.training
    epochs = len(training["loss"])
    assert training["phase"][:2] == ["mini-batch"] * 2
    assert set(training["phase"][2:]) == {"full batch"}
    assert all(len(training[k]) == epochs for k in ("distance", "step", "seconds"))
    assert training["distance"][-1] < 1e-3
    # The rows' own gradient asked for the step that the moments had called for.
    assert training["step"][2] == pytest.approx(training["distance"][1], rel=0.2)
    assert fit.passes == 1 + epochs
    assert "moments" in training["shared_with_exact"]


def test_moments_at_hand_save_the_scan():
    data = sr.open(table())
    fit = sr.Keras().fit(data, moments=sr.scan(data))
    assert fit.passes == len(fit.training["loss"])
    np.testing.assert_array_equal(fit.coef, sr.Keras().fit(data).coef)


def test_weights_count():
    x, y = table()
    weight = np.random.default_rng(2).integers(0, 4, size=len(y)).astype(float)
    fit, exact = (m.fit((x, y, weight)) for m in (sr.Keras(), sr.Linear()))
    assert fit.status == "ok"
    assert distance(fit, exact) < 1e-3
    assert distance(fit, sr.Linear().fit((x, y))) > 0.1


def test_a_partial_batch_weighs_by_its_rows():
    x, y = table(n=2049, p=3)
    y[-1] += 1e5  # alone in the last batch, it would weigh 1024 times too much
    fit, exact = (m.fit((x, y)) for m in (sr.Keras(batch_size=1024), sr.Linear()))
    assert distance(fit, exact) < 1e-3


@pytest.mark.parametrize("conditioning", ["whiten", "standardise"])
def test_dependent_and_constant_columns(conditioning):
    x = np.random.default_rng(3).normal(size=(400, 3))
    x = np.column_stack([x, x[:, 0] + 1, np.full(400, 5.0)])
    data = x, x[:, :3].sum(axis=1) + np.random.default_rng(4).normal(size=400)
    exact = sr.Linear().fit(data)
    fit = sr.Keras(conditioning=conditioning, epochs=20).fit(data)
    assert fit.status == "dependent"
    assert sr.compare(exact, fit).verdict == "agree where identifiable"
    np.testing.assert_allclose(fit.predict(x), exact.predict(x), atol=1e-4)
    if conditioning == "whiten":
        np.testing.assert_allclose(fit.coef, exact.coef, atol=1e-5)


def test_a_perfect_fit():
    x = np.array([[1.0, 2], [2, 3], [3, 4], [4, 5], [5, 6]])
    data = x, x.sum(axis=1)
    fit = sr.Keras(precision="float64", epochs=30).fit(data)
    assert fit.status == "dependent"
    np.testing.assert_allclose(fit.predict(x), data[1], atol=1e-5)
    alone = sr.Keras(precision="float64", intercept=False, epochs=30).fit(data)
    np.testing.assert_allclose(alone.coef, [1, 1], atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_rows_than_columns(n):
    x, y = table(n=n, p=6)
    fit = sr.Keras(epochs=20).fit((x, y))
    assert not fit.status.startswith("not converged")
    np.testing.assert_allclose(fit.predict(x), y, rtol=1e-4)


def test_a_constant_target():
    x, _ = table(n=100)
    fit = sr.Keras().fit((x, np.full(100, 4.0)))
    np.testing.assert_allclose(fit.coef, 0, atol=1e-6)
    assert fit.intercept == pytest.approx(4.0)


def test_large_offsets_lose_nothing():
    x, y = table(n=2000, p=3)
    x += 1e9
    exact = sr.Linear().fit((x, y))
    assert distance(sr.Keras().fit((x, y)), exact) < 1e-3


def test_threads_do_not_change_the_result():
    data = table(n=20_000)
    one, two = (sr.Keras(epochs=2).fit(data, threads=k) for k in (1, 3))
    np.testing.assert_array_equal(one.coef, two.coef)


def test_a_rate_too_high_is_said():
    fit = sr.Keras(learning_rate=1e6, epochs=1).fit(table())
    assert fit.status.startswith("not converged")
    assert "learning rate" in fit.status


def test_bad_rows_are_named():
    x, y = table()
    x[1234, 2] = np.nan
    with pytest.raises(NonFiniteError, match=r"1,234.*x2"):
        sr.Keras().fit((x, y))
    dropped = sr.Keras(missing="drop").fit((x, y))
    assert dropped.n == len(y) - 1
    assert dropped.status == "ok"


def test_one_pass_sources_are_refused_with_a_reason():
    x, y = table()
    with pytest.raises(OnePassError, match="several passes"):
        sr.Keras().fit(iter([(x, y)]))


def test_moments_hold_no_rows():
    with pytest.raises(UsageError, match="rows"):
        sr.Keras().fit(sr.scan(sr.open(table())))


def test_a_result_can_be_saved(tmp_path):
    fit = sr.Keras().fit(table())
    fit.save(tmp_path / "keras.fit")
    again = type(fit).load(tmp_path / "keras.fit")
    np.testing.assert_array_equal(again.coef, fit.coef)
    assert again.training["loss"] == fit.training["loss"]
    assert fit.summary()


def test_without_its_library_the_extra_is_named(monkeypatch):
    from streamreg import backend

    backend.load()
    monkeypatch.setitem(sys.modules, backend.name(), None)
    backend.load.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"streamreg\[keras\]"):
            sr.Keras().fit(table())
    finally:
        backend.load.cache_clear()


def test_the_specification_loads_no_tensorflow():
    code = "import sys, streamreg as sr; sr.Keras(); print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_callbacks_see_and_stop_what_goes_on_in_float64():
    from streamreg.backend import load

    keras = load()
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.weights[0].dtype)
            self.model.stop_training = seen[-1] == "float64"

    fit = sr.Keras(tolerance=1e-300, epochs=12).fit(table(), callbacks=[Watch()])
    assert fit.training["precision"].count("float64") == 1
    assert seen[-1] == "float64"
