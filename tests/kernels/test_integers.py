"""Sums of integers by every compiled kernel: the same as by NumPy's products, whatever the numbers."""

import numpy as np
import pytest

from streamreg.design.batch import Batch
from streamreg.kernels import gram, integers
from streamreg.kernels.slices import slice_bits
from streamreg.stats.integer_moments import Grid, IntegerMoments

COMPILED = [name for name in gram._NAMES if name]
SHAPES = [(1, 1), (5, 3), (127, 7), (128, 8), (129, 16), (300, 23), (512, 24), (200, 47), (300, 101)]
WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMMON = (*WHOLE, "normal", "float32", "by columns", "every other", "growing", "shrinking", "strays", "minus zero")
UNUSUAL = ("float16", "outlier", "wide", "any size", "units", "far units", "subnormal", "long")


def numbers(kind, m, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, q))
    match kind:
        case "float32" | "float16":
            return x.astype(kind)
        case "bool":
            return x > 0
        case _ if kind in WHOLE:
            return rng.integers(0 if kind[0] == "u" else -100, 100, (m, q)).astype(kind)
        case "long":
            return rng.integers(-(2**62), 2**62, (m, q))
        case "by columns":
            return np.asfortranarray(x)
        case "every other":
            return rng.standard_normal((2 * m, 2 * q))[::2, ::2]
        case "growing":  # one slice, two, three, and more than three
            x = np.round(8 * x)
            x[m // 4 :] += np.round(2.0**20 * rng.standard_normal((m - m // 4, q))) * 2.0**-24
            x[m // 2 :] = rng.standard_normal((m - m // 2, q))
            x[-3:] *= 2.0**-14
        case "shrinking":
            x[m // 3 :] = np.round(x[m // 3 :])
        case "strays":
            x *= np.where(rng.random((m, q)) < 0.02, 2.0**-15, 1.0)
        case "minus zero":
            x[rng.random((m, q)) < 0.3] = -0.0
        case "outlier":
            x[m // 2, q // 2] = 1e30
        case "wide":
            x *= 2.0 ** rng.integers(-30, 3, (m, q))
        case "any size":
            x *= 10.0 ** rng.integers(-300, 290, (m, q))
        case "units":
            x *= 2.0 ** rng.integers(-700, 700, q)
        case "far units":
            x *= 2.0 ** rng.choice([-1000, 1000], q)
        case "subnormal":
            x[::3, ::2] = 5e-324
            x[1::3] *= 2.0**300
    return x


def total(monkeypatch, name, x, y=None, rows=(512,), grid=None, weight=None):
    """The sums that one kernel finds."""
    monkeypatch.setattr(gram, "_KERNEL", gram._choose(name, gram._NAMES))
    state = IntegerMoments([f"x{k}" for k in range(x.shape[1] + (y is not None))], grid)
    start = 0
    while start < len(x):
        m = min(rows[start % len(rows)], len(x) - start, state.block_rows)
        part = slice(start, start + m)
        y_part, weights = (None if v is None else v[part] for v in (y, weight))
        state.update(Batch(x[part], y_part, weights, start, m))
        start += m
    return state


def same(a, b):
    """Whether two states hold the same integers, whatever the units that they are written in."""
    a, b = a.total(), b.total()
    common = np.minimum(a.exponent, b.exponent)
    left, right = (t.entries << np.add.outer(t.exponent - common, t.exponent - common) for t in (a, b))
    return np.array_equal(left, right)


@pytest.fixture(params=COMPILED)
def compiled(request):
    return request.param


@pytest.mark.parametrize("kind", [*COMMON, *UNUSUAL])
def test_the_same_sums_as_by_numpy(monkeypatch, kind):
    # A kind decides which way its numbers take, a shape where tiles and strips end: each kind meets every third shape.
    for m, q in SHAPES[(*COMMON, *UNUSUAL).index(kind) % 3 :: 3]:
        if kind in ("any size", "far units"):  # such rows go one by one through Python's integers
            m, q = min(m, 130), min(q, 9)
        x, y = numbers(kind, m, q), numbers(kind, m, 1, seed=1)[:, 0]
        both, alone = total(monkeypatch, "blas", x, y), total(monkeypatch, "blas", x)
        for name in COMPILED:
            assert same(total(monkeypatch, name, x, y), both), (name, m, q)
            assert same(total(monkeypatch, name, x, rows=(33, 190)), alone), (name, m, q)


WEIGHTS = {
    "counts": lambda rng, m: rng.integers(1, 5, m).astype(float),
    "any": lambda rng, m: rng.uniform(0.1, 1.0, m),
    "decades": lambda rng, m: 10.0 ** rng.uniform(-8, 8, m),
    "wild": lambda rng, m: 10.0 ** rng.uniform(-150, 150, m),
    "falling": lambda rng, m: 2.0 ** -np.linspace(0, 900, m),
}
WEIGHED = ["int8", "float32", "normal", "growing", "wide", "units", "subnormal", "outlier"]


@pytest.mark.parametrize("heavy", WEIGHTS)
@pytest.mark.parametrize("kind", WEIGHED)
def test_the_same_weighted_sums_as_by_numpy(monkeypatch, kind, heavy):
    # The widest, of more than one block, are slow by NumPy: every other pair meets them.
    wide = (WEIGHED.index(kind) + list(WEIGHTS).index(heavy)) % 2
    for m, q in ((1, 1), (127, 7), (520, 33) if wide else (300, 23)):
        x, y = numbers(kind, m, q), numbers(kind, m, 1, seed=1)[:, 0]
        weight = WEIGHTS[heavy](np.random.default_rng(2), m)
        expected = total(monkeypatch, "blas", x, y, weight=weight)
        for name in COMPILED:
            assert same(total(monkeypatch, name, x, y, weight=weight), expected), (name, m, q)


@pytest.mark.parametrize("kind", COMMON)
def test_common_numbers_stay_in_compiled_code(monkeypatch, compiled, kind):
    x = numbers(kind, 400, 30)
    state = total(monkeypatch, compiled, x)
    assert not state._sums._plain._lower
    products = state._sums._compiled
    slices, tiles = ([words is not None for words in way.lower] for way in (products.slices, products.tiles))
    if compiled == "amx":
        assert tiles[0]
        if kind not in ("strays", "growing"):
            assert slices == [False] * 4
        if kind in WHOLE:
            assert tiles == [True, False, False, False]
        if kind == "float32":
            assert not tiles[3]
    else:
        assert tiles == [False] * 4
        if kind in WHOLE:
            assert slices == [True, False, False, False]
        if kind == "float32":
            assert slices == [False, True, False, False]
        if kind == "growing":
            assert slices[2:] == [True, True]


def test_a_column_of_another_type(monkeypatch, compiled):
    x, y = numbers("float32", 300, 19), numbers("int16", 300, 1)[:, 0]
    assert same(total(monkeypatch, compiled, x, y), total(monkeypatch, "blas", x, y))


@pytest.mark.parametrize("q", [3, 20, 101])
def test_the_greatest_slices_do_not_round(monkeypatch, compiled, q):
    # Every slice of every number is about as great as it can be: sums over a run of rows come close to 2**53.
    state = IntegerMoments([f"x{k}" for k in range(q)])
    bits = slice_bits(state.block_rows)
    most = 2 ** (bits - 1)
    for value in (most - 2 + (most - 2) / 2**bits + most / 4**bits, float(most)):
        x = np.full((state.block_rows, q), value)
        found = total(monkeypatch, compiled, x, rows=(len(x),), grid=Grid(np.full(q, bits - 1)))
        assert not found._sums._plain._lower
        sums = found.total()
        whole = int(value * 4**bits) ** 2 * len(x)
        shift = np.add.outer(sums.exponent[1:], sums.exponent[1:]) + 4 * bits
        assert (sums.entries[1:, 1:] << shift == whole).all()


def test_many_blocks_fill_no_word_and_merge_in_any_order(monkeypatch, compiled):
    x = numbers("strays", 512, 20)
    once = total(monkeypatch, compiled, x, grid=Grid(np.full(20, 3)))
    parts = [total(monkeypatch, compiled, np.tile(x, (n, 1)), grid=Grid(np.full(20, 3))) for n in (1, 30, 33, 100)]
    products = parts[3]._sums._compiled
    assert products.tiles.upper[0] is not None if compiled == "amx" else products.slices.upper[2] is not None
    for part in parts[1:]:
        parts[0].merge(part)
    found, one = parts[0].total(), once.total()
    shift = np.add.outer(found.exponent - one.exponent, found.exponent - one.exponent)
    assert not shift.any()
    assert np.array_equal(found.entries, 164 * one.entries)


@pytest.mark.parametrize("heavy", [None, "any"])
def test_words_that_are_full_are_carried(monkeypatch, compiled, heavy):
    x = numbers("wide", 2000, 20)
    weight = None if heavy is None else WEIGHTS[heavy](np.random.default_rng(3), len(x))
    grid = Grid(np.full(20, 6))
    once = total(monkeypatch, compiled, x, grid=grid, weight=weight)
    for way, full in ((integers.Slices, 2), (integers.Tiles, 500), (integers.Wide, 500)):
        monkeypatch.setattr(way, "_RIPE", full)
    again = total(monkeypatch, compiled, x, grid=grid, weight=weight)
    again.merge(total(monkeypatch, compiled, x[:700], grid=grid, weight=None if heavy is None else weight[:700]))
    once.merge(total(monkeypatch, "blas", x[:700], grid=grid, weight=None if heavy is None else weight[:700]))
    assert same(once, again)


@pytest.mark.parametrize("digits", [3, 5, 7])
@pytest.mark.parametrize("q", [3, 20])
def test_the_greatest_digits_fit_their_sums(monkeypatch, compiled, digits, q):
    # Every digit is -128, which is the greatest in size, but for the first one.
    value = -sum((128.0 if s else 126.0) * 256.0**-s for s in range(digits))
    state = IntegerMoments([f"x{k}" for k in range(q)])
    x = np.full((state.block_rows, q), value)
    for weight in (None, np.full(len(x), -value)):
        sums = total(monkeypatch, compiled, x, rows=(len(x),), grid=Grid(np.full(q, 7)), weight=weight).total()
        power = 1 if weight is None else 8 * (digits - 1)
        unit = 16 * (digits - 1) + (0 if weight is None else power)
        whole = int(value * 256.0 ** (digits - 1)) ** 2 * len(x)
        whole *= 1 if weight is None else int(-value * 256.0 ** (digits - 1))
        shift = np.add.outer(sums.exponent[1:], sums.exponent[1:]) + unit
        assert (sums.entries[1:, 1:] * 2 ** (shift.astype(object) + 1000) == whole << 1000).all()


def test_states_of_different_kernels_merge(monkeypatch, compiled):
    x, grid = numbers("strays", 700, 20), Grid(np.full(20, 3))
    whole = total(monkeypatch, "blas", x, grid=grid)
    for other in [*COMPILED, "blas"]:
        merged = total(monkeypatch, compiled, x[:300], grid=grid)
        merged.merge(total(monkeypatch, other, x[300:], grid=grid))
        assert same(merged, whole)
        loaded = IntegerMoments.from_arrays(total(monkeypatch, compiled, x[:300], grid=grid).to_arrays())
        loaded.merge(total(monkeypatch, other, x[300:], grid=grid))
        assert same(loaded, whole)


def test_arguments_are_checked(compiled):
    kernel = gram._choose(compiled, gram._NAMES)
    room, width = gram._gram.integer_room(4)
    work, unit, none = np.empty(room), np.ones(4), (None,) * 4
    x, y = np.ones((5, 2)), np.ones(5)
    assert gram._gram.integers(kernel, x, y, unit, 23, work, none) == (0, 1)
    words = np.zeros((1, width, width), dtype=np.int64)
    assert gram._gram.integers(kernel, x, y, unit, 23, work, (words, None, None, None)) == (5, 0)
    assert words[0, 3, 0] == 5
    for wrong in (
        (kernel, x, y[:4], unit, 23, work, none),
        (kernel, y, y, unit, 23, work, none),
        (kernel, x, y, unit[:3], 23, work, none),
        (kernel, x, y, unit, 24, work, none),
        (kernel, x, y, unit, 23, work[1:], none),
        (kernel, x, y, unit, 23, work, (None, words, None, None)),
        (99, x, y, unit, 23, work, none),
    ):
        with pytest.raises(ValueError, match=r"expected|no such kernel"):
            gram._gram.integers(*wrong)


@pytest.mark.skipif("amx" not in COMPILED, reason="this processor has no tiles")
def test_arguments_of_tiles_are_checked():
    kernel = gram._choose("amx", gram._NAMES)
    (room, width), (more, _) = gram._gram.tile_room(4), gram._gram.wide_room(kernel, 4)
    work, unit, none = np.empty(max(room, more)), np.ones(4), (None,) * 4
    x, y = np.ones((5, 2)), np.ones(5)
    assert gram._gram.tiles(kernel, x, y, unit, 0, work, none) == (0, 1, 0)
    words = np.zeros((5, width, width), dtype=np.int64)
    assert gram._gram.tiles(kernel, x, y, unit, 0, work, (words, None, None, None)) == (5, 0, 0)
    assert words[0, 3, 0] == 5 << 16
    assert gram._gram.tiles(kernel, x + 2.0**-40, y, unit, 0, work, (words, None, None, None)) == (0, 3, 1)
    long = np.zeros((12, width, width), dtype=np.int64)
    assert gram._gram.wide(kernel, x, y, unit, 23, work, (long, None), np.full(5, 0.5)) == (5, 0)
    assert long[0, 3, 0] == 5 << 15
    for call, wrong in (
        ("tiles", (kernel, x, y, unit, 3, work, none)),
        ("tiles", (kernel, x, y, unit, 0, work[: room - 1], none)),
        ("tiles", (kernel, x, y, unit, 0, work, (words[:4], None, None, None))),
        ("tiles", (kernel - 1, x, y, unit, 0, work, none)),
        ("wide", (kernel, x, y, unit, 23, work, (long, None), np.ones(4))),
        ("wide", (kernel, x, y, unit, 23, work[: more - 1], (long, None))),
        ("wide", (kernel, x, y, unit, 23, work, (words, None))),
        ("wide", (kernel, x, y, unit, 24, work, (long, None))),
        ("wide", (99, x, y, unit, 23, work, (long, None))),
    ):
        with pytest.raises(ValueError, match=r"expected|no such kernel"):
            getattr(gram._gram, call)(*wrong)
