"""Every number that a line shows is right to the digits that it promises, over designs easy and hard."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from designs import DESIGNS, NAMES, Design, Table
from numbers_shown import COLUMNS, ESTIMATES, FIT, TESTS, Case, Shown, faults, hold, wald_shown
from truth import Covariance, Line

import streamreg as sr
from streamreg.results.base import FitResult

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
WAYS: dict[str, Callable[[Table], FitResult]] = {
    "auto": lambda table: sr.Linear(**table.options).fit(table.source()),
    "float64": lambda table: sr.Linear(**table.options, precision="float64").fit(table.source()),
    "thirteen digits": lambda table: sr.Linear(**table.options, digits=13).fit(table.source()),
    "exact": lambda table: sr.Linear(**table.options, precision="exact").fit(table.source()),
    "exact moments": lambda table: sr.Linear(**table.options).fit(sr.scan(table.source(), precision="exact")),
    "gaussian": lambda table: sr.Glm(family="gaussian", **table.options).fit(table.source()),
    "one of several targets": lambda table: sr.fit_targets(sr.Linear(**table.options), sr.scan(table.source()), ["y"])[
        "y"
    ],
}
FLOAT64 = ("float64", "one of several targets")  # these do not go up the ladder by themselves
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
        try:
            test = sr.wald_test(case.fit, text)
        except sr.UsageError as error:
            # A covariance without the rank for it is refused, in words.
            found += [f"wald_test {text!r}: {error}"] if true is not None or "rank" not in str(error) else []
            continue
        if true is None:
            shown = Shown([test.fvalue, test.pvalue, test.chi2, test.chi2_pvalue], [None] * 4, 0.0)
        else:
            shown = wald_shown(case, true, rows, test)
        found += [f"wald_test {text!r}: {fault}" for fault in shown.faults(False)]
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
    fit = WAYS[way](table)
    if fit.rank < len(NAMES):
        # Cross-products in float64 do not tell columns apart that the rows do: they say so, and promise nothing.
        assert not independent or way in FLOAT64
        assert fit.dependencies
        assert not np.nan_to_num(fit.digits[~fit.identifiable]).any()
        assert np.isnan(fit.std_errors[~fit.identifiable]).all()
        return
    if not independent:
        return
    case = Case(fit, line, line.classical, fit.digits_se, table.x)
    aimed = way not in FLOAT64
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
        found += [f"{kind} {text}" for text in faults(case, (*TESTS, *FIT), False) + _walds(case)]
    hold(found)
