"""Choices by row number: those of different uses and seeds are independent of each other."""

from itertools import combinations

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import DataError, UsageError
from streamreg.kernels.rowhash import USES, fold_numbers
from streamreg.scans.scan import unequal
from streamreg.stats.grouped import By, Hash

N = 40_000


def choices() -> dict[str, np.ndarray]:
    """Return which half of the rows each choice puts a row in."""
    made = {}
    for seed in (0, 1, 7):
        for use in USES:
            made[f"half {use} {seed}"] = fold_numbers(0, N, 2, seed, use)
    return made


def test_halves_of_two_uses_or_seeds_are_independent():
    for (one, a), (other, b) in combinations(choices().items(), 2):
        both = np.bincount(2 * a + b, minlength=4)
        # A chi-square of one degree of freedom, three of a million times beyond 22.
        assert ((both - N / 4) ** 2 / (N / 4)).sum() < 30, (one, other)


@pytest.mark.parametrize("folds", [2, 10])
@pytest.mark.parametrize("seed", [0, 3])
def test_folds_of_what_a_split_leaves_have_their_share(folds, seed):
    x = np.random.default_rng(0).normal(size=(N, 2))
    train, rest = sr.split(sr.open((x, x[:, 0])), 0.5, seed=seed)
    for part in (train, rest):
        state = sr.scan(part, folds=folds, seed=seed)
        sizes = np.array([fold.n for fold in sr.folds(state).values()])
        share = state.n / folds
        assert len(sizes) == folds
        assert (np.abs(sizes - share) < 5 * np.sqrt(share)).all()
        assert unequal(state) == ""
        again, held = sr.split(part, 0.5, seed=seed)
        counts = [sr.scan(p).n for p in (again, held)]
        assert abs(counts[0] - counts[1]) < 5 * np.sqrt(state.n)


def test_a_fold_without_rows_is_refused_and_an_unequal_one_is_said():
    x = np.random.default_rng(1).normal(size=(12, 2))
    with pytest.raises(DataError, match=r"fold \d of 10 has no rows; 12 rows are too few"):
        sr.Penalised().cross_validate(sr.scan((x, x[:, 0]), folds=10))
    x = np.random.default_rng(1).normal(size=(4000, 2))
    weights = np.where((fold_numbers(0, 4000, 4) == 2) & (np.arange(4000) % 3 > 0), 0.0, 1.0)
    state = sr.scan((x, x[:, 0] + x[:, 1] ** 2, weights), folds=4)
    assert "fold 2 holds" in unequal(state)
    assert "fold 2 holds" in sr.Penalised(alphas=3).cross_validate(state).status


def test_folds_of_files_of_earlier_versions_stay_what_they_were(tmp_path):
    assert By.parse("hash 10 3") == Hash(10, 3, "hash")
    assert By.parse(str(Hash(10, 3))) == Hash(10, 3)
    np.testing.assert_array_equal(fold_numbers(0, 8, 4, 0, "hash"), [3, 1, 0, 3, 0, 1, 0, 3])
    x = np.random.default_rng(2).normal(size=(500, 2))
    old, new = sr.scan((x[:, :1], x[:, 1]), folds=3), sr.scan((x[:, :1], x[:, 1] + 1), folds=3)
    old.by = Hash(3, 0, "hash")
    with pytest.raises(DataError, match=r"grouped|apart|folds"):
        sr.merge(old, new)


def test_moments_that_kept_no_folds_apart_cannot_be_cross_validated():
    x = np.random.default_rng(3).normal(size=(50, 2))
    for moments in (sr.scan((x, x[:, 0])), sr.scan((x, x[:, 0]), precision="exact"), 3):
        with pytest.raises(UsageError):
            sr.Penalised().cross_validate(moments)
