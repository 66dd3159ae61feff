"""Scans as files: saved, loaded, merged, appended to; and refused when they are not what they should be."""

import json
from itertools import pairwise

import h5py
import numpy as np
import pytest
from helpers import Counting, Cut
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.errors import ChangedError, CorruptError, DataError, NotFound, UsageError
from streamreg.stats.grouped import Grouped
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments

RNG = np.random.default_rng(11)
N, P = 4000, 6
X = RNG.standard_normal((N, P)) * [1, 2, 3, 10, 0.1, 1] + [0, 5, 1e3, 0, 0, 1]
Y = X @ np.arange(1.0, P + 1) + RNG.standard_normal(N)
W = RNG.integers(0, 4, N).astype(float)
NAMES = [f"x{k}" for k in range(P)]


def same(a, b):
    """Say whether two fits have the same bits."""
    return np.array_equal(a.coef, b.coef) and a.intercept == b.intercept and np.array_equal(a.std_errors, b.std_errors)


@pytest.mark.parametrize("precision", ["float64", "exact"])
@pytest.mark.parametrize("apart", [{}, {"folds": 5}, {"blocks": 7}])
def test_what_is_loaded_is_what_was_saved(tmp_path, precision, apart):
    path = tmp_path / "t.moments"
    state = sr.scan((X, Y, W), precision=precision, **apart)
    state.save(path)
    again = sr.load(path)
    assert type(again) is type(state)
    assert again.record == state.record
    assert again.counts() == state.counts() == {"n": int((W > 0).sum()), "n_read": N, "n_missing": 0}
    assert again.target == "y"
    assert same(sr.Linear().fit(again), sr.Linear().fit(state))
    assert same(sr.Linear().fit(path), sr.Linear().fit(state))
    if apart:
        for key, part in sr.folds(path).items():
            assert same(sr.Linear().fit(part), sr.Linear().fit(state.groups[key]))


def test_the_record_says_where_the_rows_came_from(tmp_path):
    x = X.copy()
    x[3, 2] = np.nan
    state = sr.scan((x, Y, W), missing="drop", powers={"x0": 2}, folds=3)
    (part,) = state.record.parts
    assert (part.label, part.rows, part.missing, part.weightless) == ("array", N, int(W[3] > 0), int((W == 0).sum()))
    assert part.version == sr.__version__
    assert state.record.weights == "weight"
    assert state.record.by == "folds 3 0"
    assert json.loads(json.dumps(state.record.to_dict()))["missing"] == "drop"


def test_a_target_is_remembered_or_asked_for(tmp_path):
    both = np.column_stack([X, Y])
    sr.scan(sr.open(both), target="x1").save(tmp_path / "with.moments")
    sr.scan(both).save(tmp_path / "without.moments")
    fit = sr.Linear().fit(tmp_path / "with.moments")
    assert fit.target == "x1"
    with pytest.raises(UsageError, match="no target of their own; say which column"):
        sr.Linear().fit(tmp_path / "without.moments")
    other = sr.Linear(target="x1").fit(tmp_path / "without.moments")
    np.testing.assert_allclose(other.coef, fit.coef, rtol=1e-10)


def test_a_hundred_columns_and_ten_folds_fit_in_a_megabyte(tmp_path):
    x = RNG.standard_normal((3000, 100))
    for options in ({}, {"folds": 10}):
        sr.scan((x, x.sum(1)), **options).save(tmp_path / "t.moments")
        assert (tmp_path / "t.moments").stat().st_size < 10**6


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    path = tmp_path / "t.moments"
    sr.scan((X, Y), folds=3).save(path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptError, match=r"t\.moments"):
            sr.load(path)
    expected = sr.Linear().fit(sr.scan((X, Y), folds=3))
    for at in range(30, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            state = sr.load(path)
        except CorruptError:
            continue
        assert same(sr.Linear().fit(state), expected)  # some bytes of an archive mean nothing
    np.savez(tmp_path / "foreign.moments.npz", a=X)
    with pytest.raises(CorruptError, match=r"foreign\.moments\.npz"):
        sr.load(tmp_path / "foreign.moments.npz")
    sr.Linear().fit((X, Y)).save(tmp_path / "fit.moments")
    assert isinstance(sr.load(tmp_path / "fit.moments"), sr.FitResult)  # the file says what it holds
    with pytest.raises(CorruptError, match="holds a saved fit, not a scan"):
        sr.Linear().fit(tmp_path / "fit.moments")
    with pytest.raises(NotFound, match="no such file"):
        sr.load(tmp_path / "none.moments")


def test_a_number_changed_with_its_archive_mended_is_noticed(tmp_path):
    path = tmp_path / "t.moments"
    sr.scan((X, Y)).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["state.cross"] = arrays["state.cross"] * 2
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(CorruptError, match="checksum"):
        sr.load(path)


def test_files_of_a_newer_streamreg_are_refused(tmp_path):
    path = tmp_path / "t.moments"
    sr.scan((X, Y)).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["meta"] = np.array(json.dumps(json.loads(str(arrays["meta"])) | {"protocol": 99}))
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(CorruptError, match="newer streamreg"):
        sr.load(path)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, N - 1), min_size=2, max_size=4, unique=True), split=st.integers(1, 3))
