"""Sums by level: exact, in any order of the rows, the same in C and in NumPy."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.kernels import levels as kernel
from streamreg.stats.levels.sums import LevelSums


@pytest.fixture(params=["compiled", "numpy"])
def path(request, monkeypatch):
    if request.param == "compiled" and not kernel.compiled():
        pytest.skip("there is no compiled kernel")
    monkeypatch.setattr(kernel, "_COMPILED", request.param == "compiled")
    return request.param


def rows(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns of all magnitudes, keys of three factors, and weights."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(n, 3)) * [1.0, 1e-30, 1e30] * 2.0 ** random.integers(-20, 20, (n, 3)) + [1e9, 0.0, 0.0]
    keys = np.column_stack(
        [random.integers(-(2**62), 2**62, 900)[random.integers(0, 900, n)], *random.integers(0, 800, (2, n))]
    )
    keys[:, 2] //= 200
    return z, keys, random.random(n) * 3


def summed(z: Any, keys: Any, weight: Any, order: Any = None, cuts: tuple[int, ...] = ()) -> LevelSums:
    """Sum rows in an order, in parts that are merged."""
    order = np.arange(len(z)) if order is None else order
    total = None
    for part in np.split(order, cuts):
        state = LevelSums(z.shape[1], keys.shape[1], weight is not None)
        for piece in np.array_split(part, max(len(part) // 700, 1)):
            if len(piece):
                own = None if weight is None else weight[piece]
                state.add(Batch(z[piece, :-1], z[piece, -1], own, 0, len(piece), keys=keys[piece]))
        if total is None:
            total = state
        else:
            total.merge(state)
    assert total is not None
    return total


def same(a: LevelSums, b: LevelSums) -> None:
    first, second = a.to_arrays(), b.to_arrays()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def exact_values(state: LevelSums, codes: np.ndarray) -> Any:
    digits = state._sums[0][codes].reshape(len(codes), 3, -1)
    return kernel.values(kernel.carried(digits), state._top)


@pytest.mark.parametrize("weighted", [False, True])
def test_no_order_and_no_cut_shows(path, weighted):
    z, keys, weight = rows()
    weight = weight if weighted else None
    whole = summed(z, keys, weight)
    random = np.random.default_rng(1)
    same(summed(z, keys, weight, random.permutation(len(z))), whole)
    same(summed(z, keys, weight, random.permutation(len(z)), (500, 501, 2100)), whole)
    largest_last = np.argsort(np.abs(z).max(axis=1), kind="stable")
    same(summed(z, keys, weight, largest_last, (1000,)), whole)
    same(summed(z, keys, weight, largest_last[::-1], (1000,)), whole)
    same(LevelSums.from_arrays(whole.to_arrays(), 3, 3, weighted), whole)


@pytest.mark.parametrize("weighted", [False, True])
def test_c_and_numpy_give_the_same_bits(monkeypatch, weighted):
    if not kernel.compiled():
        pytest.skip("there is no compiled kernel")
    z, keys, weight = rows()
    compiled = summed(z, keys, weight if weighted else None)
    monkeypatch.setattr(kernel, "_COMPILED", False)
    same(summed(z, keys, weight if weighted else None), compiled)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_exact(path, weighted):
    random = np.random.default_rng(2)
    z = random.normal(loc=[1e9, 0.0], size=(400, 2))
    keys, weight = random.integers(0, 30, (400, 1)), random.random(400)
    state = summed(z, keys, weight if weighted else None)
    found, codes, _ = state.order(0)
    high, low = exact_values(state, codes)
    for k, key in enumerate(found):
        for j in range(2):
            terms = [
                Fraction(float(v)) * (Fraction(float(w)) if weighted else 1)
                for v, w in zip(z[keys[:, 0] == key, j], weight[keys[:, 0] == key], strict=True)
            ]
            error = Fraction(float(high[k, j])) + Fraction(float(low[k, j])) - sum(terms)
            assert abs(error) <= Fraction(2) ** -64 * len(terms) * (2**32 if j == 0 else 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_about_a_point_have_the_same_bits_in_c_and_in_numpy(monkeypatch, weighted):
    if not kernel.compiled():
        pytest.skip("there is no compiled kernel")
    z, keys, weight = rows()
    state = summed(z, keys, weight if weighted else None)
    mean = (z.mean(axis=0), 1e-17 * z.mean(axis=0))
    found = [state.about(f, state.order(f)[1], mean, np.zeros(3, np.int64)) for f in range(3)]
    monkeypatch.setattr(kernel, "_COMPILED", False)
    for f, (weights, sums) in enumerate(found):
        again = state.about(f, state.order(f)[1], mean, np.zeros(3, np.int64))
        np.testing.assert_array_equal(weights, again[0])
        np.testing.assert_array_equal(sums, again[1])
    own = keys[:, 0] == np.min(keys[:, 0])
    w = weight[own] if weighted else np.ones(own.sum())
    np.testing.assert_allclose(found[0][1][0][1:], (w @ (z[own] - mean[0]))[1:], rtol=1e-9)


def test_whole_numbers_keep_their_digits(path):
    big = np.array([[2**62 + 1], [2**62 + 3], [-(2**62) - 5], [7]])
    keys = np.array([[1], [1], [1], [2]])
    state = LevelSums(1, 1, False)
    state.add(Batch(big, None, None, 0, 4, keys=keys))
    _, codes, _ = state.order(0)
    high, low = exact_values(state, codes)
    assert [int(a) + int(b) for a, b in zip(high[:, 0], low[:, 0], strict=True)] == [2**62 - 1, 7]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70), st.floats(-1e200, 1e200)), min_size=1, max_size=300))
def test_pairs_and_counts_are_those_of_a_dictionary(table):
    a, b, z = (np.array(column) for column in zip(*table, strict=True))
    wanted: dict[tuple[int, int], int] = {}
    for key in zip(a.tolist(), b.tolist(), strict=True):
        wanted[key] = wanted.get(key, 0) + 1
    for compiled in {kernel.compiled(), False}:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(kernel, "_COMPILED", compiled)
            state = summed(z[:, None], np.column_stack([a, b]), None, cuts=(len(z) // 2,))
            x, y, counts = state.pairs(0, 1)
        first, second = state._codes[0].keys[x].tolist(), state._codes[1].keys[y].tolist()
        assert dict(zip(zip(first, second, strict=True), counts.astype(int).tolist(), strict=True)) == wanted


def test_values_that_do_not_fit_are_refused(path):
    with pytest.raises(DataError, match="beyond 1e270"):
        summed(np.array([[1e280]]), np.array([[1]]), None)
    state = summed(np.array([[0.0]]), np.array([[1]]), None)
    state.rows = 2**31 - 1
    with pytest.raises(DataError, match="2,147,483,647 rows at most"):
        state.merge(summed(np.array([[0.0]]), np.array([[1]]), None))
