"""Rows in memory are checked by one rule wherever they are passed: the answer is right, or one error says why not."""

import pickle
import pydoc
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg import backend
from streamreg.errors import DataError, NotFound

NAMES = ("a", "b", "c")
RNG = np.random.default_rng(5)
X = RNG.integers(0, 9, (40, 3)).astype(np.float64)
Y = X @ [1.0, -2.0, 3.0] + RNG.standard_normal(40)
FIT = sr.Linear().fit(sr.open((X, Y), columns=NAMES))
LOGISTIC = sr.Logistic().fit(sr.open((X, RNG.permutation(np.median(Y) < Y)), columns=NAMES))
PATH = sr.Penalised(alphas=(1.0, 0.1)).fit(sr.open((X, Y), columns=NAMES))
SUBSETS = sr.Subsets().fit(sr.open((X, Y), columns=NAMES))
NETWORK = sr.NetworkResult(
    model=None, names=NAMES, target="y", loss="squared", n=40, n_read=40, n_missing=0, passes=1, status="ok",
    seconds=0.0, history={}, best_epoch=1, spec={}, source="array",
)  # fmt: skip


def coef(fit: sr.FitResult) -> Any:
    """Return the coefficients in the order of their names, and the intercept."""
    return np.array([*(fit.coef[k] for k in np.argsort(fit.names)), fit.intercept])


def opened(x: Any, y: Any) -> Any:
    return sr.open((x, y), columns=None if hasattr(x, "columns") and "a" in list(x.columns) else NAMES)


READ: dict[str, Callable[[Any, Any], Any]] = {
    "open": lambda x, y: coef(sr.Linear().fit(sr.open((x, y)))),
    "fit": lambda x, y: coef(sr.Linear().fit(x, y)),
    "batches": lambda x, y: coef(sr.Linear().fit(sr.open([(x, y)]))),
    "weights": lambda x, y: coef(sr.Linear().fit(sr.open([(x, y, np.ones(len(Y)))]))),
    "score": lambda x, y: sr.score({"line": FIT}, opened(x, y)).scores["line"].rmse,
    "robust": lambda x, y: sr.robust(FIT, opened(x, y), "HC1").std_errors,
}
PREDICT: dict[str, Callable[[Any], Any]] = {
    "linear": FIT.predict,
    "logistic": LOGISTIC.predict,
    "path": PATH.predict,
    "candidate": PATH.candidate(0).predict,
    "subsets": SUBSETS.predict,
    "network": NETWORK.predict,
}

Odd = Callable[[Any], tuple[Any, Any]]
"""Makes of a matrix what is passed, and the numbers that it holds; None where it holds none."""


def frame(x: Any, **types: str) -> pd.DataFrame:
    return pd.DataFrame(x, columns=list(NAMES)).astype(types)


def absent(x: Any) -> Any:
    x = x.copy()
    x[3, 0] = np.nan
    return x


def lost(x: Any) -> Any:
    x = (x > 4).astype(float)
    x[:, 0] = np.nan
    return x


def strided(x: Any) -> Any:
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]))
    wide[::2, ::3] = x
    return wide[::2, ::3]


