"""Rows kept apart in one pass: folds, levels of a column, blocks; and how little of the cut shows."""

import numpy as np
import pytest
from helpers import Counting, Cut
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.design.design import Design
from streamreg.errors import DataError, NonFiniteError, NotFound, UsageError
from streamreg.kernels.rowhash import fold_numbers
from streamreg.scans.fold import fold
from streamreg.stats.grouped import Block, Column, Grouped, Hash
from streamreg.stats.moments import Moments

RNG = np.random.default_rng(3)
N, P = 5000, 5
X = RNG.standard_normal((N, P)) + 10
Y = X @ np.arange(P) + RNG.standard_normal(N)
W = RNG.integers(0, 3, N).astype(float)
LEVEL = RNG.integers(-3, 4, N)
TABLE = np.column_stack([X, LEVEL, Y])
NAMES = [*(f"x{k}" for k in range(P)), "level", "y"]


def table(values=TABLE):
    return sr.open(values, columns=NAMES, target="y")


def bits(state):
    return {key: np.concatenate([s.total().cross.ravel(), *s.total().mean]) for key, s in state.groups.items()}


@settings(max_examples=40, deadline=None)
@given(
    borders=st.lists(st.integers(1, N - 1), max_size=8),
    sizes=st.lists(st.integers(1, 2500), min_size=1, max_size=4),
    threads=st.sampled_from([1, 2, 4]),
    by=st.sampled_from([Hash(2), Hash(10, 4), Block(777), Column("level")]),
)
def test_any_cut_and_any_number_of_threads_gives_the_same_bits(borders, sizes, threads, by):
    source = table()
    design = Design.of(source, keys=("level",) if isinstance(by, Column) else ())
    states = [
        bits(fold(rows, design, Grouped(Moments(design.names), by), threads=count))
        for rows, count in ((source, 1), (Cut(source, borders, sizes), threads))
    ]
    assert states[0].keys() == states[1].keys()
    for key, expected in states[0].items():
        assert np.array_equal(states[1][key], expected)


@pytest.mark.parametrize("precision", ["float64", "exact"])
@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"folds": 6, "seed": 2}, fold_numbers(0, N, 6, 2)),
        ({"by": "level"}, LEVEL),
        ({"folds": "level"}, LEVEL),
        ({"blocks": 9}, np.arange(N) // 556),
    ],
)
def test_each_group_holds_its_rows_and_one_pass_is_enough(options, keys, precision):
    source = Counting(table())
    features = tuple(f"x{k}" for k in range(P))
    state = sr.scan(source, features, precision=precision, **options)
    assert (source.reads == 1).all()
    parts = sr.folds(state)
    assert list(parts) == np.unique(keys).tolist()
    for key, part in parts.items():
        mine = keys == key
        ref = sr.Linear().fit((X[mine], Y[mine]))
        fit = sr.Linear().fit(part)
        assert fit.n == mine.sum()
        np.testing.assert_allclose(fit.coef, ref.coef, rtol=1e-10)
        np.testing.assert_allclose(fit.std_errors, ref.std_errors, rtol=1e-10)
    whole = sr.Linear().fit(state)
    assert (whole.n, whole.n_read) == (N, N)
    np.testing.assert_allclose(whole.coef, sr.Linear().fit((X, Y)).coef, rtol=1e-10)


def test_cross_validation_takes_one_pass_and_equals_brute_force():
    source = Counting(sr.open((X, Y)))
    path = sr.Penalised(alphas=(0.3, 0.1, 0.01), l1_ratio=0.5)
    found = path.cross_validate(sr.scan(source, folds=5))
    assert (source.reads == 1).all()
    fold_of = fold_numbers(0, N, 5)
    for k in range(5):
        train, test = fold_of != k, fold_of == k
        fitted = path.fit((X[train], Y[train])).predict(X[test])
        np.testing.assert_allclose(found.fold_errors[:, k], ((Y[test, None] - fitted) ** 2).mean(0), rtol=1e-9)


def test_rows_left_out_keep_the_numbers_of_the_others():
    x = X.copy()
    x[::7, 2] = np.nan
    state = sr.scan((x, Y, W), missing="drop", folds=4)
    keep = (W > 0) & np.isfinite(x).all(1)
    fold_of = fold_numbers(0, N, 4)
    for key, part in sr.folds(state).items():
        mine = keep & (fold_of == key)
        np.testing.assert_allclose(sr.Linear().fit(part).coef, sr.Linear().fit((x[mine], Y[mine], W[mine])).coef)
    assert state.n_missing == ((W > 0) & ~np.isfinite(x).all(1)).sum()


def test_blocks_without_rows_cost_no_memory():
    n = 200_000
    w = np.zeros(n)
    w[:: 3 * 1024 + 7] = 1.0
    state = sr.scan((np.arange(n, dtype=float)[:, None], np.ones(n), w), folds=2)
    for part in sr.folds(state).values():
        assert len(part._tree.nodes) <= 16
    whole = sr.scan((np.arange(n, dtype=float)[:, None], np.ones(n), w))
    assert len(whole._tree.nodes) <= 16
    assert whole.n == (w > 0).sum()


def test_a_group_is_no_feature_unless_it_is_named():
    assert "level" not in sr.scan(table(), by="level").names
    features = ("x0", "level")
    assert sr.scan(table(), features, by="level").names == ("x0", "level", "y")
    with pytest.raises(NotFound, match="did you mean 'level'"):
        sr.scan(table(), by="levels")
    with pytest.raises(UsageError, match="'y' is the target and cannot say"):
        sr.scan(table(), by="y")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.int64, np.float32])
def test_groups_of_any_type_of_whole_numbers(dtype):
    keys = (LEVEL > 0) if dtype is bool else (LEVEL + 3)
    state = sr.scan(sr.open((X, keys.astype(dtype)), columns=NAMES[:P]), by="y", target="x0")
    assert sorted(state.groups) == np.unique(keys).astype(int).tolist()


def test_what_is_no_group_is_refused():
    values = TABLE.copy()
    values[77, P] = 0.5
    with pytest.raises(DataError, match=r"row 77 \(from 0\), column 'level': 0.5 does not name a group"):
        sr.scan(table(values), by="level")
    values[77, P] = np.nan
    with pytest.raises(NonFiniteError, match=r"row 77 .* column 'level': NaN"):
        sr.scan(table(values), by="level")
    assert sr.scan(table(values), missing="drop", by="level").n == N - 1


def test_too_many_groups_are_refused_with_the_bound():
    source = sr.open((X, np.arange(N)), columns=NAMES[:P])
    with pytest.raises(UsageError, match=r"groups \(column y\) of 5 columns need more than 1 MiB.*raise memory"):
        sr.scan(source, by="y", target="x0", memory=2**20)
