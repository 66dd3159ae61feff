"""The rows held out are the same ones whatever cuts them up, and as many as asked for."""

import numpy as np
import pytest
from helpers import Cut

import streamreg as sr
from streamreg.design.design import Design
from streamreg.errors import UsageError
from streamreg.kernels.rowhash import Sample, fold_numbers, uniform
from streamreg.scans.fold import fold
from streamreg.stats.moments import Moments


def test_the_hash_of_a_row_does_not_depend_on_its_neighbours():
    whole = uniform(0, 10_000, seed=3)
    assert np.array_equal(np.concatenate([uniform(a, 100, 3) for a in range(0, 10_000, 100)]), whole)
    assert np.array_equal(uniform(2**40, 5, 3), uniform(2**40 - 5, 10, 3)[5:])
    assert (whole >= 0).all()
    assert (whole < 1).all()
    assert not np.array_equal(whole, uniform(0, 10_000, seed=4))


def test_it_is_uniform_and_uncorrelated():
    u = np.stack([uniform(0, 200_000, seed) for seed in range(5)])
    counts = np.stack([np.bincount((row * 100).astype(int), minlength=100) for row in u])
    assert (np.abs((counts - 2000) / np.sqrt(2000)) < 5).all()
    assert np.abs(np.corrcoef(u) - np.eye(5)).max() < 0.02
    assert abs(np.corrcoef(u[0][1:], u[0][:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
def test_the_parts_make_up_the_whole(fraction):
    held, rest = (Sample(fraction, held_out=h).mask(100, 50_000) for h in (True, False))
    assert (held ^ rest).all()
    assert abs(held.mean() - fraction) < 0.01
    assert np.bincount(fold_numbers(0, 50_000, 7)).min() > 6500


def test_a_part_of_a_part_is_an_independent_choice():
    outer = Sample(0.2, seed=1, held_out=False)
    inner = Sample(0.25, seed=1, within=outer)
    held, rest = (Sample(0.25, 1, h, outer).mask(0, 100_000) for h in (True, False))
    assert np.array_equal(held, inner.mask(0, 100_000))
    assert np.array_equal(held | rest, outer.mask(0, 100_000))
    assert abs(held.mean() - 0.8 * 0.25) < 0.01


def test_a_split_source_is_fitted_by_every_model():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3000, 2))
    y = (rng.random(3000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    train, test = sr.split((x, y), 0.25, seed=7)
    held = Sample(0.25, 7).mask(0, 3000)
    for part, rows in ((train, ~held), (test, held)):
        assert sr.scan(part).n == rows.sum()
        for model in (sr.Linear(), sr.Logistic(), sr.Linear(features=("x1",), precision="exact")):
            fit = model.fit(part)
            assert fit.n == rows.sum()
            columns = [0, 1] if fit.names == ("x0", "x1") else [1]
            expected = model.model_copy(update={"features": None}).fit((x[rows][:, columns], y[rows]))
            np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-9)
    assert "held out" in test.label
    again = sr.split(train, 0.5, seed=7)
    assert sum(sr.scan(part).n for part in again) == (~held).sum()
    with pytest.raises(UsageError, match="between 0 and 1"):
        sr.split((x, y), 1.5)


def test_a_scan_of_a_part_is_a_scan_of_those_rows():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5000, 3)), rng.integers(0, 3, 5000).astype(float)
    y = x.sum(1) + rng.standard_normal(5000)
    x[17, 1] = np.nan
    source = sr.open((x, y, w))
    chosen = Sample(0.3, seed=5)
    mask = chosen.mask(0, 5000) & (w > 0)
    states = []
    for cut in (source, Cut(source, [77, 1024, 3001], [100, 313])):
        design = Design.of(cut, missing="drop")
        states.append(fold(cut, Design(**{f: getattr(design, f) for f in design.__slots__} | {"sample": chosen}),
                           Moments(design.names)))  # fmt: skip
    assert np.array_equal(states[0].total().cross, states[1].total().cross)
    assert states[0].n + states[0].n_missing == mask.sum()
    assert states[0].n_read == 5000
    keep = mask & np.isfinite(x).all(1)
    expected = sr.Linear().fit((x[keep], y[keep], w[keep])).coef
    np.testing.assert_allclose(sr.Linear(target="y").fit(states[0]).coef, expected, rtol=1e-10)
