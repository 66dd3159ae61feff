"""Laws of the fold: how rows are cut, and who reads them, leaves no trace in the answer."""

import h5py
import numpy as np
import pytest
import zarr
from helpers import Counting, Cut, disturbed
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, DataError, NonFiniteError
from streamreg.scans.fold import fold
from streamreg.stats.moments import Moments


def table(n=3000, p=37, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-3, 4, p) + 100
    return x, x @ rng.standard_normal(p) + rng.standard_normal(n), rng.uniform(0.1, 3, n)


X, Y, W = table()


def state(source, **options):
    design = Design.of(source).with_target()
    total = fold(source, design, Moments(design.names), **options).total()
    return np.concatenate([total.cross.ravel(), *total.mean, [total.weight, total.log_weight], total.low, total.high])


@settings(max_examples=60, deadline=None)
@given(
    borders=st.lists(st.integers(1, len(X) - 1), max_size=12),
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=4),
    threads=st.sampled_from([1, 2, 4]),
    weighted=st.booleans(),
)
def test_any_cut_and_any_number_of_threads_gives_the_same_bits(borders, sizes, threads, weighted):
    source = sr.open((X, Y, W) if weighted else (X, Y))
    whole = state(source, threads=1)
    assert np.array_equal(state(Cut(source, borders, sizes), threads=threads), whole)


@pytest.mark.parametrize("size", [1, 7, 1000, 1024, 3000])
def test_batches_of_any_size_give_the_same_bits(size):
    batches = [(X[i : i + size], Y[i : i + size]) for i in range(0, len(X), size)]
    assert np.array_equal(state(sr.open(batches)), state(sr.open((X, Y))))
    assert np.array_equal(state(sr.open(iter(batches))), state(sr.open((X, Y))))


def test_every_format_gives_the_same_bits(tmp_path):
    both = np.column_stack([X, Y])
    np.save(tmp_path / "t.npy", both)
    names = [f"x{k}" for k in range(X.shape[1])]
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["plain"] = both
        file.create_dataset("chunked", data=both, chunks=(333, 10))
        file.create_dataset("gzip", data=both, chunks=(100, both.shape[1]), compression="gzip", shuffle=True)
        file["X"], file["y"] = X, Y
    zarr.create_array(tmp_path / "t.zarr", data=both, chunks=(257, 20))
    last = f"x{X.shape[1]}"
    expected = state(sr.open((X, Y)))
    sources = [
        sr.open(tmp_path / "t.npy", target=last),
        *(sr.open(tmp_path / "t.h5", x=name, target=last) for name in ("plain", "chunked", "gzip")),
        sr.open(tmp_path / "t.h5", x="X", target="y", columns=names),
        sr.open(tmp_path / "t.zarr", target=last),
    ]
    for source in sources:
        for threads in (1, 2, 4):
            assert np.array_equal(state(source, threads=threads), expected), (source, threads)


def test_a_fit_reads_every_row_once():
    source = Counting(sr.open((X, Y)))
    fit = sr.Linear(precision="float64").fit(source)
    assert fit.passes == 1
    assert (source.reads == 1).all()


def test_storage_types_are_one_table():
    whole = np.random.default_rng(1).integers(0, 2, (500, 4))
    y = whole @ [1.0, 2.0, 3.0, 4.0] + 0.5
    expected = sr.Linear().fit((whole.astype(float), y)).coef
    for dtype in "?bBhHiIlLefd":
        assert np.array_equal(sr.Linear().fit((whole.astype(dtype), y)).coef, expected), dtype


def test_a_source_that_changes_under_the_scan_is_refused(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, np.column_stack([X, Y]))
    source = sr.open(path, target="x37")
    with pytest.raises(ChangedError, match=r"t\.npy: was written to since it was opened"):
        sr.Linear().fit(disturbed(source, lambda: np.save(path, np.column_stack([X, Y])[:, ::-1])))
    marks = iter(["before", "after"])
    memory = sr.open((X, Y))
    memory.fingerprint = lambda: next(marks)
    with pytest.raises(ChangedError, match="changed while it was read"):
        sr.Linear().fit(memory)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (1234, 7), (2999, 37)])
def test_bad_values_are_located(bad, row, column):
    both = np.column_stack([X, Y])
    both[row, column] = bad
    name = "y" if column == 37 else f"x{column}"
    with pytest.raises(NonFiniteError, match=rf"row {row:,} \(from 0\), column '{name}'"):
        sr.Linear().fit((both[:, :37], both[:, 37]))


