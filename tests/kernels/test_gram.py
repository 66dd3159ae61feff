"""Every kernel against exact arithmetic, against the others, and at the borders of memory."""

import ctypes
import mmap
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import streamreg as sr
from streamreg.design.design import Design
from streamreg.errors import DataError
from streamreg.kernels import gram
from streamreg.scans.fold import fold
from streamreg.stats import chan
from streamreg.stats.moments import Moments

COMPILED = [name for name in gram._NAMES if name]
KERNELS = [*COMPILED, "blas"]
SIZES = [1, 7, 8, 9, 24, 25, 100, 101, 257]


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    monkeypatch.setattr(gram, "_KERNEL", gram._choose(request.param, gram._NAMES))
    return request.param


@pytest.fixture(params=COMPILED)
def compiled(request, monkeypatch):
    monkeypatch.setattr(gram, "_KERNEL", gram._choose(request.param, gram._NAMES))
    return request.param


def moments(x, y=None, weight=None):
    parts = [x] if y is None else [x, y[:, None]]
    q = x.shape[1] + (y is not None)
    return chan.whole(chan.of_block(parts, weight, np.empty((gram.room(len(x), q), q))))


def values(node):
    return [node.cross, *node.mean, node.low, node.high, node.exponent, node.weight, node.log_weight]


def same_bits(a, b):
    return all(np.array_equal(u, v) for u, v in zip(values(a), values(b), strict=True))


def exact(z, weight=None):
    """Return the total weight, means and centred cross-products of rows, as fractions."""
    rows = [[Fraction(float(v)) for v in row] for row in z]
    w = [Fraction(1)] * len(rows) if weight is None else [Fraction(float(v)) for v in weight]
    total, q = sum(w), len(rows[0])
    mean = [sum(wk * r[j] for wk, r in zip(w, rows, strict=True)) / total for j in range(q)]
    rows = [[v - c for v, c in zip(r, mean, strict=True)] for r in rows]
    cross = [[sum(wk * r[i] * r[j] for wk, r in zip(w, rows, strict=True)) for j in range(q)] for i in range(q)]
    return mean, cross


def check(node, mean, cross, digits=1e-13):
    size = np.sqrt([float(cross[j][j]) for j in range(len(mean))])
    wrong = np.array(
        [[float(Fraction(v) - e) for v, e in zip(*rows, strict=True)] for rows in zip(node.cross, cross, strict=True)]
    )
    assert (np.abs(wrong) <= digits * np.outer(size, size)).all()
    wrong = np.array([float(Fraction(h) + Fraction(low) - e) for h, low, e in zip(*node.mean, mean, strict=True)])
    assert (np.abs(wrong) <= 1e-15 * size + 1e-30 * np.abs(node.mean[0])).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("m", "q"), [(1, 1), (1, 9), (2, 2), (5, 7), (13, 8), (129, 3), (11, 25)])
def test_moments_are_those_of_exact_arithmetic(kernel, m, q, weighted):
    rng = np.random.default_rng(m * q)
    z = rng.standard_normal((m, q)) * 10.0 ** rng.integers(-6, 7, q) + 10.0 ** rng.integers(-3, 9, q)
    weight = 10.0 ** rng.uniform(-3, 3, m) if weighted else None
    for node in [moments(z, weight=weight)] + ([moments(z[:, :-1], z[:, -1], weight)] if q > 1 else []):
        check(node, *exact(z, weight), 1e-8 if m == 1 else 1e-13)
        assert np.array_equal(node.low, z.min(axis=0))
        assert np.array_equal(node.high, z.max(axis=0))


