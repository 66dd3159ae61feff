"""What training with Keras gives, judged by the comparator and the scores."""

import numpy as np
import pytest

import streamreg as sr

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(5)
N = 5000
X = RNG.standard_normal((N, 4)) @ RNG.standard_normal((4, 4)) + np.array([0, 3, 0, -1])
ETA = X @ [0.5, -0.3, 0.2, 0.1] + 0.2
Y = ETA + RNG.standard_normal(N)
LABEL = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)


def keras(**options):
    return sr.Keras(**({"epochs": 10} | options))


def test_a_converged_line_agrees():
    found = sr.compare(sr.Linear().fit((X, Y)), keras().fit((X, Y), progress=False))
    assert found.verdict == "agree"
    assert found.newton < 0.01


def test_one_epoch_does_not():
    trained = keras(epochs=1, conditioning="none", learning_rate=1e-3).fit((X, Y), progress=False)
    found = sr.compare(sr.Linear().fit((X, Y)), trained)
    assert found.verdict == "not converged"
    assert "raise epochs" in found.advice
    assert found.max_distance > 1


def test_a_logistic_line_agrees_and_the_rows_certify_it():
    exact = sr.Logistic().fit((X, LABEL))
    trained = keras(loss="binary_cross_entropy").fit((X, LABEL), progress=False)
    found = sr.compare(exact, trained, (X, LABEL))
    assert found.verdict == "agree"
    assert found.from_rows
    assert found.newton < 0.01
    np.testing.assert_allclose(trained.predict(X), exact.predict(X), atol=1e-4)
    assert sr.compare(trained, exact).verdict == "agree"


def test_several_at_once():
    fits = {
        "exact": sr.Linear().fit((X, Y)),
        "whitened": keras().fit((X, Y), progress=False),
        "hasty": keras(epochs=1, conditioning="none", learning_rate=1e-3).fit((X, Y), progress=False),
    }
    found = sr.compare_all(fits)
    assert found["whitened"].verdict == "agree"
    assert found["hasty"].verdict == "not converged"
    assert not found


def test_a_network_is_not_worth_it_where_a_line_is_the_truth():
    train, test = sr.split((X, Y), 0.3)
    network = keras(hidden=(8,), epochs=15).fit(train, progress=False)
    card = sr.score({"line": sr.Linear().fit(train), "network": network}, test)
    assert card.gains[0].verdict in ("suffices", "worse", "uncertain")
    assert "line" in str(card.gains[0])


def test_validation_rows_of_the_training():
    network = keras(hidden=(8,), epochs=3, validation=0.25, seed=4).fit((X, Y), progress=False)
    card = sr.score({"network": network}, (X, Y), rows="validation")
    assert abs(card.n - 0.25 * N) < 100
    mse = network.history["val_loss"][network.best_epoch - 1]
    assert card["network"].rmse ** 2 == pytest.approx(mse, rel=1e-3)


def test_two_trained_lines_measure_each_other_if_they_arrived():
    arrived = keras().fit((X, Y), progress=False)
    again = keras(conditioning="standardise", epochs=30).fit((X, Y), progress=False)
    assert again.status == "ok"
    assert sr.compare(arrived, again).verdict == sr.compare(again, arrived).verdict == "agree"
    hasty = keras(epochs=1, conditioning="none", learning_rate=1e-3).fit((X, Y), progress=False)
    found = sr.compare(hasty, hasty)
    assert found.verdict == "agree"
    assert "is not known" in found.reason
    assert np.isnan(found.newton)
    assert "SE from the least-squares solution" in sr.compare(hasty, hasty, (X, Y)).reason


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-7])
def test_a_line_arrives_where_residuals_are_all_but_zero(noise):
    y = ETA + noise * RNG.standard_normal(N)
    trained = keras(epochs=20).fit((X, y), progress=False)
    assert trained.status == "ok"
    assert sr.compare(sr.Linear().fit((X, y)), trained).verdict == "agree"