def frozen(x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


ODD: dict[str, Odd] = {
    **{f"type {t}": lambda x, t=t: (x.astype(t), x) for t in ("i1", "u2", "i8", "u8", "f4", "f2", ">f8", ">i4", ">u2")},
    "bool": lambda x: (x > 4, (x > 4).astype(float)),
    "Fortran order": lambda x: (np.asfortranarray(x), x),
    "strided": lambda x: (strided(x), x),
    "reversed": lambda x: (x[::-1].copy()[::-1], x),
    "read-only": lambda x: (frozen(x), x),
    "subclass": lambda x: (x.view(type("Own", (np.ndarray,), {})), x),
    "unmasked": lambda x: (np.ma.array(x), x),
    "masked": lambda x: (np.ma.array(x, mask=x > 7), None),
    "masked rows in a list": lambda x: ([np.ma.array(row, mask=row > 7) for row in x], None),
    "dask, masked": lambda x: (da.from_array(np.ma.array(x, mask=x > 7), chunks=(10, 3)), None),
    "dask": lambda x: (da.from_array(x, chunks=(10, 3)), x),
    "lists": lambda x: (x.tolist(), x),
    "objects": lambda x: (x.astype(object), x),
    "None": lambda x: (np.where(x > 7, None, x.astype(object)), None),
    "text": lambda x: (x.astype(str), None),
    "bytes": lambda x: (x.astype(bytes), None),
    "complex": lambda x: (x + 1j, None),
    "long double": lambda x: (x.astype(np.longdouble), x),
    "dates": lambda x: (x.astype("M8[D]"), None),
    "spans": lambda x: (x.astype("m8[s]"), None),
    "structured": lambda x: (np.rec.fromarrays(x.T, names="a,b,c"), None),
    "sparse": lambda x: (scipy.sparse.csr_matrix(x), x),
    "sparse array": lambda x: (scipy.sparse.coo_array(x), x),
    "one row": lambda x: (x[0], None),
    "one number": lambda x: (np.array(x[0, 0]), None),
    "cube": lambda x: (x[:, :, None], None),
    "two columns": lambda x: (x[:, :2], None),
    "mapping": lambda x: (dict(zip(NAMES, x.T, strict=True)), None),
    "frame": lambda x: (frame(x), x),
    "frame, reordered": lambda x: (frame(x)[["c", "a", "b"]], x),
    "frame, numbered": lambda x: (pd.DataFrame(x), x),
    "frame, mixed": lambda x: (frame(x, a="int8", b="uint64", c="float32"), x),
    "frame, nullable": lambda x: (frame(x, a="Int64", b="Float32", c="UInt8"), x),
    "frame, NA": lambda x: (frame(absent(x), a="Int64", b="int64"), absent(x)),
    "frame, NA among logicals": lambda x: (frame(x > 4).assign(a=pd.array([None] * 40, dtype="boolean")), lost(x)),
    "frame, sparse": lambda x: (frame(x).astype(pd.SparseDtype(float, 0.0)), x),
    "frame, categories": lambda x: (frame(x, b="category"), None),
    "frame, text": lambda x: (frame(x, b="str"), None),
    "frame, objects": lambda x: (frame(x, b="object"), None),
    "frame, dates": lambda x: (frame(x, b="M8[ns]"), None),
    "frame, complex": lambda x: (frame(x, b="complex"), None),
    "frame, twice": lambda x: (pd.DataFrame(x, columns=["a", "b", "b"]), None),
    "frame, large integers": lambda x: (frame(x).assign(a=np.int64(2**53) + 1 + x[:, 0].astype(int)), None),
}


@pytest.fixture(autouse=True)
def _without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose layers are one product."""
    model = lambda x: (x @ [1.0, 2.0, 3.0])[:, None]  # noqa: E731
    model.variables = [SimpleNamespace(value=None)]  # type: ignore[attr-defined]
    object.__setattr__(NETWORK, "model", model)
    monkeypatch.setattr(backend, "scope", lambda device: nullcontext())
    monkeypatch.setattr(backend, "where", lambda value: "cpu")
    monkeypatch.setattr(backend, "full_products", nullcontext)
    monkeypatch.setattr(backend, "to_numpy", np.asarray)


def agree(entry: Callable[[Any], Any], passed: Any, held: Any) -> None:
    """Check that an entry gives what it gives for the same numbers as a float64 array, or refuses."""
    try:
        found = entry(passed)
    except sr.StreamregError:
        return
    assert held is not None, f"accepted: {found}"
    assert type(found) in (np.ndarray, float)
    np.testing.assert_allclose(found, entry(held), rtol=1e-6)


tables = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 9, (40, 3)).astype(float))


@pytest.mark.parametrize("kind", ODD)
@settings(derandomize=True, deadline=None, max_examples=2, database=None)
@given(x=tables)
def test_any_array_at_any_entry_is_right_or_refused(kind: str, x: Any) -> None:
    passed, held = ODD[kind](x)
    for predict in PREDICT.values():
        agree(predict, passed, held)
    for read in READ.values():
        if kind not in ("two columns", "mapping"):
            agree(lambda table, read=read: read(table, Y), passed, held)


TARGETS = {name: ODD[name] for name in ODD if not name.startswith("frame") and name not in ("two columns", "mapping")}


@pytest.mark.parametrize("kind", TARGETS)
def test_any_target_is_right_or_refused(kind: str) -> None:
    passed, held = TARGETS[kind](np.round(np.abs(Y[:, None])))
    for name in ("open", "fit", "batches"):
        if kind != "one row":
            agree(lambda y, name=name: READ[name](X, y), passed, held)


@pytest.mark.parametrize("wrong", [np.array(["a"] * 40), np.ma.array(Y, mask=Y > 0), np.ones(40) * 1j, None])
def test_predictions_of_other_models_are_numbers(wrong: Any) -> None:
    with pytest.raises(DataError, match="predictions"):
        sr.score({"theirs": SimpleNamespace(predict=lambda x: wrong)}, (X, Y), threads=1)


@pytest.mark.parametrize("entry", PREDICT)
def test_predict_finds_columns_by_name(entry: str) -> None:
    predict = PREDICT[entry]
    np.testing.assert_array_equal(predict(frame(X).assign(more="text")[["more", "c", "b", "a"]]), predict(X))
    with pytest.raises(NotFound, match=r"no column 'b'; did you mean 'B'\?; expected a, b, c, found a, B, c"):
        predict(frame(X).rename(columns={"b": "B"}))
    np.testing.assert_array_equal(predict(X[:0]), predict(X)[:0])


@pytest.mark.parametrize("entry", PREDICT)
def test_predictions_of_missing_values_are_missing(entry: str) -> None:
    whole = X.astype(np.int64)
    whole[5, 1] = np.iinfo(np.int64).min  # NaT of dates that were taken for integers
    holes = X.copy()
    holes[5, 1] = np.nan
    for rows in (whole, whole.astype(">i8"), holes, frame(whole, a="float64"), frame(holes, b="Int64")):
        found = PREDICT[entry](rows)
        assert np.isnan(found[5]).all()
        np.testing.assert_allclose(np.delete(found, 5, 0), np.delete(PREDICT[entry](X), 5, 0), rtol=1e-12)


def test_batches_are_matched_by_name() -> None:
    fit = sr.Linear().fit(sr.open([(frame(X[:20]), Y[:20]), (frame(X[20:])[["c", "a", "b"]], Y[20:])]))
    assert fit.names == NAMES
    np.testing.assert_allclose(fit.coef, FIT.coef, rtol=1e-12)
    own = sr.open([(frame(X[:20]), Y[:20]), (frame(X[20:])[["b", "c", "a"]], Y[20:])], columns=["u", "v", "w"])
    fit = sr.Linear().fit(own)
    assert fit.names == ("u", "v", "w")
    np.testing.assert_allclose(fit.coef, FIT.coef, rtol=1e-12)


@pytest.mark.parametrize(
    "second",
    [frame(X).rename(columns={"a": "A"}), frame(X)[["a", "b"]], frame(X).assign(d=1.0), X, pd.DataFrame(X)],
)
def test_batches_with_other_columns_are_refused(second: Any) -> None:
    with pytest.raises(DataError, match=r"batch 1.*(expected a, b, c, found|yield one kind)"):
        sr.Linear().fit(sr.open([(frame(X), Y), (second, Y)]))


def test_targets_may_be_series() -> None:
    expected = coef(FIT)
    for y in (pd.Series(Y), pd.Series(Y, dtype="Float64"), pd.DataFrame({"y": Y}), Y[:, None]):
        for name in ("open", "fit", "batches"):
            np.testing.assert_allclose(READ[name](X, y), READ[name](X, Y), rtol=1e-12)
            np.testing.assert_allclose(READ["fit"](frame(X), y), expected, rtol=1e-12)


MODELS = [sr.Linear(), sr.Logistic(), sr.Glm(family="poisson"), sr.Penalised(alphas=3), sr.Subsets(),
          sr.Constrained(restrictions="x0 = x1"), sr.IV(endogenous=("x0",), instruments=("x1",))]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_features_and_target_may_be_passed_apart(model: Any) -> None:
    labels, weight = (np.median(Y) < Y).astype(float), np.arange(1.0, 41.0)
    for more in ((labels,), (labels, weight)):
        np.testing.assert_array_equal(model.fit(X, *more).coef, model.fit((X, *more)).coef)
    named = pd.DataFrame(X[:, :2], columns=["x0", "x1"]).assign(label=labels, w=weight)
    np.testing.assert_array_equal(model.fit(named, "label", "w").coef, model.fit(X[:, :2], labels, weight).coef)
    for call in (
        lambda: model.fit((X, labels), labels),
        lambda: model.fit(X, None, weight),
    ):
        with pytest.raises(sr.UsageError, match=r"go with a matrix X|goes with y"):
            call()


WRONG = ["2", 2.5, -1, 10**30, True, float("nan"), b"x", object(), np.zeros(3), np.ma.masked, 1j, [1], {1: 2}, int]
KEPT = sr.scan((X, Y), folds=3)
OPTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "scan": (lambda **k: sr.scan((X, Y), **k), ("threads", "folds", "features", "powers", "engine", "missing", "by")),
    "open": (lambda **k: sr.open((X, Y), **k), ("target", "weights", "features", "columns", "missing_chunks")),
    "fit": (lambda **k: sr.Linear().fit((X, Y), **k), ("threads", "progress", "moments")),
    "score": (lambda **k: sr.score({"a": FIT}, (X, Y), **k), ("rows", "baseline", "worth", "family", "threads")),
    "compare": (lambda **k: sr.compare(FIT, FIT, **k), ("tolerance", "labels")),
    "split": (lambda **k: sr.split((X, Y), **k), ("held_out", "seed")),
    "robust": (lambda **k: sr.robust(FIT, sr.open((X, Y), columns=NAMES), **k), ("errors", "threads", "memory")),
    "coefficients": (sr.coefficients, ("data",)),
    "load": (sr.load, ("path",)),
    "interval": (FIT.conf_int, ("level",)),
    "table": (FIT.summary, ("rows",)),
    "best": (PATH.best, ("by",)),
    "candidate": (PATH.candidate, ("k",)),
    "chosen": (SUBSETS.features, ("k",)),
    "at": (PATH.at, ("alpha",)),
    "candidates": (PATH.summary, ("rows",)),
    "save": (FIT.save, ("path",)),
    "wald": (lambda **k: sr.wald_test(FIT, **k), ("restrictions",)),
}


@pytest.mark.parametrize("call", OPTIONS)
def test_options_of_a_wrong_type_are_refused_in_words(call: str) -> None:
    function, names = OPTIONS[call]
    for name in names:
        for value in WRONG:
            if call == "save" and isinstance(value, str):
                continue
            with suppress(sr.StreamregError):
                function(**{name: value})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sr.scan((X, Y), threads="2"), "threads='2' is a str; it can be int | None"),  # type: ignore[arg-type]
        (lambda: sr.scan((X, Y), folds=2.5), "folds=2.5 is a float"),  # type: ignore[call-overload]
        (lambda: sr.Linear(["x"]), "options go by name, but for a formula"),
        (lambda: sr.Linear("y ~ x", formula="y ~ x"), "are two formulas"),
        (lambda: setattr(sr.Linear(), "ridge", 1), "does not change once it is made"),
        (lambda: delattr(sr.Linear(), "ridge"), "does not change once it is made"),
        (lambda: sr.coefficients([1.0, 2.0]), "mapping of names to numbers"),
    ],
)
def test_mistakes_of_a_call_are_said_in_words(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(sr.UsageError) as caught:
        call()
    assert words in str(caught.value)


def test_a_formula_needs_no_name() -> None:
    rows = frame(X).assign(y=Y)
    assert sr.Linear("y ~ a + b") == sr.Linear(formula="y ~ a + b")
    np.testing.assert_array_equal(
        sr.Linear("y ~ a + b").fit(rows).coef, sr.Linear(features=["a", "b"]).fit(rows, "y").coef
    )


def test_help_of_a_model_is_ours() -> None:
    text = pydoc.plain(pydoc.render_doc(sr.Linear))
    assert "ridge" in text
    assert "fit(self" in text
    assert text.count("pydantic") == 1  # where it comes from
    assert "model_" not in text
    assert len(text.splitlines()) < 200


def test_open_datasets_are_sent_to_their_path(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/X"], file["y"] = X, Y
        for call in (lambda: sr.Linear().fit(file["g/X"], file["y"]), lambda: sr.open((file["g/X"], file["y"]))):
            with pytest.raises(sr.UsageError) as caught:
                call()
    options = str(caught.value).partition("sr.open(")[2]
    assert options == f"{str(tmp_path / 'a.h5')!r}, x='g/X', target='y')"
    np.testing.assert_array_equal(sr.Linear().fit(eval(f"sr.open({options}")).coef, sr.Linear().fit((X, Y)).coef)


def test_a_series_of_coefficients_is_read() -> None:
    fit = sr.coefficients(pd.Series({"const": 1.0, "a": 2.0, 3: 4.0}))
    assert (fit.names, fit.intercept, list(fit.coef)) == (("a", "3"), 1.0, [2.0, 4.0])
    for value in (np.ma.masked, np.bool_(True), np.array([1.0]), 1j, None, 10**400):
        with pytest.raises(DataError, match=r"a coefficient is a finite number"):
            sr.coefficients({"a": value})


def test_a_table_with_errors_does_not_say_that_there_are_none() -> None:
    x = np.column_stack([X, X[:, 0] + X[:, 1]])
    dropped = sr.Linear(singular="drop").fit(x, Y).summary()
    assert "no error is given" not in dropped
    assert "Dependent columns, of which 1 left out; the estimates are those without them:" in dropped
    assert "(no error is given)" in " ".join(sr.Linear().fit(x, Y).summary().split())


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps({}))
    for name in ("a.npz", "b.npz"):
        for load in (sr.load, sr.FitResult.load, sr.PenaltyPath.load):
            with pytest.raises(sr.StreamregError, match=name):
                load(tmp_path / name)