@pytest.mark.parametrize("q", SIZES)
@pytest.mark.parametrize("m", [1, 2, 127, 128, 129, 700])
def test_sums_of_whole_numbers(kernel, m, q):
    z = np.random.default_rng(q).integers(-1000, 1000, (m, q))
    node = moments(z[:, :-1].astype(float), z[:, -1].astype(float)) if q > 1 else moments(z.astype(float))
    sums = z.sum(axis=0)
    cross = (m * (z.T @ z) - np.outer(sums, sums)) / m  # exact but for the division
    np.testing.assert_allclose(node.cross, cross, rtol=1e-13, atol=1e-13 * m * 1e6)
    np.testing.assert_allclose(node.mean[0] + node.mean[1], sums / m, rtol=1e-15, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("q", SIZES)
def test_kernels_agree_to_rounding(monkeypatch, q, weighted):
    rng = np.random.default_rng(q)
    z, weight = rng.standard_normal((333, q)) + 1e4, rng.uniform(0.1, 3, 333) if weighted else None
    nodes = []
    for name in KERNELS:
        monkeypatch.setattr(gram, "_KERNEL", gram._choose(name, gram._NAMES))
        nodes.append(moments(z, weight=weight))
    for node in nodes[1:]:
        np.testing.assert_allclose(node.cross, nodes[0].cross, atol=1e-11)
        np.testing.assert_allclose(node.mean[0], nodes[0].mean[0], rtol=1e-15)


def layouts(z):
    """Yield the same numbers in many layouts."""
    wide = np.zeros((len(z), 2 * z.shape[1] + 3), z.dtype)
    wide[:, 2 : 2 + z.shape[1]] = z
    yield "rows of a wider table", wide[:, 2 : 2 + z.shape[1]]
    spread = np.full((2 * len(z), 2 * z.shape[1]), np.nan, z.dtype)
    spread[::2, ::2] = z
    yield "every other row and column", spread[::2, ::2]
    yield "columns first", np.asfortranarray(z)
    yield "upside down", np.ascontiguousarray(z[::-1])[::-1]
    raw = np.zeros(z.nbytes + 1, np.uint8)
    shifted = raw[1:].view(z.dtype).reshape(z.shape)
    shifted[...] = z
    yield "at an odd address", shifted
    fixed = z.copy()
    fixed.setflags(write=False)
    yield "read-only", fixed
    yield "the byte order spelt out", z.view(z.dtype.newbyteorder("<" if sys.byteorder == "little" else ">"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("q", [1, 7, 8, 37, 100])
def test_layout_leaves_no_trace(compiled, q, dtype, weighted):
    rng = np.random.default_rng(q)
    z = rng.standard_normal((150, q + 1)).round(2).astype(dtype)
    weight = rng.uniform(0.1, 3, 150) if weighted else None
    expected = moments(z[:, :-1].astype(float), z[:, -1].astype(float), weight=weight)
    for name, same in layouts(z):
        assert same_bits(moments(same[:, :-1], same[:, -1], weight=weight), expected), name


@pytest.mark.parametrize("dtype", "?bBhHiIlLqQefd")
def test_type_leaves_no_trace(compiled, dtype):
    z = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, (150, 10))
    expected = moments(z[:, :-1].astype(float), z[:, -1].astype(float))
    typed = z.astype(dtype)
    assert gram.block([typed], None, 150.0, np.empty((gram.room(150, 10), 10))) is not None
    for same in (typed, np.asfortranarray(typed), np.repeat(typed, 2, axis=1)[:, ::2]):
        assert same_bits(moments(same[:, :-1], same[:, -1]), expected)


def test_float32_is_multiplied_in_float64(kernel):
    z = np.random.default_rng(0).standard_normal((300, 20)).astype(np.float32)
    check(moments(z), *exact(z.astype(float)))


@pytest.mark.parametrize("weighted", [False, True])
def test_constant_columns_have_no_variance_at_all(kernel, weighted):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1000, 12))
    z[:, 3], z[:, 11] = 0.1, 1e15 / 3
    node = moments(z, weight=rng.uniform(0.1, 3, 1000) if weighted else None)
    assert not node.cross[[3, 11]].any()
    assert not node.cross[:, [3, 11]].any()
    assert np.array_equal(node.mean[0][[3, 11]], [0.1, 1e15 / 3])


@pytest.mark.parametrize("offset", [1e6, 1e12, 2.0**52])
def test_an_offset_costs_no_digits(kernel, offset):
    z = np.rint(np.random.default_rng(0).standard_normal((60, 5)) * 100) + offset
    check(moments(z), *exact(z), 1e-14)


def test_a_heavy_row_does_not_drown_the_others(kernel):
    rng = np.random.default_rng(0)
    z, weight = rng.standard_normal((40, 4)) + 1e6, np.ones(40)
    weight[7], z[7] = 1e12, 3.0
    check(moments(z, weight=weight), *exact(z, weight), 1e-12)


@pytest.mark.parametrize(
    "z",
    [
        np.array([[1e200, 1.0], [-1e200, 2.0]]),
        np.array([[1e-200, 1.0], [-1e-200, 2.0]]),
        np.array([[2**60 + 1, 3], [2**60 + 4, 5]]),
        np.array([[2**63 + 1, 3], [2**63 + 4, 5]], dtype=np.uint64),
        np.array([[1.5, 2.0], [3.0, 4.0]], dtype=">f8"),
    ],
    ids=["large", "small", "long integers", "longer ones", "swapped"],
)
def test_what_the_compiled_kernel_leaves_to_numpy(compiled, monkeypatch, z):
    assert gram.block([z], None, 2.0, np.empty((gram.room(2, 2), 2))) is None
    node = moments(z)
    monkeypatch.setattr(gram, "_KERNEL", None)
    assert same_bits(node, moments(z))