def test_only_columns_in_use_are_looked_at():
    x, y = X[:, :4].copy(), Y.copy()
    x[7, 3] = np.nan
    used = sr.Linear(features=("x0", "x1"))  # beside a target in the matrix, or apart: as many as in the matrix
    expected = sr.Linear().fit((x[:, :2], x[:, 2])).coef
    assert np.array_equal(used.fit(sr.open(x, target="x2")).coef, expected)
    assert np.array_equal(used.fit(sr.open(x[:, :3], target="x2")).coef, expected)
    y[8] = np.nan
    with pytest.raises(NonFiniteError, match=r"row 8 .*'y'"):
        used.fit((x[:, :3], y))
    x[9, 2] = np.inf
    with pytest.raises(NonFiniteError, match=r"row 9 .*'x2'"):
        used.fit(sr.open(x[:, :3], target="x2"))


def test_missing_rows_are_left_out_and_counted():
    x, y = X.copy(), Y.copy()
    x[[3, 1500]] = np.nan
    y[2999] = np.nan
    keep = np.setdiff1d(np.arange(len(x)), [3, 1500, 2999])
    fit = sr.Linear(missing="drop").fit((x, y))
    assert (fit.n, fit.n_read, fit.n_missing) == (2997, 3000, 3)
    np.testing.assert_allclose(fit.coef, sr.Linear().fit((x[keep], y[keep])).coef, rtol=1e-9)
    assert "3 rows with missing values" in fit.summary()
    x[5, 5] = np.inf
    with pytest.raises(NonFiniteError, match=r"row 5 .*infinity"):
        sr.Linear(missing="drop").fit((x, y))


def test_rows_of_zero_weight_are_absent_even_if_they_hold_nan():
    x, y, w = X.copy(), Y.copy(), W.copy()
    w[::3] = 0
    x[0], y[3] = np.nan, np.inf
    keep = w > 0
    fit = sr.Linear().fit((x, y, w))
    assert (fit.n, fit.n_read, fit.n_missing) == (2000, 3000, 0)
    np.testing.assert_allclose(fit.coef, sr.Linear().fit((x[keep], y[keep], w[keep])).coef, rtol=1e-10)
    with pytest.raises(DataError, match="no rows with a positive weight"):
        sr.Linear().fit((X, Y, np.zeros(len(Y))))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_located(bad):
    w = W.copy()
    w[77] = bad
    with pytest.raises(DataError, match=r"row 77 .*weights are finite and not negative"):
        sr.Linear().fit((X, Y, w))


def test_threads_keep_order_and_raise_the_first_error():
    assert list(Threads(4).map(lambda k: k * k, range(50))) == [k * k for k in range(50)]

    def picky(k):
        if k in (7, 9):
            raise ValueError(str(k))
        return k

    seen = []
    with pytest.raises(ValueError, match="7"):
        seen.extend(Threads(4).map(picky, range(50)))
    assert list(Threads(2).map(picky, [])) == []


def test_merge_of_two_scans_is_a_scan_of_both():
    parts = [Moments([*(f"x{k}" for k in range(37)), "y"]) for _ in range(3)]
    cuts = [(0, 700), (700, 2500), (2500, 3000)]
    for k, (a, b) in enumerate(cuts):
        source = sr.open((X[a:b], Y[a:b]))
        parts[k] = sr.scan(source)
    whole = sr.Linear(precision="float64").fit((X, Y))
    merged = parts[0].fresh()
    for part in parts:
        merged.merge(part)
    fit = sr.Linear().fit(merged)
    assert fit.n == 3000
    np.testing.assert_array_less(np.abs(fit.coef - whole.coef), 2 * 10.0**-whole.digits * np.abs(whole.coef))
    np.testing.assert_allclose(fit.std_errors, whole.std_errors, rtol=10.0**-whole.digits_se)


def test_moments_survive_as_arrays():
    moments = sr.scan(sr.open((X, Y, W)))
    again = Moments.from_arrays(moments.to_arrays())
    first, second = sr.Linear().fit(moments), sr.Linear().fit(again)
    assert np.array_equal(first.coef, second.coef)
    assert np.array_equal(first.std_errors, second.std_errors)
    assert first.log_likelihood == second.log_likelihood