def test_merging_is_associative(cuts, split):
    borders = [0, *sorted(cuts), N]
    pieces = [(X[a:b], Y[a:b], W[a:b] + 1) for a, b in pairwise(borders)]
    for precision, tolerance in (("exact", 0), ("float64", 1e-13)):
        states = [sr.scan(piece, precision=precision) for piece in pieces]
        split = min(split, len(states) - 1)
        left = sr.merge(*states)
        right = sr.merge(sr.merge(*states[:split]), sr.merge(*states[split:]))
        assert left.n == right.n == N
        assert [p.rows for p in left.record.parts] == [len(piece[0]) for piece in pieces]
        a, b = (state.problem("y") for state in (left, right))
        if precision == "exact":
            assert same(sr.Linear().fit(left), sr.Linear().fit(right))
            assert np.array_equal(a.mean, b.mean)
        else:
            size = np.sqrt(np.outer(np.diag(a.cross), np.diag(a.cross)))
            assert (np.abs(a.cross - b.cross) / size).max() < tolerance
            np.testing.assert_allclose(a.mean[0], b.mean[0], rtol=tolerance)


def test_what_does_not_merge_is_refused_with_the_reason(tmp_path):
    a = sr.scan((X, Y))
    b = sr.scan(sr.open((X[:, :5], Y)))
    a.save(tmp_path / "a.moments")
    b.save(tmp_path / "b.moments")
    with pytest.raises(DataError, match=r"a\.moments and b\.moments do not merge: a\.moments alone has 'x5'"):
        sr.merge(tmp_path / "a.moments", tmp_path / "b.moments")
    with pytest.raises(DataError, match="another order"):
        sr.merge(a, sr.scan(sr.open((X[:, ::-1], Y), columns=NAMES[::-1])))
    with pytest.raises(DataError, match="weighted not at all, the other by 'weight'"):
        sr.merge(a, sr.scan((X, Y, W)))
    with pytest.raises(DataError, match="one holds Moments, the other IntegerMoments"):
        sr.merge(a, sr.scan((X, Y), precision="exact"))
    with pytest.raises(DataError, match="one holds Moments, the other groups of Moments"):
        sr.merge(a, sr.scan((X, Y), folds=3))
    with pytest.raises(DataError, match="grouped in different ways"):
        sr.merge(sr.scan((X[:99], Y[:99]), folds=4), sr.scan((X, Y), folds=3))
    with pytest.raises(DataError, match="would count twice"):
        sr.merge(a, a)


def test_blocks_of_two_scans_stay_apart():
    both = sr.merge(sr.scan((X[:900], Y[:900]), blocks=4), sr.scan((X[900:], Y[900:]), blocks=5))
    assert sorted(both.groups) == list(range(9))
    assert both.n == N


def grown(path, rows):
    with h5py.File(path, "a") as file:
        if "X" not in file:
            file.create_dataset("X", data=X[:rows], maxshape=(None, P), chunks=(100, P))
            file.create_dataset("y", data=Y[:rows], maxshape=(None,), chunks=(100,))
        for name, values in (("X", X), ("y", Y)):
            old = len(file[name])
            file[name].resize(rows, axis=0)
            file[name][old:] = values[old:rows]
    return sr.open(path, x="X", target="y")


@pytest.mark.parametrize("options", [{}, {"folds": 4}, {"blocks": 5}, {"precision": "exact"}])
@pytest.mark.parametrize("first", [1, 1000, 2048, 3999])
def test_appending_reads_the_new_rows_only(tmp_path, options, first):
    if options.get("blocks", 0) > first:
        return
    path = tmp_path / "t.h5"
    sr.scan(grown(path, first), **options).save(tmp_path / "t.moments")
    source = Counting(grown(path, N))
    state = sr.append(tmp_path / "t.moments", source)
    assert (source.reads[first:] >= 1).all()
    whole = sr.scan(grown(path, N), **options)
    assert state.counts() == whole.counts()
    np.testing.assert_allclose(sr.Linear().fit(state).coef, sr.Linear().fit(whole).coef, rtol=1e-10)
    if options.get("precision") == "exact":
        assert same(sr.Linear().fit(state), sr.Linear().fit(whole))
    if "folds" in options:
        for key, part in sr.folds(whole).items():
            assert part.n == state.groups[key].n
    assert [(p.label, p.rows) for p in state.record.parts] == [(p.label, p.rows) for p in whole.record.parts]
    assert sr.append(state, grown(path, N)) is state


