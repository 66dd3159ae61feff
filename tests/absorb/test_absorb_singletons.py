"""Rows that are alone in a level: left out as pyfixest does it, again and again until none is."""

import warnings

import numpy as np
import pytest
from panels import FEATURES, panel, source

import streamreg as sr
from streamreg.errors import DataError, OnePassError, UsageError
from streamreg.stats.levels.singletons import alone


def sparse(n=1200, seed=0):
    frame = panel(n, seed, (700, 350, 90))
    frame["above"] = (frame["f0"] + 50) // 70
    return frame


FRAME = sparse()
FACTORS = [("f0",), ("f0", "f1"), ("f2", "f1", "f0")]


def slowly(frame, factors):
    """Leave rows out one factor at a time."""
    while True:
        single = np.any([frame.groupby(f)[f].transform("size") == 1 for f in factors], axis=0)
        if not single.any():
            return frame
        frame = frame[~single]


@pytest.mark.parametrize("errors", ["classical", "HC1", {"cluster": "f0"}, {"cluster": "above"}])
@pytest.mark.parametrize("factors", FACTORS)
def test_a_fit_without_singletons_is_that_of_pyfixest(factors, errors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyfixest = pytest.importorskip("pyfixest")
        vcov = {"classical": "iid", "HC1": "hetero"}.get(errors) if isinstance(errors, str) else None
        theirs = pyfixest.feols(
            f"y ~ {' + '.join(FEATURES)} | {' + '.join(sorted(factors))}",
            FRAME,
            vcov=vcov or {"CRV1": errors["cluster"]},
            fixef_tol=1e-13,
            fixef_maxiter=100_000,
            fixef_rm="singleton",
        )
    fit = sr.Linear(features=FEATURES, absorb=factors, errors=errors, singletons="drop").fit(source(FRAME))
    left = slowly(FRAME, factors)
    assert fit.n == len(left) == theirs._N < len(FRAME)
    assert fit.absorbed.dropped == len(FRAME) - len(left)
    assert fit.n_read == len(FRAME)
    assert "zero weight" not in fit.summary()
    assert f"{fit.absorbed.dropped:,} rows were left out" in fit.summary()
    assert fit.passes == 2 + (errors != "classical")
    plain = sr.Linear(features=FEATURES, absorb=factors, errors=errors).fit(source(left))
    for one in (plain.coef, theirs.coef().to_numpy()):
        np.testing.assert_allclose(fit.coef, one, rtol=1e-10)
    np.testing.assert_allclose(fit.std_errors, plain.std_errors, rtol=1e-12)
    if len(factors) < 3 or errors == "classical":
        np.testing.assert_allclose(fit.std_errors, theirs.se().to_numpy(), rtol=1e-10)
    assert (fit.df_resid, fit.absorbed.df) == (plain.df_resid, plain.absorbed.df)
    assert fit.absorbed.singletons.sum() == 0
    kept = sr.Linear(features=FEATURES, absorb=factors).fit(source(FRAME))
    np.testing.assert_allclose(kept.coef, fit.coef, rtol=1e-10)
    assert kept.df_resid == fit.df_resid


def test_errors_that_are_asked_for_later_leave_out_the_same_rows():
    model = sr.Linear(features=FEATURES, absorb=("f0", "f1"), singletons="drop")
    later = sr.robust(model.fit(source(FRAME)), source(FRAME), {"cluster": "f0"})
    at_once = model.model_copy(update={"errors": {"cluster": "f0"}}).fit(source(FRAME))
    np.testing.assert_array_equal(later.std_errors, at_once.std_errors)


def test_one_that_leaves_makes_another_one_alone():
    # A path: each row shares one level with the row before it, and the other with the row after it.
    rows = np.arange(1000)
    f, g = rows // 2, (rows + 1) // 2
    pairs = {(0, 1): (f.astype(np.int32), g.astype(np.int32), np.ones(1000, np.int64))}
    gone = alone([np.bincount(f), np.bincount(g)], pairs)
    assert all(own.all() for own in gone)
    circle = np.append(g[:-1], 0)
    pairs = {(0, 1): (f.astype(np.int32), circle.astype(np.int32), np.ones(1000, np.int64))}
    assert not any(own.any() for own in alone([np.bincount(f), np.bincount(circle)], pairs))


def test_what_cannot_be_dropped_is_refused():
    frame = FRAME.assign(f0=np.arange(len(FRAME)))
    model = sr.Linear(features=FEATURES, absorb="f0", singletons="drop")
    with pytest.raises(DataError, match="every row is alone in a level of f0, so none is left"):
        model.fit(source(frame))
    with pytest.raises(UsageError, match="a row that occurred often is not alone"):
        model.model_copy(update={"weight_kind": "frequency"}).fit(source(FRAME))
    columns = [*FEATURES, "f0"]
    once = sr.open(iter([(FRAME[columns].to_numpy(float), FRAME["y"].to_numpy())]), columns=columns)
    with pytest.raises(OnePassError, match="leaving out"):
        model.fit(once)


def test_weights_and_missing_rows_do_not_matter():
    frame = FRAME.assign(
        a=FRAME.a.mask(np.arange(len(FRAME)) % 9 == 0), w=FRAME.w.where(np.arange(len(FRAME)) % 5 > 0, 0)
    )
    model = sr.Linear(features=FEATURES, absorb=("f0", "f1"), singletons="drop", missing="drop")
    fit = model.fit(source(frame, "w"))
    left = slowly(frame[(frame.w > 0) & frame.a.notna()], ("f0", "f1"))
    assert fit.n == len(left)
    plain = sr.Linear(features=FEATURES, absorb=("f0", "f1")).fit(source(left, "w"))
    np.testing.assert_allclose(fit.std_errors, plain.std_errors, rtol=1e-12)
    assert fit.n_missing == (frame.a.isna() & (frame.w > 0)).sum()
