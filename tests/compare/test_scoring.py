"""Scores against scikit-learn, differences against the paired rows, and sentences against both."""

import json

import numpy as np
import pytest
from helpers import Cut
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

import streamreg as sr
from streamreg.errors import DataError, NotFound, UsageError
from streamreg.families import family
from streamreg.kernels.rowhash import Sample
from streamreg.scoring.scorecard import Gain, worthwhile
from streamreg.stats.losses import Losses, Scored

RNG = np.random.default_rng(11)
N = 6000
X = RNG.uniform(-1, 1, (N, 3))
CURVE = X[:, 0] - 0.5 * X[:, 1] + 1.5 * X[:, 2] ** 2
Y = CURVE + 0.5 * RNG.standard_normal(N)
LABEL = (RNG.random(N) < 1 / (1 + np.exp(-2 * CURVE))).astype(float)
COUNT = RNG.poisson(np.exp(CURVE / 2)).astype(float)
HELD = Sample(0.3, 0).mask(0, N)


class Curve:
    """A stand-in for a network: it knows the truth."""

    def __init__(self, transform=lambda eta: eta, columns=("x0", "x1", "x2"), loss="squared_error"):
        self.transform, self.columns, self.loss = transform, columns, loss

    def predict(self, x):
        x = x[:, [self.columns.index(f"x{k}") for k in range(3)]]
        return self.transform(x[:, 0] - 0.5 * x[:, 1] + 1.5 * x[:, 2] ** 2)[:, None]


def parts(y):
    return sr.split((X, y), 0.3)


def test_squared_error_equals_sklearn_and_the_paired_rows():
    train, test = parts(Y)
    models = {"line": sr.Linear().fit(train), "curve": Curve()}
    card = sr.score(models, test)
    x, y = X[HELD], Y[HELD]
    losses = [(y - m.predict(x).ravel()) ** 2 for m in models.values()]
    for name, loss, model in zip(models, losses, models.values(), strict=True):
        np.testing.assert_allclose(card[name].explained, metrics.r2_score(y, model.predict(x).ravel()), rtol=1e-12)
        np.testing.assert_allclose(card[name].rmse, np.sqrt(loss.mean()), rtol=1e-12)
    null = (y - y.mean()) ** 2
    difference = losses[0] - losses[1]
    ratio = difference.mean() / null.mean()
    (gain,) = card.gains
    np.testing.assert_allclose(gain.points, 100 * ratio, rtol=1e-10)
    error = np.std(difference - ratio * null, ddof=1) / np.sqrt(len(y)) / null.mean()
    np.testing.assert_allclose(gain.error, 100 * error, rtol=1e-9)
    assert gain.verdict == "worth it"
    assert card.n == HELD.sum()
    assert "worth it" in str(card)
    assert json.loads(json.dumps(card.to_dict()))["gains"][0]["verdict"] == "worth it"


def test_the_standard_error_is_that_of_repeated_samples():
    rng = np.random.default_rng(0)
    points, errors = [], []
    for _ in range(120):
        x = rng.uniform(-1, 1, (300, 3))
        y = x[:, 0] - 0.5 * x[:, 1] + 1.5 * x[:, 2] ** 2 + 0.5 * rng.standard_normal(300)
        line = sr.coefficients({"x0": 1.0, "x1": -0.5, "x2": 0.0, "intercept": 0.5}, target="y")
        (gain,) = sr.score({"line": line, "curve": Curve()}, (x, y), threads=1).gains
        points.append(gain.points)
        errors.append(gain.error)
    assert np.std(points) == pytest.approx(np.mean(errors), rel=0.15)


