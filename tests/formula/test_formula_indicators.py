"""Categories whose columns are not written out: their moments are those of the columns, to the last digits."""

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.engines.serial import Serial
from streamreg.errors import DataError, NonFiniteError, UsageError
from streamreg.scans import run

rng = np.random.default_rng(3)
ROWS = 9_000
SHARE = np.append(0.9, np.full(29, 0.1 / 29))
FRAME = pd.DataFrame(
    {
        "x": rng.normal(size=ROWS) + 1e6,
        "z": rng.normal(size=ROWS),
        "g": rng.choice([f"g{k:02d}" for k in range(30)], ROWS, p=SHARE),
        "h": rng.integers(0, 12, ROWS),
        "w": rng.uniform(0.0, 2.0, ROWS),
    }
)
FRAME["y"] = FRAME.z + 2 * (FRAME.g == "g03") - FRAME.h % 5 + rng.normal(size=ROWS)
FORMULAS = [
    "y ~ x + g + C(h)",
    "y ~ z + C(g, Sum) + C(h, Diff)",
    "y ~ g:C(h) - 1",
    "y ~ x*g + C(h, Helmert) + z",
    "y ~ C(g, Treatment('g00')):C(h, Sum) + z",
    "z + C(h)",
]


@pytest.fixture
def written_out(monkeypatch):
    """Let a scan write the columns out."""

    def scan(*args, **options):
        with monkeypatch.context() as patch:
            patch.setattr(run, "coded", lambda *_: None)
            return sr.scan(*args, **options)

    return scan


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("text", FORMULAS)
def test_moments_are_those_of_the_columns(text, weights, written_out):
    here, wanted = (
        scan(FRAME.assign(w=FRAME.w.where(FRAME.w > 0.1, 0.0)), formula=text, weights=weights)
        for scan in (sr.scan, written_out)
    )
    assert (here.names, here.target, here.n, here.n_read) == (wanted.names, wanted.target, wanted.n, wanted.n_read)
    ours, theirs = here.total(), wanted.total()
    size = np.sqrt(np.where(np.diag(theirs.cross) > 0, np.diag(theirs.cross), 1.0))
    np.testing.assert_allclose(ours.cross / size / size[:, None], theirs.cross / size / size[:, None], atol=1e-13)
    np.testing.assert_allclose(ours.mean[0], theirs.mean[0], rtol=1e-14, atol=1e-14)
    for name in ("low", "high", "exponent", "weight", "log_weight"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_bits_are_the_same_however_rows_are_cut_and_whoever_reads_them(tmp_path):
    FRAME.to_parquet(tmp_path / "one.parquet")
    FRAME.to_parquet(tmp_path / "cut.parquet", row_group_size=700)
    text = "y ~ z + g*C(h)"
    wanted = sr.scan(FRAME, formula=text, weights="w").to_arrays()
    for data, options in [
        (tmp_path / "one.parquet", {"threads": 1}),
        (tmp_path / "cut.parquet", {"threads": 3}),
        (tmp_path / "cut.parquet", {"engine": Serial()}),
        (tmp_path / "cut.parquet", {"checkpoint": tmp_path / "kept"}),
    ]:
        found = sr.scan(data, formula=text, weights="w", **options).to_arrays()
        assert all((found[name] == wanted[name]).all() for name in wanted)


def test_a_fit_has_all_that_it_has_of_columns(tmp_path, monkeypatch):
    import statsmodels.formula.api as smf

    text = "y ~ z + g + C(h)"
    fit, theirs = sr.Linear(formula=text).fit(FRAME), smf.ols(text, FRAME).fit()
    names = list(fit.names)
    np.testing.assert_allclose(fit.coef, theirs.params[names], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(fit.std_errors, theirs.bse[names], rtol=1e-10)
    assert (fit.digits >= 10).all()
    moments = sr.scan(FRAME, formula=text)
    moments.save(tmp_path / "levels.moments")
    again = sr.Linear().fit(tmp_path / "levels.moments")
    np.testing.assert_allclose(again.coef, fit.coef, rtol=1e-9, atol=1e-10)
    monkeypatch.setattr(run, "coded", lambda *_: None)
    plain = sr.Linear(formula=text).fit(FRAME)
    np.testing.assert_allclose(fit.conditioning().vif, plain.conditioning().vif, rtol=1e-9)
    np.testing.assert_allclose(fit.predict(FRAME), plain.predict(FRAME), rtol=1e-11, atol=1e-11)


def test_dependent_columns_are_named_as_ever():
    frame = FRAME.assign(k=FRAME.h % 10, twin=(FRAME.h % 10) * 3)
    fit = sr.Linear(formula="y ~ C(k) + C(twin)").fit(frame)
    assert "C(twin)[T.3] = C(k)[T.1]" in fit.dependencies
    assert fit.rank == 9


def test_missing_levels_are_a_hole_as_any_other():
    holes = FRAME.assign(g=FRAME.g.mask(np.arange(ROWS) % 7 == 3), h=FRAME.h.mask(np.arange(ROWS) % 5 == 1))
    fit = sr.Linear(formula="y ~ z + g + C(h)", missing="drop").fit(holes)
    left = holes.dropna()
    assert (fit.n, fit.n_missing) == (len(left), ROWS - len(left))
    again = sr.Linear(formula="y ~ z + g + C(h)").fit(left)
    np.testing.assert_allclose(fit.coef, again.coef, rtol=1e-10, atol=1e-12)
    with pytest.raises(NonFiniteError, match=r"row 3 \(from 0\), column 'g'"):
        sr.Linear(formula="y ~ z + g").fit(holes)


def test_levels_that_the_formula_gives_and_no_row_has():
    levels = ", ".join(map(str, range(14)))
    fit = sr.Linear(formula=f"y ~ z + C(h, levels=[{levels}])").fit(FRAME)
    plain = sr.Linear(formula="y ~ z + C(h)").fit(FRAME)
    np.testing.assert_allclose(fit.coef[:12], plain.coef, rtol=1e-10, atol=1e-11)
    assert fit.rank == plain.rank == 12


def test_a_category_of_very_many_levels_is_eliminated(monkeypatch, tmp_path):
    import streamreg.design.formula.passes as passes

    monkeypatch.setattr(passes, "WIDE", 20)
    text = "y ~ C(h) + z + g - 1"
    fit = sr.Linear(formula=text).fit(FRAME)
    monkeypatch.setattr(passes, "WIDE", 5_000)
    plain = sr.Linear(formula="y ~ C(h) + z + g").fit(FRAME)
    assert fit.absorbed.names.tolist() == ["g"]
    assert fit.df_resid == plain.df_resid
    own = dict(zip(plain.names, zip(plain.coef, plain.std_errors, strict=True), strict=True))
    for name, coef, error in zip(fit.names, fit.coef, fit.std_errors, strict=True):
        np.testing.assert_allclose([coef, error], own[name], rtol=1e-10, atol=1e-11)
    effects = fit.effects("g")
    for level in ("g01", "g29"):
        np.testing.assert_allclose(effects[level] - effects["g00"], own[f"g[T.{level}]"][0], rtol=1e-10)
    np.testing.assert_allclose(fit.predict(FRAME), plain.predict(FRAME), rtol=1e-11)
    fit.save(tmp_path / "fit.npz")
    new = FRAME.head(3).assign(g=["g01", "new", "g02"])
    again = type(fit).load(tmp_path / "fit.npz")
    with pytest.raises(DataError, match="'new' of 'g'"):
        again.predict(new)
    wanted = fit.predict(FRAME.head(3).assign(g=["g01", "g01", "g02"]))
    np.testing.assert_array_equal(again.predict(new, unseen="reference")[[0, 2]], wanted[[0, 2]])


def test_two_wide_categories_and_their_interaction_are_refused_with_the_bytes(monkeypatch):
    import streamreg.design.formula.passes as passes

    monkeypatch.setattr(passes, "WIDE", 10)
    monkeypatch.setattr(passes, "MOST_COLUMNS", 300)
    with pytest.raises(UsageError, match=r"359 columns, whose cross-products take 0 GB.*absorb what has the most"):
        sr.Linear(formula="y ~ g*C(h)").fit(FRAME)
    both = sr.Linear(formula="y ~ z + g + C(h)").fit(FRAME)
    assert both.absorbed.names.tolist() == ["g", "h"]
    assert both.names == ("z",)


@pytest.mark.parametrize("kind", ["int64", "float64", "uint64", "int32"])
def test_whole_numbers_are_levels_near_and_far_apart(kind):
    near = FRAME.assign(h=(FRAME.h + 3).astype(kind))
    far = FRAME.assign(h=((FRAME.h + 3) * 2**21).astype(kind if kind != "int32" else "int64"))
    fits = [sr.Linear(formula="y ~ z + C(h)").fit(frame) for frame in (near, far)]
    np.testing.assert_array_equal(fits[0].coef, fits[1].coef)
    for fit, strange in ((fits[0], (2, 15, 3.5)), (fits[1], (2**21, 3 * 2**21 + 1))):
        for value in strange:
            known = near.h[:4].astype(float) * (1 if fit is fits[0] else 2**21)
            new = FRAME.head(4).assign(h=known.where(np.arange(4) != 2, value))
            with pytest.raises(DataError, match=r"row 2 \(from 0\), h: .* is a level that the fit has not seen"):
                fit.predict(new)
