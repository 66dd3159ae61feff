"""A fit that begins with a sample of the rows: the same maximum and bits, in fewer passes."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv as pa_csv

import streamreg as sr
from streamreg.models import climb

N = 270_000
NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((N, 3)) * [1.0, 1e8, 1e-8] + [0.0, 3e8, 0.0]
    z = (x - [0.0, 3e8, 0.0]) / [1.0, 1e8, 1e-8]
    return x, z @ [0.3, -0.2, 0.1], rng


def target(rows, family):
    _, eta, _ = rows
    rng = np.random.default_rng(4)
    if family == "poisson":
        return rng.poisson(np.exp(14 + eta)) * 1.0  # counts in the millions
    if family == "gamma":
        return rng.gamma(2.0, np.exp(eta))
    return (rng.random(N) < 1 / (1 + np.exp(-eta))) * 1.0


def whole(data, monkeypatch, **options):
    """Fit with a start from all rows."""
    with monkeypatch.context() as patch:
        patch.setattr(climb, "_sampled", lambda *_: None)
        return sr.Glm(**options).fit(data)


@pytest.mark.parametrize("family", ["binomial", "poisson", "gamma"])
def test_fewer_passes_lead_to_the_same_maximum(rows, family, monkeypatch):
    data = (rows[0], target(rows, family))
    fit, ref = sr.Glm(family=family).fit(data), whole(data, monkeypatch, family=family)
    assert fit.status == ref.status == "ok"
    assert fit.passes < ref.passes
    off = np.abs(fit.coef - ref.coef)
    assert (off <= 1e-8 * ref.std_errors).all()
    size = np.maximum(np.abs(ref.coef), 1e-3 * ref.std_errors)
    assert (off <= size * (10.0**-fit.digits + 10.0**-ref.digits)).all()
    np.testing.assert_allclose(fit.std_errors, ref.std_errors, rtol=10.0**-fit.digits_se + 10.0**-ref.digits_se)
    for name in ("deviance", "null_deviance", "tss", "log_likelihood", "aic", "nobs"):
        np.testing.assert_allclose(getattr(fit, name), getattr(ref, name), rtol=1e-11)


def test_offsets_and_weights(rows, monkeypatch):
    x, eta, _ = rows
    frame = pd.DataFrame(x, columns=NAMES).assign(e=np.exp(eta / 2), w=1.0 + (np.arange(N) % 3))
    frame["y"] = np.random.default_rng(5).poisson(np.exp(eta) * frame.e) * 1.0
    data = sr.open(frame, target="y", weights="w")
    options = {"family": "poisson", "exposure": "e", "features": tuple(NAMES)}
    fit, ref = sr.Glm(**options).fit(data), whole(data, monkeypatch, **options)
    assert fit.passes < ref.passes
    assert (np.abs(fit.coef - ref.coef) <= 1e-8 * ref.std_errors).all()
    np.testing.assert_allclose(fit.null_deviance, ref.null_deviance, rtol=1e-11)


def test_same_bits_from_any_storage_and_any_threads(rows, tmp_path):
    x, y = rows[0], target(rows, "binomial")
    frame = pd.DataFrame(x, columns=NAMES).assign(y=y)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=100_003)
    frame[:130_001].to_parquet(tmp_path / "u0.parquet", row_group_size=7_001)
    frame[130_001:].to_parquet(tmp_path / "u1.parquet")
    np.save(tmp_path / "t.npy", frame.to_numpy())
    pa_csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.csv")
    paths = [
        sr.open(tmp_path / "t.parquet", target="y"),
        sr.open(tmp_path / "u*.parquet", target="y"),
        sr.open(tmp_path / "t.npy", columns=[*NAMES, "y"], target="y"),
        sr.open(frame, target="y"),
        sr.open(tmp_path / "t.csv", target="y"),
    ]
    first = sr.Logistic().fit((x, y), threads=1)
    for data in paths:
        fit = sr.Logistic().fit(data, threads=3)
        assert fit.passes == first.passes
        assert np.array_equal(fit.coef, first.coef)
        assert np.array_equal(fit.std_errors, first.std_errors)
        assert fit.deviance == first.deviance
    fit = sr.Logistic(formula="y ~ a + b + c").fit(frame)
    assert np.array_equal(fit.coef, first.coef)
    assert fit.passes == first.passes


def test_what_a_sample_does_not_show(rows, monkeypatch):
    x, _, _ = rows
    y = target(rows, "binomial")
    ranges = np.linspace(0, N // 4096 - 1, 8).round().astype(int) * 4096
    inside = np.zeros(N, bool)
    for start in ranges:
        inside[start : start + 4096] = True
    for name, labels in {
        "separated": np.where(inside, x[:, 0] > 0, y > 0) * 1.0,
        "one class": np.where(inside, 0.0, y),
        "rare": (np.arange(N) % 900 == 77) * 1.0,
        "sorted": np.sort(y),
    }.items():
        fit, ref = sr.Logistic().fit((x, labels)), whole((x, labels), monkeypatch, family="binomial")
        assert fit.status == ref.status == "ok", name
        assert fit.passes <= ref.passes + 1, name  # without any relation the other start is the maximum, nearly
        assert (np.abs(fit.coef - ref.coef) <= 1e-8 * ref.std_errors).all()
    still = x.copy()
    still[inside, 0] = 1.0
    fit = sr.Logistic().fit((still, y))
    assert (fit.status, fit.rank) == ("ok", 3)
    apart = sr.Logistic().fit((x, (x[:, 0] > 0) * 1.0))
    assert "not converged" in apart.status
    assert np.isnan(apart.std_errors).all()


def test_a_bad_target_is_told_by_its_first_row(rows):
    y = target(rows, "binomial")
    y[[100, 5_000]] = 2.0
    with pytest.raises(sr.errors.DataError, match="row 100 "):
        sr.Logistic().fit((rows[0], y))
