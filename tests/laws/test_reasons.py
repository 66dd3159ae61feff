"""A number that is withheld is withheld for a reason that the summary states."""

from collections.abc import Callable

import numpy as np
import pytest

import streamreg as sr
from streamreg.results.base import FitResult

NUMBERS = ("coef", "std_errors", "tvalues", "pvalues", "fvalue", "f_pvalue", "rsquared", "rsquared_adj", "sigma")
N, NAMES = 60, ("a", "b", "c", "d")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
Y = X @ [1.0, 2.0, 3.0, 4.0] + RNG.normal(size=N)
DEPENDENT = np.column_stack([X[:, :3], X[:, 0] + X[:, 1]])


def _rows(x=X, y=Y):
    return sr.open((np.column_stack([x, np.arange(len(x)) * 3 // len(x)]), y), columns=[*NAMES, "g"])


WITHHELD: dict[str, tuple[Callable[[], FitResult], tuple[str, ...]]] = {
    "ridge": (lambda: sr.Linear(features=NAMES, ridge=1.0).fit(_rows()), ("biased", "penal")),
    "three clusters": (lambda: sr.Linear(features=NAMES, errors={"cluster": "g"}).fit(_rows()), ("cluster",)),
    "dependent": (lambda: sr.Linear(features=NAMES).fit(_rows(DEPENDENT)), ("depend",)),
    "dropped": (lambda: sr.Linear(features=NAMES, singular="drop").fit(_rows(DEPENDENT)), ("depend",)),
    "as many rows": (lambda: sr.Linear(features=NAMES).fit(_rows(X[:5], Y[:5])), ("as many",)),
    "a lasso's line": (lambda: sr.Penalised(features=NAMES).fit(_rows()).candidate(), ("choice", "chosen", "select")),
    "a subset": (lambda: sr.Subsets(features=NAMES).fit(_rows()).candidate(), ("choice", "chosen", "select")),
    "separated": (lambda: sr.Logistic(features=NAMES).fit(_rows(X, (X[:, 0] > 0) * 1.0)), ("separat",)),
    "imported": (lambda: sr.coefficients(dict.fromkeys(NAMES, 1.0)), ("without rows",)),
    "constant target": (lambda: sr.Linear(features=NAMES).fit(_rows(X, np.ones(N))), ("constant", "same value")),
}


@pytest.mark.parametrize("kind", WITHHELD)
def test_reason_is_stated(kind):
    make, words = WITHHELD[kind]
    fit = make()
    withheld = [name for name in NUMBERS if np.isnan(np.asarray(getattr(fit, name), dtype=float)).any()]
    assert withheld
    lines = fit.summary().splitlines()
    last = max(k for k, line in enumerate(lines) if line.startswith(" d "))
    notes = " ".join(lines[last + 1 :]).lower()
    notes = notes.partition("digits: how many")[0]  # what words mean is no reason
    assert any(word in notes for word in words), (withheld, notes)
