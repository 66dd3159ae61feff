"""Penalised paths of likelihoods: glmnet's definition, as scikit-learn and glum have it; optimality conditions."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from glum import GeneralizedLinearRegressor
from sklearn.linear_model import LogisticRegression

import streamreg as sr
from streamreg.engines.serial import Serial
from streamreg.errors import UsageError
from streamreg.families import family as family_of
from streamreg.kernels.rowhash import fold_numbers
from streamreg.models import sample as samples

# glum says so where a step beyond its tolerance changes nothing.
pytestmark = pytest.mark.filterwarnings("ignore:Line search failed")

RNG = np.random.default_rng(8)
N, P = 1500, 6
COLUMNS = tuple(f"x{j}" for j in range(P))
X = RNG.normal(size=(N, P)) * [1, 2, 0.5, 1, 3, 1] + [0, 5, 0, -3, 0, 0]
ETA = 0.4 * X[:, 0] - 0.2 * X[:, 1] + 0.6 * X[:, 2] + 1.0
LABEL = (RNG.random(N) < 1 / (1 + np.exp(-ETA))) * 1.0
COUNT = RNG.poisson(np.exp(0.5 * ETA)).astype(float)
AMOUNT = RNG.gamma(2.0, np.exp(0.5 * ETA) / 2)
WEIGHT = RNG.random(N) + 0.5
OFFSET = 0.3 * RNG.normal(size=N)
FRAME = pd.DataFrame(X, columns=COLUMNS).assign(label=LABEL, count=COUNT, amount=AMOUNT, w=WEIGHT, off=OFFSET)


def rows(target):
    return sr.open(FRAME, target=target, weights="w")


def peer(family, alpha, l1_ratio, **options):
    given = {"family": family, "link": "log", "alpha": alpha, "l1_ratio": l1_ratio, "gradient_tol": 1e-12}
    return GeneralizedLinearRegressor(**given, max_iter=10_000, **options)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_labels_equal_scikit_learn(l1_ratio):
    path = sr.Penalised(family="binomial", l1_ratio=l1_ratio, alphas=4, eps=0.03, features=COLUMNS).fit(rows("label"))
    assert path.status == "ok"
    for k, alpha in enumerate(path.alphas):
        options = {"l1_ratio": l1_ratio, "C": 1 / (alpha * WEIGHT.sum()), "tol": 1e-11, "max_iter": 100_000}
        other = LogisticRegression(solver="saga", **options).fit(X, LABEL, WEIGHT)
        np.testing.assert_allclose(path.coef[k], other.coef_[0], atol=1e-7)
        np.testing.assert_allclose(path.intercept[k], other.intercept_[0], atol=1e-7)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(("family", "y"), [("poisson", COUNT), ("gamma", AMOUNT)])
def test_counts_and_amounts_equal_glum(family, y, l1_ratio):
    target = "count" if family == "poisson" else "amount"
    path = sr.Penalised(family=family, link="log", l1_ratio=l1_ratio, alphas=4, features=COLUMNS).fit(rows(target))
    for k, alpha in enumerate(path.alphas):
        other = peer(family, alpha, l1_ratio).fit(X, y, sample_weight=WEIGHT)
        np.testing.assert_allclose(path.coef[k], other.coef_, atol=1e-8)
        np.testing.assert_allclose(path.intercept[k], other.intercept_, atol=1e-8)


def test_an_offset_standardised_columns_and_signs_equal_glum():
    path = sr.Penalised(family="poisson", alphas=5, features=COLUMNS, offset="off", standardise=True).fit(rows("count"))
    centred = X - np.average(X, axis=0, weights=WEIGHT)
    spread = np.sqrt(np.average(centred**2, axis=0, weights=WEIGHT))
    for k, alpha in enumerate(path.alphas):
        other = peer("poisson", alpha, 1.0).fit(X / spread, COUNT, sample_weight=WEIGHT, offset=OFFSET)
        np.testing.assert_allclose(path.coef[k], other.coef_ / spread, atol=1e-8)
    options = {"nonnegative": True, "intercept": False}
    path = sr.Penalised(family="poisson", alphas=4, features=COLUMNS, **options).fit(rows("count"))
    for k, alpha in enumerate(path.alphas):
        other = peer("poisson", alpha, 1.0, lower_bounds=np.zeros(P), fit_intercept=False)
        other.gradient_tol = 1e-9
        np.testing.assert_allclose(path.coef[k], other.fit(X, COUNT, sample_weight=WEIGHT).coef_, atol=1e-8)
    with pytest.raises(UsageError, match="offset"):
        sr.Penalised(family="poisson", alphas=2, features=COLUMNS, offset="off").fit(rows("count")).predict(X)


@pytest.mark.parametrize(
    ("family", "target"), [("binomial/cloglog", "label"), ("poisson", "count"), ("gamma/log", "amount")]
)
def test_the_optimality_conditions_hold(family, target):
    name, _, link = family.partition("/")
    path = sr.Penalised(family=name, link=link or None, l1_ratio=0.7, alphas=6, features=COLUMNS).fit(rows(target))
    y, facts = FRAME[target].to_numpy(), family_of(path.family)
    assert (path.coef[0] == 0).all()
    assert np.count_nonzero(path.coef[-1]) > 2
    for k, alpha in enumerate(path.alphas):
        score = WEIGHT * facts.score(y, path.intercept[k] + X @ path.coef[k])[0] / WEIGHT.sum()
        gradient, b = X.T @ score, path.coef[k]
        assert abs(score.sum()) < 1e-9
        used = b != 0
        wanted = alpha * (0.7 * np.sign(b) + 0.3 * b)
        np.testing.assert_allclose(gradient[used], wanted[used], atol=1e-8)
        assert (np.abs(gradient[~used]) <= 0.7 * alpha * (1 + 1e-9) + 1e-9).all()


def test_without_a_penalty_it_is_the_generalised_linear_model():
    fit = sr.Glm(family="poisson", features=COLUMNS).fit(rows("count"))
    path = sr.Penalised(family="poisson", alphas=(0,), features=COLUMNS).fit(rows("count"))
    one = path.candidate(0)
    np.testing.assert_allclose(one.coef, fit.coef, rtol=1e-9)
    for name in ("deviance", "null_deviance", "log_likelihood", "aic", "rsquared"):
        assert getattr(one, name) == pytest.approx(getattr(fit, name), rel=1e-9)
    np.testing.assert_allclose(one.predict(FRAME), fit.predict(FRAME), rtol=1e-8)
    np.testing.assert_allclose(path.predict(X)[:, 0], fit.predict(FRAME), rtol=1e-8)
    assert sr.compare(fit, sr.Selected(sr.Penalised(family="poisson", alphas=(0,), features=COLUMNS), rule="bic").fit(
        rows("count"))).status == "agree"  # fmt: skip


def test_folds_and_penalties_share_each_pass():
    model = sr.Penalised(family="poisson", alphas=5, features=COLUMNS)
    path, validated = model.fit(rows("count")), model.cross_validate(rows("count"), 4, seed=2)
    np.testing.assert_array_equal(path.coef, validated.coef)
    # Passes of the slowest fold's slowest penalty, and one that measures.
    assert validated.passes <= path.passes + 2
    fold = fold_numbers(0, N, 4, 2, "folds")
    for k in range(4):
        out = fold == k
        train = sr.Penalised(family="poisson", alphas=tuple(path.alphas), features=COLUMNS).fit(
            sr.open(FRAME[~out].reset_index(drop=True), target="count", weights="w")
        )
        eta = train.intercept + X[out] @ train.coef.T
        facts = family_of("poisson")
        loss = [np.average(facts.deviance(COUNT[out], column), weights=WEIGHT[out]) for column in eta.T]
        np.testing.assert_allclose(validated.fold_errors[:, k], loss, rtol=1e-9)
    chosen = sr.Selected(model, rule="one_standard_error", folds=4, seed=2).fit(rows("count"))
    np.testing.assert_array_equal(chosen.coef, validated.candidate(validated.one_standard_error()).coef)


def test_a_sample_is_where_paths_begin(monkeypatch):
    n = 70_000
    x = RNG.normal(size=(n, 4))
    y = (RNG.random(n) < 1 / (1 + np.exp(-x[:, 0] + 0.3 * x[:, 1] + 1))) * 1.0
    model = sr.Penalised(family="binomial", alphas=6)
    plain = model.fit((x, y))
    monkeypatch.setattr(samples, "_RANGE", 1024)
    monkeypatch.setattr(samples, "_SHARE", 4)
    begun = model.fit((x, y))
    assert begun.passes <= plain.passes
    np.testing.assert_allclose(begun.coef, plain.coef, rtol=1e-8, atol=1e-12)
    again = model.fit((x, y), engine=Serial())
    np.testing.assert_array_equal(begun.coef, again.coef)


def test_separated_labels_have_a_path():
    x = np.linspace(-1, 1, 40)[:, None]
    path = sr.Penalised(family="binomial", alphas=4).fit((x, (x[:, 0] > 0) * 1.0))
    assert path.status == "ok"
    assert np.isfinite(path.coef).all()
    none = sr.Penalised(family="binomial", alphas=(0,)).fit((x, (x[:, 0] > 0) * 1.0))
    assert none.status.startswith("not converged: complete separation: x0")


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UsageError, match="moments hold none"):
        sr.Penalised(family="poisson").fit(sr.scan((X, COUNT)))
    with pytest.raises(UsageError, match="moments hold none"):
        sr.Penalised(family="poisson").cross_validate(sr.scan((X, COUNT), folds=3))
    with pytest.raises(UsageError, match="two folds"):
        sr.Penalised(family="poisson").cross_validate((X, COUNT), 1)
    with pytest.raises(UsageError, match="power is not estimated"):
        sr.Penalised(family="tweedie")
    with pytest.raises(UsageError, match="cp is not known"):
        sr.Penalised(family="poisson", alphas=3).fit((X, COUNT)).best("cp")
    with pytest.raises(UsageError, match="bic is not known"):
        sr.Penalised(family="gamma", alphas=3).fit((X, AMOUNT)).best()
    with pytest.raises(sr.DataError, match="row 0"):
        sr.Penalised(family="poisson").cross_validate((X, np.append(-1.0, COUNT[1:])), 3)


def test_a_job_and_the_command_line_have_it(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    options = ["--kind", "penalised", "--family", "binomial", "--rule", "cv", "--folds", "3", "--target", "label"]
    command = [sys.executable, "-m", "streamreg", "fit", str(tmp_path / "rows.parquet"), *options]
    subprocess.run([*command, "--features", ",".join(COLUMNS), "--save", str(tmp_path / "fit.npz")], check=True)
    assert sr.load(tmp_path / "fit.npz").family == "binomial"
    model = {"kind": "penalised", "family": "binomial", "rule": "cv", "folds": 3, "features": list(COLUMNS)}
    job = {"data": {"path": "rows.parquet", "target": "label"}, "fits": {"chosen": model}}
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    found = sr.run_job(tmp_path / "job.yaml")
    np.testing.assert_array_equal(found.fits["chosen"].coef, sr.load(tmp_path / "fit.npz").coef)