def test_labels_equal_sklearn():
    train, test = parts(LABEL)
    curve = Curve(lambda eta: 1 / (1 + np.exp(-2 * eta)), loss="binary_cross_entropy")
    models = {"line": sr.Logistic().fit(train), "network": curve}
    peer = LogisticRegression(C=np.inf).fit(X[~HELD], LABEL[~HELD])
    models["peer"] = peer
    card = sr.score(models, test)
    x, y = X[HELD], LABEL[HELD]
    chances = [models["line"].predict(x), models["network"].predict(x).ravel(), peer.predict_proba(x)[:, 1]]
    for name, chance in zip(models, chances, strict=True):
        np.testing.assert_allclose(card[name].log_loss, metrics.log_loss(y, chance), rtol=1e-10)
        np.testing.assert_allclose(card[name].accuracy, metrics.accuracy_score(y, chance > 0.5), rtol=1e-12)
        assert abs(card[name].auc - metrics.roc_auc_score(y, chance)) <= card[name].auc_error + 1e-12
        assert card[name].auc_error < 1e-3
        assert card[name].explained == pytest.approx(metrics.d2_log_loss_score(y, chance), rel=1e-9)
    verdicts = {gain.name: gain.verdict for gain in card.gains}
    assert verdicts == {"network": "worth it", "peer": "suffices"}
    assert "AUC" in str(card)


def test_counts():
    train, test = parts(COUNT)
    models = {"line": sr.Glm(family="poisson").fit(train), "curve": Curve(lambda eta: np.exp(eta / 2), loss="poisson")}
    card = sr.score(models, test)
    y = COUNT[HELD]
    for name, model in models.items():
        predicted = model.predict(X[HELD]).ravel()
        np.testing.assert_allclose(card[name].deviance, metrics.mean_poisson_deviance(y, predicted), rtol=1e-10)
        np.testing.assert_allclose(card[name].explained, metrics.d2_tweedie_score(y, predicted, power=1), rtol=1e-9)
    assert card.gains[0].verdict == "worth it"


def test_weights():
    w = RNG.integers(0, 4, N).astype(float)
    models = {"line": sr.Linear().fit((X, Y)), "curve": Curve()}
    card = sr.score(models, (X, Y, w))
    for name, model in models.items():
        expected = metrics.r2_score(Y, model.predict(X).ravel(), sample_weight=w)
        np.testing.assert_allclose(card[name].explained, expected, rtol=1e-10)
    chance = {"curve": Curve(lambda eta: 1 / (1 + np.exp(-2 * eta)), loss="binary_cross_entropy")}
    auc = metrics.roc_auc_score(LABEL, chance["curve"].predict(X).ravel(), sample_weight=w)
    found = sr.score(chance, (X, LABEL, w))["curve"]
    assert abs(found.auc - auc) <= found.auc_error


def test_chunks_threads_and_offsets_leave_no_trace():
    models = {"line": sr.Linear().fit((X, Y)), "curve": Curve(columns=("x2", "x0", "x1"))}
    whole = sr.score(models, (X, Y), threads=1)
    cut = sr.score(models, Cut(sr.open((X, Y)), [500, 3333], [77, 1024]), threads=3)
    assert whole.scores == cut.scores
    assert whole.gains == cut.gains
    far = Curve(lambda eta: eta + 1e9)
    line = sr.Linear().fit((X, Y + 1e9))
    moved = sr.score({"line": line, "curve": far}, (X, Y + 1e9))
    np.testing.assert_allclose(moved.gains[0].points, whole.gains[0].points, rtol=1e-5)


def test_models_take_their_own_columns_by_name():
    table = np.column_stack([X[:, 2], Y, X[:, :2]])
    source = sr.open(table, columns=["x2", "y", "x0", "x1"], target="y")
    models = {"all": sr.Linear().fit(source), "one": sr.Linear(features=("x0",), powers={"x0": 2}).fit(source),
              "curve": Curve()}  # fmt: skip
    card = sr.score(models, source, baseline="one")
    np.testing.assert_allclose(card["one"].explained, models["one"].rsquared, rtol=1e-10)
    np.testing.assert_allclose(card["all"].explained, models["all"].rsquared, rtol=1e-10)
    assert {gain.name for gain in card.gains} == {"all", "curve"}
    with pytest.raises(NotFound, match="'x2'"):
        sr.score(models, sr.open((X[:, :2], Y)))


def test_validation_rows_are_those_of_the_training():
    class Trained(Curve):
        spec = {"validation": 0.3, "seed": 0}  # noqa: RUF012

    line = sr.Linear().fit((X, Y))
    card = sr.score({"line": line, "network": Trained()}, (X, Y), rows="validation")
    assert card.n == Sample(0.3, 0, use="validation").mask(0, N).sum()
    assert "line may have been fitted to them" in str(card)
    with pytest.raises(UsageError, match="no model held out rows"):
        sr.score({"line": line}, (X, Y), rows="validation")
    other = Trained()
    other.spec = {"validation": 0.3, "seed": 1}
    with pytest.raises(UsageError, match="different rows"):
        sr.score({"a": Trained(), "b": other}, (X, Y), rows="validation")


