"""What is passed by mistake is told in one sentence, wherever it is passed."""

import numpy as np
import pytest

import streamreg as sr

ROWS = (np.ones((9, 2)), np.ones(9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sr.split(ROWS, "a"), "held_out is 'a'; it is a share of the rows"),
        (lambda: sr.split(ROWS, None), "held_out is None; it is a share of the rows"),
        (lambda: sr.split(ROWS, 1.5), "held_out is 1.5; it is a share of the rows"),
        (lambda: sr.load(3), "load takes the path of a saved result or scan, not a int"),
        (lambda: sr.FitResult.load(None), "load takes the path of a saved fit, not a NoneType"),
        (lambda: sr.merge(3), "3 is no scan; pass what sr.scan returned, or the path of a file of moments"),
        (lambda: sr.folds(None), "None is no scan"),
    ],
)
def test_arguments_of_the_wrong_kind(call, message):
    with pytest.raises(sr.UsageError, match=message):
        call()


_MODELS = {
    "logistic": sr.Logistic(features=("x0",)),
    "penalised": sr.Penalised(features=("x0",)),
    "subsets": sr.Subsets(features=("x0",)),
    "constrained": sr.Constrained(restrictions="x0 = 0"),
    "iv": sr.IV(endogenous=("x0",), instruments=("g",)),
    "class": sr.Linear,
    "text": "logistic",
    "none": None,
}


@pytest.mark.parametrize("name", _MODELS)
def test_what_takes_a_line_refuses_other_models(name):
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.standard_normal(80), np.arange(80) % 4])
    source = sr.open((x, (rng.random(80) < 0.5).astype(float)), columns=["x0", "g"])
    model = _MODELS[name]
    of_moments = r"sr\.Linear\(|this is the class Linear" if name != "logistic" else "moments hold none"
    with pytest.raises(sr.UsageError, match=of_moments):
        sr.fit_by(model, sr.scan(source) if name == "logistic" else source, by="g")
    with pytest.raises(sr.UsageError, match=of_moments):
        sr.fit_targets(model, sr.scan(source), ["y"])
    with pytest.raises(sr.UsageError):
        sr.robust(model, source, "HC1")
    with pytest.raises(sr.UsageError):
        sr.wald_test(model, "x0 = 0")
    with pytest.raises(sr.UsageError):
        sr.score({"it": model}, source)
    if name in ("logistic", "class", "text", "none"):
        with pytest.raises(sr.UsageError):
            sr.bootstrap(model, sr.scan(source, blocks=20), replicates=5)
        with pytest.raises(sr.UsageError):
            sr.jackknife(model, sr.scan(source, blocks=20))
