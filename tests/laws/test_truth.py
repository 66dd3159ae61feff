"""The references themselves, beside QR and distributions in mpmath with 60 digits."""

import numpy as np
import pytest
from designs import Design
from mpmath import mp
from truth import Line, f_tail, number, t_quantile, t_tails

HARD = (Design(1e8, 1e6, "analytic", True), Design(1e12, 0.0, "", False), Design(1e2, 1e9, "frequency", True))


def _close(value, wanted, digits=45):
    assert abs(mp.mpf(value.str(60, radius=False)) / wanted - 1) < mp.mpf(10) ** -digits


@pytest.mark.parametrize("design", HARD, ids=str)
def test_normal_equations_give_what_qr_gives(design):
    table = design.table()
    line = Line(table.x, table.y, table.weight, intercept=table.intercept, frequency=table.frequency)
    weight = np.ones(len(table.y)) if table.weight is None else table.weight
    with mp.workdps(80):
        root = [mp.sqrt(mp.mpf(w)) for w in weight]
        rows = [[*([mp.mpf(1)] if table.intercept else []), *(mp.mpf(v) for v in row)] for row in table.x]
        x = mp.matrix([[v * r for v in row] for row, r in zip(rows, root, strict=True)])
        y = mp.matrix([mp.mpf(v) * r for v, r in zip(table.y, root, strict=True)])
        q, r = mp.qr(x, "skinny")
        coef = mp.lu_solve(r, q.T * y)
        resid = y - x * coef
        rss = (resid.T * resid)[0]
        inverse = r**-1
        bread = inverse * inverse.T
        for j, value in enumerate(coef):
            _close(line.coef[j], value)
            _close(line.classical.errors[j], mp.sqrt(rss / mp.mpf(line.df) * bread[j, j]))
        # HC0 of single rows: of equal rows, the scores of each.
        meat = mp.matrix(line.k, line.k)
        for i, w in enumerate(weight):
            scale = resid[i] ** 2 / mp.mpf(w) if table.frequency else resid[i] ** 2
            push = x[i, :].T * x[i, :] * scale
            meat += push
        cov = bread * meat * bread
        for j in range(line.k):
            _close(line.hc(0).errors[j], mp.sqrt(cov[j, j]))


@pytest.mark.parametrize(("f", "num", "denom"), [(3.0, 2, 7.0), (80.0, 5, 55.0), (1e-3, 1, 2.0), (1e4, 4, 100.0)])
def test_tails_are_those_of_the_incomplete_beta_function(f, num, denom):
    with mp.workdps(50):
        x = mp.mpf(denom) / (denom + num * mp.mpf(f))
        _close(f_tail(number(f), num, denom), mp.betainc(denom / 2, num / 2, 0, x, regularized=True), 40)
    if num == 1:
        q = t_quantile(0.05, denom)
        assert abs(t_tails(q, denom) - number(0.05)) < number(1e-30)
