"""Every number that a line shows is right to the digits that it promises, over designs easy and hard."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from designs import DESIGNS, NAMES, Design, Table
from numbers_shown import COLUMNS, ESTIMATES, FIT, TESTS, Case, Shown, faults, hold, wald_share
from truth import Covariance, Line

import streamreg as sr

ROBUST: dict[str, Any] = {
    "HC0": "HC0",
    "HC1": "HC1",
    "HC2": "HC2",
    "HC3": "HC3",
    "three clusters": {"cluster": "few"},
    "fourteen clusters": {"cluster": "many"},
    "two ways": {"cluster": ("few", "many")},
    "Newey-West": {"newey_west": 3},
}
WAYS: dict[str, dict[str, Any]] = {
    "auto": {},
    "float64": {"precision": "float64"},
    "thirteen digits": {"digits": 13},
    "exact": {"precision": "exact"},
}
WALD = ("a = 0", "a = 0, b = 0", "a + b = 1, c = d", "a = 0, b = 0, c = 0, d = 0", "intercept = 0, b = 2 c")


@lru_cache(maxsize=4)
def _posed(design: Design) -> tuple[Table, Line, bool]:
    table = design.table()
    line = Line(table.x, table.y, table.weight, intercept=table.intercept, frequency=table.frequency)
    return table, line, line.margin > 16


def _covariance(kind: str, line: Line, table: Table) -> Covariance:
    few, many = table.keys.T
    if kind.startswith("HC"):
        return line.hc(int(kind[2]))
    return {
        "three clusters": lambda: line.cluster(few),
        "fourteen clusters": lambda: line.cluster(many),
        "two ways": lambda: line.cluster(few, many),
        "Newey-West": lambda: line.newey_west(3),
    }[kind]()


def _walds(case: Case) -> list[str]:
    """Return what is wrong with tests of restrictions."""
    found = []
    for text in WALD:
        if "intercept" in text and not case.line.intercept:
            continue
        rows, values = _equations(text, case.line.intercept)
        true = case.cov.wald(rows, values)
        test = sr.wald_test(case.fit, text)
        if true is None:
            shown = Shown([test.fvalue, test.pvalue, test.chi2, test.chi2_pvalue], [None] * 4, 0.0)
        else:
            share, size = wald_share(case, true, rows), float(true.chi2)
            shown = Shown([test.chi2, test.fvalue], [true.chi2, true.f], [size * share] * 2, 2e-6 * (1 + size))
        found += [f"wald_test {text!r}: {fault}" for fault in shown.faults(case.fit.model["precision"] == "auto")]
    return found


def _equations(text: str, intercept: bool) -> tuple[list[list[float]], list[float]]:
    known = {
        "a = 0": ([[0, 1, 0, 0, 0]], [0]),
        "a = 0, b = 0": ([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]], [0, 0]),
        "a + b = 1, c = d": ([[0, 1, 1, 0, 0], [0, 0, 0, 1, -1]], [1, 0]),
        "a = 0, b = 0, c = 0, d = 0": (np.eye(5)[1:].tolist(), [0] * 4),
        "intercept = 0, b = 2 c": ([[1, 0, 0, 0, 0], [0, 0, 1, -2, 0]], [0, 0]),
    }
    rows, values = known[text]
    return [[float(v) for v in row[not intercept :]] for row in rows], [float(v) for v in values]


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_line(design, way):
    table, line, independent = _posed(design)
    fit = sr.Linear(**table.options, **WAYS[way]).fit(table.source())
    if not independent:
        if fit.rank < len(NAMES):
            assert fit.dependencies
            assert np.isnan(fit.std_errors[~fit.identifiable]).all()
        return
    if way != "float64" or fit.digits_se > 0:
        assert fit.rank == len(NAMES)
    case = Case(fit, line, line.classical, fit.digits_se, table.x)
    aimed = way in ("auto", "thirteen digits")
    hold(faults(case, (*ESTIMATES, *TESTS, *FIT, *COLUMNS), aimed) + _walds(case))


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_robust(design):
    table, line, independent = _posed(design)
    if not independent:
        return
    source = table.source()
    fit = sr.Linear(**table.options).fit(source)
    found = []
    for kind, errors in ROBUST.items():
        if kind == "Newey-West" and table.frequency:
            continue
        robust = sr.robust(fit, source, errors)
        case = Case(robust, line, _covariance(kind, line, table), fit.digits_se, table.x)
        found += [f"{kind} {text}" for text in faults(case, (*TESTS, *FIT), True) + _walds(case)]
    hold(found)