@pytest.mark.parametrize(
    ("points", "error", "verdict", "words"),
    [
        (2.3, 0.1, "worth it", "network explains 2.3 +- 0.1 points more than line: worth it"),
        (0.03, 0.01, "suffices", "line suffices: network explains 0.03 +- 0.01 points more"),
        (-0.01, 0.03, "suffices", "line suffices: network explains 0.01 +- 0.03 points less"),
        (-1.5, 0.2, "worse", "network explains 1.5 +- 0.2 points less than line: keep line"),
        (0.5, 0.9, "uncertain", "network explains 0.5 +- 0.9 points more than line: too few rows to tell"),
    ],
)
def test_sentences(points, error, verdict, words):
    assert worthwhile(points, error, 0.1) == verdict
    assert str(Gain("network", "line", points, error, verdict)).startswith(words)


def test_what_is_refused():
    line = sr.Linear().fit((X, Y))
    with pytest.raises(UsageError, match="no models"):
        sr.score({}, (X, Y))
    for models in (line, [line]):
        with pytest.raises(UsageError, match="pass them by name"):
            sr.score(models, (X, Y))
    with pytest.raises(UsageError, match="no model 'b'"):
        sr.score({"a": line}, (X, Y), baseline="b")
    with pytest.raises(UsageError, match=r"not of one family \(a has gaussian, b has binomial\)"):
        sr.score({"a": line, "b": sr.Logistic().fit((X, LABEL))}, (X, LABEL))
    with pytest.raises(DataError, match="same in all"):
        sr.score({"a": line}, (X, np.ones(N)))
    with pytest.raises(DataError, match="not finite"):
        sr.score({"a": Curve(lambda eta: eta * np.inf)}, (X, Y))
    with pytest.raises(DataError, match="between 0 and 1"):
        sr.score({"a": line}, (X, Y), family="binomial")
    with pytest.raises(DataError, match="no rows to score"):
        sr.score({"a": line}, sr.split((X[:3], Y[:3]), 1e-9)[1])


def test_states_are_saved_and_merged():
    def state():
        return Losses([Scored("m", (0,), lambda x: x[:, 0] * 2)], "binomial", 0.0, "y")

    from streamreg.design.design import Batch

    halves = [state().update(Batch(X[a:b], LABEL[a:b], None, a, b - a)) for a, b in ((0, 4096), (4096, N))]
    again = [Losses.from_arrays(half.to_arrays()) for half in halves]
    merged = again[0].merge(again[1])
    assert merged.n == N
    assert abs(merged.auc(0)[0] - metrics.roc_auc_score(LABEL, X[:, 0])) <= merged.auc(0)[1]
    loss = family("binomial").deviance(LABEL, 2 * X[:, 0]).mean()
    np.testing.assert_allclose(merged.moments.total().mean[0][0], loss, rtol=1e-12)
    with pytest.raises(DataError, match="without its models"):
        again[1].update(Batch(X[:4], LABEL[:4], None, N, 4))


def test_predictions_of_other_programs_are_means_of_the_family():
    logits = Curve(lambda eta: 4 * eta)
    with pytest.raises(DataError, match=r"predictions range from .* probabilities from 0 to 1; end the model"):
        sr.score({"theirs": logits}, (X, LABEL), family="binomial")
    with pytest.raises(DataError, match="rates are not negative"):
        sr.score({"theirs": logits}, (X, LABEL), family="poisson")
    chance = Curve(lambda eta: 1 / (1 + np.exp(-eta)))
    chance.loss = "binary_crossentropy"  # as a compiled Keras model says it
    assert sr.score({"theirs": chance, "ours": sr.Logistic().fit((X, LABEL))}, (X, LABEL)).family == "binomial"
    chance.loss = {"out": "mse"}
    assert sr.score({"theirs": chance}, (X, LABEL)).family == "gaussian"
