"""The ways to find the effects of several factors agree, and say how far they came."""

import numpy as np
import pytest
from panels import FEATURES, panel, source
from scipy.sparse import block_array, coo_array, diags_array

import streamreg as sr
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.solve import absorb, effects, iterations
from streamreg.solve.absorb import Factor

FRAME = panel(6000, 4, (500, 260, 230))


def fitted(factors: tuple[str, ...] = ("f0", "f1", "f2")) -> sr.FitResult:
    return sr.Linear(features=FEATURES, absorb=factors).fit(source(FRAME))


def agrees(ours: sr.FitResult, theirs: sr.FitResult, method: str) -> None:
    assert ours.absorbed.method == method
    np.testing.assert_allclose(ours.coef, theirs.coef, rtol=1e-12)
    np.testing.assert_allclose(ours.rss, theirs.rss, rtol=1e-12)
    assert ours.df_resid == theirs.df_resid
    np.testing.assert_allclose(ours.predict(source(FRAME)), theirs.predict(source(FRAME)), rtol=1e-9, atol=1e-9)
    assert ours.absorbed.residual < 1e-9


@pytest.mark.parametrize("factors", [("f0", "f1"), ("f0", "f1", "f2")])
def test_gradients_and_sparse_factors_are_as_good_as_a_full_one(monkeypatch, factors):
    full = fitted(factors)
    monkeypatch.setattr(effects, "DENSE", 10)
    agrees(fitted(factors), full, "conjugate gradients")
    monkeypatch.setattr(iterations, "_SHORT", 2)
    agrees(fitted(factors), full, "sparse factor")
    monkeypatch.setattr(iterations, "_FILL", 0.0)
    agrees(fitted(factors), full, "conjugate gradients")
    monkeypatch.setattr(iterations, "_FORMED", -1e12)
    agrees(fitted(factors), full, "conjugate gradients")


def test_small_factors_are_left_to_the_end(monkeypatch):
    full = fitted()
    monkeypatch.setattr(effects, "DENSE", 10)
    monkeypatch.setattr(absorb, "_SMALL", 250)
    last = fitted()
    agrees(last, full, "conjugate gradients")
    assert last.absorbed.exact
    monkeypatch.setattr(absorb, "_SMALL", 10)
    assert not fitted().absorbed.exact
    assert "at most" in fitted().summary()


def test_an_end_before_the_last_digit_is_said(monkeypatch):
    monkeypatch.setattr(effects, "DENSE", 10)
    for name, value in (("_SHORT", 1), ("_LONG", 2), ("_FILL", 0.0)):
        monkeypatch.setattr(iterations, name, value)
    fit = fitted(("f0", "f1"))
    assert "unfinished" in fit.absorbed.method
    assert "The effects are not exact" in fit.summary()


def test_what_is_left_does_not_depend_on_workers():
    data = source(FRAME)
    model = sr.Linear(features=FEATURES, absorb=("f0", "f1", "f2"), errors={"cluster": "f1"})
    fits = [model.fit(data, engine=engine) for engine in (Serial(), Threads(2), Threads(5))]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.coef, fits[0].coef)
        np.testing.assert_array_equal(fit.absorbed.values, fits[0].absorbed.values)
        np.testing.assert_array_equal(fit.std_errors, fits[0].std_errors)


def test_elimination_equals_a_pseudo_inverse():
    random = np.random.default_rng(0)
    codes = [random.integers(0, k, 300) for k in (12, 9, 5)]
    z = random.normal(size=(300, 4))
    z -= z.mean(axis=0)
    indicators = [coo_array((np.ones(300), (np.arange(300), c))).toarray() for c in codes]
    factors = [Factor(str(k), d.sum(axis=0), d.T @ z) for k, d in enumerate(indicators)]
    pairs = {}
    for f in range(3):
        for g in range(f + 1, 3):
            a, b = np.nonzero(table := indicators[f].T @ indicators[g])
            pairs[f, g] = (a.astype(np.int32), b.astype(np.int32), table[a, b])
    found = absorb.absorb(z.T @ z, factors, pairs)
    d = np.hstack(indicators)
    left = z - d @ (np.linalg.pinv(d) @ z)
    np.testing.assert_allclose(found.within, left.T @ left, atol=1e-10)
    assert found.df == np.linalg.matrix_rank(d)
    own = sum(indicator @ effect for indicator, effect in zip(indicators, found.effects, strict=True))
    np.testing.assert_allclose(z - own, left, atol=1e-10)


def test_a_narrow_band_is_known():
    path = diags_array([np.ones(99), np.full(100, 3.0), np.ones(99)], offsets=[-1, 0, 1]).tocsr()
    assert iterations._band(path) == 99
    wide = block_array([[path, np.ones((100, 1))], [np.ones((1, 100)), np.eye(1)]]).tocsr()
    assert iterations._band(wide) >= 99