def test_appending_reads_few_old_rows():
    cuts = list(range(200, N, 200))
    old, new = (Cut(sr.open((X[:n], Y[:n])), cuts, [100]) for n in (2000, N))
    state = sr.scan(old)
    source = Counting(new)
    state = sr.append(state, source)
    assert (source.reads[2000:] == 1).all()
    assert source.reads[:2000].sum() <= 17 * 200
    assert state.n == N


@pytest.mark.parametrize("row", [0, 10, 3000, 3999])
def test_changed_old_rows_are_refused(row):
    x = X.copy()
    old = sr.scan(Cut(sr.open((X[:3500], Y[:3500])), [1000, 2000, 3000], [500]))
    x[min(row, 3499)] += 1
    with pytest.raises(ChangedError, match="not those that were scanned"):
        sr.append(old, (x, Y))
    with pytest.raises(ChangedError, match="has 3,000 rows, and 3,500 were scanned"):
        sr.append(old, (X[:3000], Y[:3000]))


def test_what_cannot_be_appended_to(tmp_path):
    state = sr.scan((X[:100], Y[:100]))
    with pytest.raises(DataError, match=r"t\.h5.* is not among what was scanned"):
        sr.append(state, grown(tmp_path / "t.h5", 200))
    with pytest.raises(UsageError, match="do not say which rows"):
        sr.append(Moments(["a"]), (X, Y))
    with pytest.raises(NotFound, match="no column 'y'"):
        sr.append(state, X)


def test_what_moments_cannot_give_is_refused(tmp_path):
    state = sr.scan((X, Y))
    state.save(tmp_path / "t.moments")
    fit = sr.Linear().fit(state)
    for ask, words in [
        (lambda: sr.Linear(powers={"x0": 2}).fit(state), "powers are made from rows"),
        (lambda: sr.Linear(precision="exact").fit(state), "scan with precision='exact'"),
        (lambda: sr.Logistic().fit(state), "needs the rows, and moments hold none"),
        (lambda: sr.Logistic().fit(tmp_path / "t.moments"), "moments hold no rows"),
        (lambda: sr.Penalised().fit(sr.scan((X, Y), precision="exact")), "needs Moments .* not IntegerMoments"),
        (lambda: fit.predict(state), "moments hold no rows"),
        (lambda: sr.open(tmp_path / "t.moments"), r"holds moments, not rows; .*sr\.load"),
    ]:
        with pytest.raises(UsageError, match=words):
            ask()


def test_every_model_takes_moments_with_groups_and_their_files(tmp_path):
    state, grouped = sr.scan((X, Y)), sr.scan((X, Y), folds=4)
    grouped.save(tmp_path / "t.moments")
    for model in (
        sr.Linear(),
        sr.Linear(ridge=3.0),
        sr.Penalised(alphas=5),
        sr.Subsets(),
        sr.Constrained(restrictions="x0 = x1"),
    ):
        expected = np.asarray(model.fit(state).coef)
        for data in (grouped, tmp_path / "t.moments"):
            np.testing.assert_allclose(np.asarray(model.fit(data).coef), expected, rtol=1e-9, atol=1e-12)
    for folds in (grouped, tmp_path / "t.moments", sr.folds(grouped)):
        found = sr.Penalised(alphas=5).cross_validate(folds)
        assert found.fold_weights.sum() == N


def test_kinds():
    assert isinstance(sr.scan((X, Y)), Moments)
    assert isinstance(sr.scan((X, Y), precision="exact"), IntegerMoments)
    assert isinstance(sr.scan((X, Y), folds=2), Grouped)
    for wrong, words in [
        ({"folds": 1}, "two or more"),
        ({"blocks": 1}, "can be 2 to"),
        ({"folds": 3, "by": "x0"}, "folds and by both"),
    ]:
        with pytest.raises(UsageError, match=words):
            sr.scan((X, Y), **wrong)
    with pytest.raises(UsageError, match="not known"):
        sr.scan([(X, Y)], blocks=3)
    with pytest.raises(UsageError, match="kept no rows apart"):
        sr.folds(sr.scan((X, Y)))


def test_moments_go_to_files_by_whose_name_fits_know_them(tmp_path):
    with pytest.raises(UsageError, match=r"odd: moments go to a file whose name ends in \.moments"):
        sr.scan((X, Y)).save(tmp_path / "odd")
    assert not list(tmp_path.iterdir())
