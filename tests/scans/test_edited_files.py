"""Saved scans and fits that were edited or made to harm are refused; none is fitted, and none ends in a traceback."""

import json
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.errors import CorruptError
from streamreg.persist import archive

RNG = np.random.default_rng(5)
X = RNG.standard_normal((900, 3)) + np.array([0, 5, 1e3])
Y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(900)
LOADERS = (sr.load, sr.FitResult.load, sr.PenaltyPath.load)


def _made(folder):
    """Return files of every kind, how each is read, and what is in it."""
    made = {}
    for name, options in (
        ("float64", {}),
        ("exact", {"precision": "exact"}),
        ("folds", {"folds": 3}),
        ("exact-folds", {"folds": 3, "precision": "exact"}),
    ):
        made[name] = (folder / f"{name}.moments", "scan", sr.load)
        sr.scan((X, Y), **options).save(made[name][0])
    made["fit"] = (folder / "fit.npz", "fit", sr.FitResult.load)
    sr.Linear(errors="HC1").fit((X, Y)).save(made["fit"][0])
    made["path"] = (folder / "path.npz", "penalty path", sr.PenaltyPath.load)
    sr.Penalised(alphas=4).fit((X, Y)).save(made["path"][0])
    return {name: (path, kind, read, archive.load(path, kind)) for name, (path, kind, read) in made.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return _made(tmp_path_factory.mktemp("made"))


KINDS = ("float64", "exact", "folds", "exact-folds", "fit", "path")


def _edited(made, name, change):
    """Write a file again after a change, with a checksum that is right."""
    path, kind, read, (values, arrays) = made[name]
    values, arrays = json.loads(json.dumps(values)), {n: a.copy() for n, a in arrays.items()}
    change(values, arrays)
    out = path.with_name("edited" + path.suffix)
    archive.write(out, kind, values, arrays)
    return lambda: read(out)


def _meta(arrays, **changes):
    arrays["state.meta"] = np.array(json.dumps(json.loads(str(arrays["state.meta"])) | changes))


EDITS = {
    "negative count": ("float64", lambda v, a: _meta(a, n=-3), "counts of rows"),
    "more used than read": ("float64", lambda v, a: _meta(a, n=901), "more than 900 rows read"),
    "count as text": ("float64", lambda v, a: _meta(a, n="900"), "counts of rows"),
    "same names": ("float64", lambda v, a: _meta(a, names=["x0", "x0", "x2", "y"]), "same name"),
    "nan": ("float64", lambda v, a: a["state.mean"].__setitem__((0, 0, 1), np.nan), "not finite"),
    "infinite": ("float64", lambda v, a: a["state.cross"].__setitem__((0, 1), np.inf), "not finite"),
    "negative weight": ("float64", lambda v, a: a["state.weight"].__setitem__((0, 0), -1.0), "sum of weights"),
    "negative square": ("float64", lambda v, a: a["state.cross"].__setitem__((0, 0), -1.0), "squares is negative"),
    "large product": ("float64", lambda v, a: a["state.cross"].__setitem__((0, 1), 1e9), "cross-product is above"),
    "exponent": ("float64", lambda v, a: a["state.exponent"].__setitem__((0, 1), 5), "a variance is above"),
    "large exponent": ("float64", lambda v, a: a["state.exponent"].__setitem__((0, 1), 2**40), "exponent is beyond"),
    "mean": ("float64", lambda v, a: a["state.mean"].__setitem__((0, 0, 1), 99.0), "outside its column's range"),
    "range": ("float64", lambda v, a: a["state.range"].__setitem__((0, 1, 1), -1e9), "above the greatest"),
    "place": ("float64", lambda v, a: a["state.place"].__setitem__((0, 0), -1), "no place"),
    "wide place": ("float64", lambda v, a: a["state.place"].__setitem__((0, 0), 10**6), "no place"),
    "columns": ("float64", lambda v, a: a.__setitem__("state.mean", a["state.mean"][..., :2]), "has shape"),
    "texts": ("float64", lambda v, a: a.__setitem__("state.cross", a["state.cross"].astype(str)), "of type"),
    "record": ("float64", lambda v, a: v["record"]["parts"][0].__setitem__("rows", 7), "not those of its record"),
    "statistic": ("float64", lambda v, a: v.__setitem__("statistic", "Other"), "no scan that streamreg knows"),
    "exact square": ("exact", lambda v, a: a["state.sums"].__setitem__((2, -1), 255), "squares|above"),
    "exact exponent": ("exact", lambda v, a: a["state.exponent"].__setitem__(1, 2**40), "exponent is beyond"),
    "exact short": ("exact", lambda v, a: a.__setitem__("state.sums", a["state.sums"][:-1]), "has shape"),
    "group": ("folds", lambda v, a: _meta(a, keys=[0, 1, 1]), "same key"),
    "group shapes": ("folds", lambda v, a: a["state.mean.shapes"].__setitem__((1, 0), -1), "shape is negative"),
    "huge shapes": ("folds", lambda v, a: a["state.mean.shapes"].__setitem__((1, 0), 2**60), "as their shapes say"),
    "group rows": ("exact-folds", lambda v, a: _meta(a, n=899), "other rows"),
    "coef": ("fit", lambda v, a: a.__setitem__("coef", a["coef"][:2]), "coef has shape"),
    "coef type": ("fit", lambda v, a: a.__setitem__("coef", a["coef"].astype(str)), "coef is of type"),
    "error": ("fit", lambda v, a: a["std_errors"].__setitem__(1, -1.0), "std_errors is negative"),
    "rows": ("fit", lambda v, a: v.__setitem__("n", -5), "rows used"),
    "rows as text": ("fit", lambda v, a: v.__setitem__("n", "5"), "n is of type str"),
    "rank": ("fit", lambda v, a: v.__setitem__("rank", 9), "rank is 9"),
    "gram": ("fit", lambda v, a: a["geometry.gram"].__setitem__((0, 1), 0.9), "gram is not symmetric"),
    "kept": ("fit", lambda v, a: a["geometry.kept"].__setitem__(0, 9), "not among the columns"),
    "covariance": ("fit", lambda v, a: a["sandwich.cov"].__setitem__((0, 0), -1.0), "covariance is negative"),
    "no coef": ("fit", lambda v, a: a.pop("coef"), "damaged, or edited"),
    "more": ("fit", lambda v, a: v.__setitem__("other", 1), "damaged, or edited"),
    "path": ("path", lambda v, a: a.__setitem__("rss", a["rss"][:2]), "rss has shape"),
    "path rss": ("path", lambda v, a: a["rss"].__setitem__(0, -1.0), "rss is negative"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_cannot_be_of_rows_is_refused(made, edit):
    name, change, words = EDITS[edit]
    with pytest.raises(CorruptError, match=words):
        _edited(made, name, change)()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_changed_bytes_are_found(made, name, data):
    path, _, read, _ = made[name]
    raw = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=3, unique=True)):
        raw[place] ^= data.draw(st.integers(1, 255))
    out = path.with_name("changed" + path.suffix)
    out.write_bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) // 2]))])
    try:
        found = read(out)
    except CorruptError:
        return
    again = path.with_name("again" + path.suffix)  # a byte of the archive's own that says nothing of the arrays
    found.save(again)
    assert archive.load(again, made[name][1])[0].keys() == made[name][3][0].keys()
    for key, array in archive.load(again, made[name][1])[1].items():
        np.testing.assert_array_equal(array, made[name][3][1][key])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_any_changed_array_is_refused_or_still_read(made, name, data):
    """With a right checksum: no other exception than CorruptError."""
    arrays = made[name][3][1]
    key = data.draw(st.sampled_from(sorted(arrays)))
    odd = st.sampled_from([np.nan, np.inf, -1, 0, 2**62, -(2**62), 1e308, "text"])

    def change(values, arrays):
        array = arrays[key]
        how = data.draw(st.sampled_from(["entry", "shape", "type", "gone", "longer"]))
        if how == "entry" and array.size and array.dtype.kind in "fiub":
            with np.errstate(all="ignore"):
                value = data.draw(odd)
                place = data.draw(st.integers(0, array.size - 1))
                if value == "text" or (array.dtype.kind != "f" and not np.isfinite(value)):
                    return
                array.flat[place] = np.asarray(value).astype(array.dtype)
        elif how == "shape":
            arrays[key] = array[..., None]
        elif how == "type":
            arrays[key] = np.full(array.shape, data.draw(st.sampled_from(["text", np.float32(1), 1j, True])))
        elif how == "gone":
            del arrays[key]
        elif array.ndim:
            arrays[key] = np.concatenate([array, array])

    with np.errstate(all="ignore"), suppress(CorruptError):
        _edited(made, name, change)()


def _npy(shape, dtype="'<f8'", body=b""):
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


HOSTILE = {
    "huge": {"a.npy": _npy("(1000000000000,)")},
    "negative": {"a.npy": _npy("(-1,)")},
    "overflow": {"a.npy": _npy("(4611686018427387904, 8)")},
    "pickle": {"a.npy": _npy("(1,)", "'|O'", pickle.dumps([1]))},
    "not an array": {"a.npy": b"import os"},
    "empty": {},
}


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, name, load):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        for member, raw in HOSTILE[name].items():
            file.writestr(member, raw)
    with pytest.raises(CorruptError, match=r"a\.npz"):
        load(path)


@pytest.mark.parametrize("load", LOADERS)
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path, load):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", _npy("(8000000,)", body=bytes(64_000_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(CorruptError, match="more bytes than it has"):
        load(path)