@pytest.mark.parametrize("bad", [1e299, -1e299])
def test_values_beyond_all_scales_are_refused(kernel, bad):
    with pytest.raises(DataError, match="beyond 1e298"):
        moments(np.array([[1.0, bad], [2.0, 3.0]]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_what_is_not_finite_is_seen_wherever_it_is(kernel, bad, dtype):
    for shape in ((1, 1), (3, 9), (40, 33)):
        z = np.ones(shape, dtype)
        assert gram.finite(z)
        wide = np.full((shape[0], shape[1] + 4), np.nan, dtype)
        wide[:, 1:-3] = 1.0
        views = [z, np.asfortranarray(z), wide[:, 1:-3], np.repeat(z, 2, axis=1)[:, ::2], z[::-1], z[:, 0]]
        assert all(gram.finite(v) for v in views)
        for i in np.ndindex(shape):
            z[i] = bad
            assert not gram.finite(z)
            assert not gram.finite(np.asfortranarray(z))
            assert not gram.finite(z[::-1])
            assert not gram.finite(np.repeat(z, 2, axis=1)[:, ::2])
            assert gram.finite(z[:, 0]) == (i[1] != 0)
            z[i] = 1.0
    assert gram.finite(np.empty((0, 5), dtype))
    assert gram.finite(np.ones((2, 2), dtype=np.int64))


@pytest.mark.parametrize("m", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("p", [1, 7, 8, 9, 33])
def test_columns_become_rows(compiled, m, p):
    rng = np.random.default_rng(m + p)
    kinds = ["f8", "f4", "i1", "i2", "i4", "u1", "u2", "u4", "?"]
    for some in (["f8"], ["f4"], kinds):
        held = [(rng.normal(size=m) * 100).astype(some[j % len(some)]) for j in range(p)]
        made = gram.rows(held)
        if some is kinds and p == 1:
            held, made = [held[0].astype("f4")], gram.rows([held[0].astype("f4")])
        assert made is not None
        assert made[1]
        np.testing.assert_array_equal(made[0], np.column_stack([column.astype(made[0].dtype) for column in held]))
        assert made[0].dtype == (np.float32 if {column.dtype for column in held} == {np.dtype("f4")} else np.float64)
        for bad in (np.nan, np.inf, -np.inf):
            j, i = int(rng.integers(p)) // len(some) * len(some), int(rng.integers(m))
            before, held[j][i] = held[j][i], bad
            assert not gram.rows(held)[1]
            held[j][i] = before


def test_columns_that_take_more_care_are_left_to_others(kernel):
    many = np.arange(6.0)
    for held in ([many.astype("i8"), many], [many.astype("i4")], [many.astype("f2"), many], [many.astype(">f8")]):
        assert gram.rows(held) is None
    assert gram.rows([many[::2], many[:3]]) is None
    if kernel != "blas":
        with pytest.raises(ValueError, match="as long as out"):
            gram.rows([many, many[:3]])
        with pytest.raises(ValueError, match="out of shape"):
            gram._gram.rows(gram._KERNEL, (many,), np.empty((6, 2)))


@pytest.mark.skipif(not hasattr(os, "sysconf") or sys.platform != "linux", reason="protects a page")
@pytest.mark.parametrize("q", [1, 2, 7, 8, 9, 23, 24, 25, 31])
def test_nothing_is_read_beyond_the_last_number(compiled, q):
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 4 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(base + 3 * page), page, 0) == 0
    whole = np.frombuffer(memory, dtype=np.float64)
    for m in (1, 2, 3, 11):
        z = whole[3 * page // 8 - m * q : 3 * page // 8].reshape(m, q)
        z[...] = np.random.default_rng(m).standard_normal((m, q))
        assert same_bits(moments(z), moments(z.copy()))
        assert gram.finite(z)
        if q > 1:
            assert same_bits(moments(z[:, :-1], z[:, -1]), moments(z[:, :-1].copy(), z[:, -1].copy()))
            assert same_bits(moments(z[:, 1:], z[:, 0]), moments(z[:, 1:].copy(), z[:, 0].copy()))


def test_nothing_is_written_beyond_the_result(compiled):
    for m, q in ((1, 1), (3, 7), (130, 9), (300, 100)):
        z, size = np.random.default_rng(0).standard_normal((m, q)), gram._gram.room(m, q)
        work = np.full(size + 8, 7.25)
        outs = [np.full(n + 8, 7.25) for n in (q, q, q, q, q * q)]
        views = [o[:-8] for o in outs]
        assert gram._gram.block(gram._KERNEL, z, None, None, float(m), work[:-8], *views)
        assert all((o[-8:] == 7.25).all() for o in (work, *outs))
        with pytest.raises(ValueError, match="at least"):
            gram._gram.block(gram._KERNEL, z, None, None, float(m), work[: size - 1], *views)
        with pytest.raises(ValueError, match="at least"):
            gram._gram.block(gram._KERNEL, z, None, None, float(m), work, *views[:-1], views[-1][:-1])


def test_a_merge_is_that_of_exact_arithmetic(kernel):
    rng = np.random.default_rng(3)
    z = rng.standard_normal((60, 9)) * 10.0 ** rng.integers(-4, 5, 9) + 1e5
    z[:17] += 3.0
    weight = rng.uniform(0.1, 3, 60)
    for w in (None, weight):
        a, b = (moments(z[rows], weight=None if w is None else w[rows]) for rows in (slice(17), slice(17, 60)))
        kept = chan.copy(b)
        node = chan.whole(chan.merge(a, b))
        check(node, *exact(z, w))
        assert same_bits(b, kept)
        assert node.weight == pytest.approx(60.0 if w is None else w.sum(), rel=1e-15)
        assert np.array_equal(node.low, z.min(axis=0))


def test_a_merge_across_scales_takes_the_general_path(kernel):
    a, b = moments(np.array([[1.0], [2.0]])), moments(np.array([[1e200], [2e200]]))
    node = chan.merge(a, b)
    z = [Fraction(v) for v in (1.0, 2.0, 1e200, 2e200)]
    exact_cross = sum(v * v for v in z) - sum(z) ** 2 / 4
    found = Fraction(float(node.cross[0, 0])) * Fraction(2) ** int(2 * node.exponent[0])
    assert float(found / exact_cross) == pytest.approx(1.0, rel=1e-15)


def test_a_block_of_no_columns_beside_a_target(kernel):
    y = np.array([1.0, 2.0, 4.0])
    node = moments(np.empty((3, 0)), y)
    assert node.cross[0, 0] == pytest.approx(np.var(y) * 3)


@pytest.mark.parametrize("q", [3, 40])
def test_cuts_and_threads_leave_no_trace(kernel, q):
    rng = np.random.default_rng(q)
    x, y, w = rng.standard_normal((9000, q)) + 7, rng.standard_normal(9000), rng.uniform(0, 2, 9000)
    x32 = x.astype(np.float32)
    # NumPy sums columns that are stored one after the other in another order.
    turned = [] if kernel == "blas" else [(np.asfortranarray(x), y)]
    for data in ((x, y), (x, y, w), (x32, y), *turned):
        names = Design.of(sr.open(data)).names
        nodes = [
            fold(source, Design.of(source), Moments(names), threads=threads).total()
            for source in (
                sr.open(data),
                sr.open([tuple(part[k : k + 777] for part in data) for k in range(0, 9000, 777)]),
            )
            for threads in (1, 2, 3)
        ]
        assert all(same_bits(node, nodes[0]) for node in nodes[1:])


SCRIPT = """
import sys
{before}
import numpy as np, streamreg as sr
from streamreg.kernels import gram
rng = np.random.default_rng(0)
x = rng.standard_normal((5000, 30)); y = x @ np.arange(30.0) + rng.standard_normal(5000)
print(gram.describe()); print(*sr.Linear().fit((x, y)).coef)
"""


def run(kernel=None, before=""):
    environment = {k: v for k, v in os.environ.items() if k != gram.VARIABLE} | (
        {gram.VARIABLE: kernel} if kernel else {}
    )
    code = SCRIPT.format(before=before)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_a_variable_of_the_environment_chooses():
    fits = {}
    for name in KERNELS:
        done = run(name)
        assert done.returncode == 0, done.stderr
        label, numbers = done.stdout.splitlines()
        assert (
            label == ("BLAS" if name == "blas" else f"compiled, {gram._LABELS[name]}") + " (chosen by STREAMREG_KERNEL)"
        )
        fits[name] = np.array(numbers.split(), dtype=float)
        np.testing.assert_allclose(fits[name], fits[KERNELS[0]], rtol=1e-11, atol=1e-12)


def test_without_a_wish_the_best_runs():
    assert run().stdout.startswith(
        f"compiled, {gram._LABELS[COMPILED[-1]]} (the fastest" if COMPILED else "BLAS (the compiled"
    )


def test_a_kernel_that_is_not_there_is_refused():
    done = run("turbo")
    assert done.returncode == 1
    assert "STREAMREG_KERNEL=turbo: there is no such kernel on this machine" in done.stderr
    assert "choose among blas" in done.stderr


def test_without_a_compiler_blas_does_it():
    before = "sys.modules['streamreg.kernels._gram'] = None"
    done = run(before=before)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BLAS (the compiled kernel is not built: ")
    assert "is not built" in run("portable", before).stderr
    assert run("blas", before).stdout.startswith("BLAS (chosen by")
