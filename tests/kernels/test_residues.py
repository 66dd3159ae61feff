"""Products of large integers through small moduli are those of Python's integers."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreg.kernels import residues
from streamreg.kernels.residues import Moduli, Triangle


def integers(shape, bits, seed=0):
    draw = random.Random(seed)
    values = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        values[index] = draw.randint(-(1 << bits), 1 << bits) >> draw.choice([0, 0, 0, 5, bits])
    return values


@pytest.mark.parametrize("bits", [60, 200, 896])
@pytest.mark.parametrize("inner", [1, 2, 1000, 1024, 1025, 5000])
def test_moduli_have_no_common_factor_and_their_sums_of_products_do_not_round(bits, inner):
    moduli = [int(q) for q in Moduli(bits, inner)._moduli[:, 0]]
    assert inner * (max(moduli) // 2 + 1) ** 2 < 2**53
    assert all(np.gcd(a, b) == 1 for k, a in enumerate(moduli) for b in moduli[:k])
    whole = 1
    for q in moduli:
        whole *= q
    assert whole >= 2 ** (bits + 2)


@pytest.mark.parametrize("bits", [60, 200, 896])
def test_integers_come_back(bits):
    values = np.concatenate(
        [integers((3000,), bits), [0, 1, -1, 1 << bits, -(1 << bits), 1 << 15, -(1 << 15), -(1 << 16)]]
    )
    moduli = Moduli(bits, 100)
    split = moduli.split(values)
    assert (np.abs(split) <= moduli._moduli / 2).all()
    for drop in (0, 16, 48):
        np.testing.assert_array_equal(moduli.join(split, drop), values >> drop)


def test_the_greatest_sums_of_products_are_exact():
    moduli = Moduli(896, 1024)
    half = moduli._moduli[:, :, None] // 2
    sums = np.matmul(-half * np.ones((1, 1, 1024)), half * np.ones((1, 1024, 1)))[:, 0]
    true = [-1024 * (int(h) ** 2) for h in half[:, 0, 0]]
    assert [int(v) for v in sums[:, 0]] == true
    left = moduli._reduce(sums)[:, 0]
    assert [(int(v) - t) % int(q) for v, t, q in zip(left, true, moduli._moduli[:, 0], strict=True)] == [0] * len(left)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_products_of_any_integers(data):
    m, r, n = (data.draw(st.integers(0, 4)) for _ in range(3))
    size = st.integers(-(2**120), 2**120)
    a, b = (
        np.array(data.draw(st.lists(size, min_size=k, max_size=k)), dtype=object).reshape(shape)
        for k, shape in ((m * r, (m, r)), (r * n, (r, n)))
    )
    moduli = Moduli(243, 4)
    found = moduli.join(np.matmul(moduli.split(a), moduli.split(b)), 32)
    true = a.dot(b) if r else np.zeros((m, n), dtype=object)
    np.testing.assert_array_equal(found, true >> 32)


@pytest.mark.parametrize("chunk", [3, 8, 256])
def test_a_triangle_that_grows(chunk, monkeypatch):
    monkeypatch.setattr(residues, "_CHUNK", chunk)
    moduli = Moduli(896, 40)
    triangle, full = Triangle(moduli), np.zeros((30, 30), dtype=object)
    for seed, rows in enumerate((4, 1, 11, 2, 8)):
        at = triangle.rows
        new = integers((rows, at + rows), 420, seed)
        new[:, at:] = np.tril(new[:, at:])
        full[at : at + rows, : at + rows] = new
        triangle.append(new)
        here = full[: triangle.rows, : triangle.rows]
        values = integers((triangle.rows, 3), 440, seed)
        found = triangle.times(moduli.split(values))
        np.testing.assert_array_equal(moduli.join(found, 384), here.dot(values) >> 384)
        found = triangle.transposed_times(moduli.split(values))
        np.testing.assert_array_equal(moduli.join(found, 384), here.T.dot(values) >> 384)
