"""Estimators of scikit-learn's names: its conventions, its results, and what it lacks."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model as theirs
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import streamreg as sr
import streamreg.sklearn as ours

RNG = np.random.default_rng(1)
N, P = 300, 5
X = RNG.normal(size=(N, P)) @ (np.eye(P) + 0.3) + [0, 1, 0, 3, 0]
ETA = X @ np.array([0.8, -0.5, 0.0, 0.2, 0.0]) - 0.5
W = RNG.uniform(0.5, 2.0, N)
LINE = ETA + RNG.normal(size=N)
LABELS = np.where(RNG.uniform(size=N) < 1 / (1 + np.exp(-ETA)), "yes", "no")
COUNTS = RNG.poisson(np.exp(ETA / 2)).astype(float)
AMOUNTS = RNG.gamma(2.0, np.exp(ETA / 2))
NEWTON = {"solver": "newton-cholesky", "tol": 1e-12}
PRECISE = {"tol": 1e-13, "max_iter": 100_000}


@parametrize_with_checks([getattr(ours, name)() for name in ours.__all__])
def test_meets_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


SAME = [
    ("LinearRegression", {}, {}, LINE),
    ("LinearRegression", {"positive": True}, {}, LINE),
    ("Ridge", {"alpha": 3.0}, {"solver": "cholesky"}, LINE),
    ("Lasso", {"alpha": 0.05}, PRECISE, LINE),
    ("Lasso", {"alpha": 0.05, "positive": True}, PRECISE, LINE),
    ("ElasticNet", {"alpha": 0.05, "l1_ratio": 0.3}, PRECISE, LINE),
    ("RidgeCV", {"alphas": [0.1, 10, 1000]}, {}, LINE),
    ("RidgeCV", {"alphas": [0.1, 10, 1000], "cv": 4}, {}, LINE),
    ("LassoCV", {"alphas": 12}, PRECISE, LINE),
    ("LassoCV", {"alphas": 12, "cv": ShuffleSplit(3, random_state=0)}, PRECISE, LINE),
    ("ElasticNetCV", {"alphas": 12, "l1_ratio": [0.2, 0.9], "cv": 3}, PRECISE, LINE),
    ("LogisticRegression", {"C": 0.1}, NEWTON, LABELS),
    ("LogisticRegression", {"C": 0.1, "class_weight": "balanced"}, NEWTON, LABELS),
    ("LogisticRegression", {"C": np.inf}, NEWTON, LABELS),
    ("LogisticRegression", {"C": 0.1, "l1_ratio": 0.6}, PRECISE | {"solver": "saga"}, LABELS),
    (
        "LogisticRegressionCV",
        {"Cs": [0.01, 1, 100], "cv": 3},
        NEWTON | {"l1_ratios": (0,), "use_legacy_attributes": False, "scoring": "accuracy"},
        LABELS,
    ),
    ("PoissonRegressor", {"alpha": 0.1}, NEWTON, COUNTS),
    ("GammaRegressor", {"alpha": 0.1}, NEWTON, AMOUNTS),
    ("TweedieRegressor", {"alpha": 0.1, "power": 1.5}, NEWTON, AMOUNTS),
    ("TweedieRegressor", {"alpha": 0.1, "power": 0.0}, NEWTON, LINE),
]
IDS = [f"{name}-{'-'.join(map(str, options))}-{k}" for k, (name, options, _, _) in enumerate(SAME)]


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize(("name", "options", "solver", "y"), SAME, ids=IDS)
def test_results_are_those_of_scikit_learn(name, options, solver, y, intercept, weight):
    own = getattr(ours, name)(**options, fit_intercept=intercept).fit(X, y, sample_weight=weight)
    peer = getattr(theirs, name)(**options, **solver, fit_intercept=intercept).fit(X, y, sample_weight=weight)
    for attribute in ("coef_", "intercept_", "alpha_", "C_", "l1_ratio_", "alphas_", "mse_path_", "best_score_"):
        if (
            hasattr(peer, attribute)
            and hasattr(own, attribute)
            and not (attribute == "best_score_" and weight is not None)
        ):
            found, wanted = getattr(own, attribute), getattr(peer, attribute)
            np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9, err_msg=attribute)
            assert np.shape(found) == np.shape(wanted), attribute
    assert own.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-9)
    if y is LABELS:
        np.testing.assert_array_equal(own.classes_, peer.classes_)
        for method in ("predict_proba", "predict_log_proba", "decision_function"):
            np.testing.assert_allclose(getattr(own, method)(X), getattr(peer, method)(X), rtol=1e-7)


def test_it_works_where_scikit_learn_puts_estimators():
    frame = pd.DataFrame(X, columns=list("abcde"))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), ours.Ridge()), {"ridge__alpha": [0.1, 1.0, 10.0]}, cv=KFold(3)
    )
    peer = GridSearchCV(
        make_pipeline(StandardScaler(), theirs.Ridge()), {"ridge__alpha": [0.1, 1.0, 10.0]}, cv=KFold(3)
    )
    np.testing.assert_allclose(search.fit(frame, LINE).predict(frame), peer.fit(frame, LINE).predict(frame), rtol=1e-9)
    assert search.best_params_ == peer.best_params_
    scores = [cross_val_score(m.LogisticRegression(C=10), X, LABELS, cv=3) for m in (ours, theirs)]
    np.testing.assert_allclose(*scores)
    model = ours.LinearRegression().fit(frame, LINE)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert "\n a " in model.summary()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert not hasattr(clone(model), "coef_")


def test_errors_and_digits_are_those_of_the_fit():
    model, fit = ours.LinearRegression().fit(X, LINE), sr.Linear().fit(X, LINE)
    np.testing.assert_array_equal(model.std_errors_, fit.std_errors)
    np.testing.assert_array_equal(model.digits_, fit.digits)
    assert np.isnan(ours.Lasso(0.1).fit(X, LINE).std_errors_).all()
    small = np.c_[X, 1e-9 * RNG.normal(size=N)]  # scikit-learn drops such a column without a word
    assert abs(ours.LinearRegression().fit(small, small[:, -1] * 1e9).coef_[-1] - 1e9) < 1


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.parquet"
    columns = {f"f{j}": X[:, j] for j in range(P)}
    pd.DataFrame({**columns, "y": LINE, "label": (LABELS == "yes").astype(int), "n": COUNTS, "w": W}).to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet", "PoissonRegressor"])
def test_a_file_gives_what_its_arrays_give(table, name):
    target = "n" if name == "PoissonRegressor" else "y"
    features = sr.open(table, features=[f"f{j}" for j in range(P)])
    stored = getattr(ours, name)().fit(features, target, sample_weight="w")
    memory = getattr(ours, name)().fit(X, COUNTS if target == "n" else LINE, sample_weight=W)
    np.testing.assert_allclose(stored.coef_, memory.coef_, rtol=1e-10, atol=1e-12)
    assert stored.feature_names_in_.tolist() == [f"f{j}" for j in range(P)]
    assert stored.n_features_in_ == P
    np.testing.assert_allclose(stored.predict(table), memory.predict(X), rtol=1e-9)
    assert stored.score(table, target) == pytest.approx(memory.score(X, COUNTS if target == "n" else LINE))


def test_labels_and_folds_of_a_file(table):
    features = sr.open(table, features=["f0", "f1"])
    model = ours.LogisticRegression(C=np.inf).fit(features, "label")
    np.testing.assert_allclose(model.coef_[0], sr.Logistic(target="label").fit(features).coef)
    assert model.score(table, "label") == pytest.approx(np.mean(model.predict(features) == (LABELS == "yes")))
    chosen = ours.LassoCV(alphas=20, cv=5).fit(features, "y")
    path = sr.Penalised(alphas=20, target="y").cross_validate(sr.scan(features, folds=5, target="y"))
    assert chosen.alpha_ == pytest.approx(path.alphas[path.fold_errors.mean(axis=1).argmin()], rel=1e-9)
    assert ours.RidgeCV().fit(features, "y").alpha_ in (0.1, 1.0, 10.0)
    for wrong in (
        lambda: ours.LassoCV(cv=KFold(3)).fit(features, "y"),
        lambda: ours.LogisticRegressionCV().fit(features, "label"),
        lambda: ours.LogisticRegression(class_weight="balanced").fit(features, "label"),
        lambda: ours.LinearRegression().fit(table, LINE),
        lambda: ours.LinearRegression().fit(table, "yy"),
        lambda: ours.LogisticRegression(C=0).fit(X, LABELS),
    ):
        with pytest.raises(sr.StreamregError):
            wrong()


@pytest.mark.parametrize("model", [ours.LinearRegression(), ours.Ridge(2.0), ours.Lasso(0.05), ours.ElasticNet(0.05)])
def test_rows_added_bit_by_bit_give_the_fit_to_all(model, table):
    parts = clone(model)
    for k in range(0, N, 100):
        parts.partial_fit(X[k : k + 100], LINE[k : k + 100], W[k : k + 100])
    np.testing.assert_allclose(parts.coef_, clone(model).fit(X, LINE, W).coef_, rtol=1e-10)
    with pytest.raises(ValueError, match="features"):
        parts.partial_fit(X[:, :2], LINE)
    again = parts.fit(X[:50], LINE[:50])  # forgets the rows before
    np.testing.assert_array_equal(again.coef_, clone(model).fit(X[:50], LINE[:50]).coef_)


@pytest.mark.parametrize("name", ours.__all__)
def test_scikit_learn_s_own_estimator_predicts_the_same(name):
    y = {"LogisticRegression": LABELS, "PoissonRegressor": COUNTS, "GammaRegressor": AMOUNTS}.get(
        name.removesuffix("CV"), LINE
    )
    model = getattr(ours, name)().fit(X, y)
    other = model.to_sklearn()
    assert type(other) is getattr(theirs, name)
    predicted = other.predict(X)
    if "Logistic" in name:
        np.testing.assert_array_equal(predicted, model.predict(X))
        np.testing.assert_allclose(other.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    else:
        np.testing.assert_allclose(predicted, model.predict(X), rtol=1e-12)
