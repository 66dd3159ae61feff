"""Exact references by rational arithmetic, and the helpers that feed statistics block by block."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamreg.design.batch import Batch
from streamreg.kernels import doubledouble as dd

NIST = Path(__file__).parents[1] / "data" / "nist"
SETS = (
    "Norris",
    "Pontius",
    "NoInt1",
    "NoInt2",
    "Filip",
    "Longley",
    "Wampler1",
    "Wampler2",
    "Wampler3",
    "Wampler4",
    "Wampler5",
)


def feed(statistic, x, y, weight=None, low=None, start=0):
    """Update a statistic with the rows of arrays, block by block as a fold would."""
    size = statistic.block_rows
    assert start % size == 0
    for row in range(0, len(x), size):
        part = slice(row, row + size)
        here = x[part]
        statistic.update(
            Batch(
                here,
                None if y is None else y[part],
                None if weight is None else weight[part],
                start + row,
                len(here),
                0,
                None if low is None else low[part],
            )
        )
    return statistic


def named(x):
    return [f"x{k}" for k in range(x.shape[1])] + ["y"]


@dataclass
class Exact:
    """Rational solution: intercept first if there is one; squared standard errors."""

    coef: list
    variance: list
    rss: Fraction


def as_fractions(x, low=None):
    table = [[Fraction(int(v)) if isinstance(v, np.integer) else Fraction(float(v)) for v in row] for row in x]
    if low is not None:
        table = [[a + Fraction(float(b)) for a, b in zip(r, s, strict=True)] for r, s in zip(table, low, strict=True)]
    return table


def fit(x, y, weight=None, low=None, intercept=True):
    """Solve the normal equations in rational arithmetic. Independent of the product's own integers."""
    rows = as_fractions(x, low)
    if intercept:
        rows = [[Fraction(1), *row] for row in rows]
    rows = [[*row, Fraction(float(v))] for row, v in zip(rows, y, strict=True)]
    weights = [Fraction(1)] * len(rows) if weight is None else [Fraction(float(w)) for w in weight]
    # One power of two for all makes the sums integers, which are quick.
    unit = max(max(v.denominator for row in rows for v in row), max(w.denominator for w in weights))
    table = np.array([[int(v * unit) for v in row] for row in rows], dtype=object)
    heavy = np.array([int(w * unit) for w in weights], dtype=object)
    gram = (table * heavy[:, None]).T.dot(table)
    k = len(gram) - 1
    square = [[Fraction(int(gram[i, j])) for j in range(k)] for i in range(k)]
    inverse = _inverse(square)
    rhs = [Fraction(int(gram[i, k])) for i in range(k)]
    coef = [sum((a * b for a, b in zip(row, rhs, strict=True)), Fraction(0)) for row in inverse]
    scale = Fraction(1, unit**3)
    rss = (Fraction(int(gram[k, k])) - sum((a * b for a, b in zip(coef, rhs, strict=True)), Fraction(0))) * scale
    df = len(rows) - k
    variance = [row[i] / scale * rss / df if df > 0 else None for i, row in enumerate(inverse)]
    return Exact(coef, variance, rss)


def _inverse(square):
    k = len(square)
    work = [[*row, *(Fraction(int(i == j)) for j in range(k))] for i, row in enumerate(square)]
    for i in range(k):
        pivot = next(r for r in range(i, k) if work[r][i] != 0)
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for r in range(k):
            if r != i and work[r][i] != 0:
                factor = work[r][i]
                work[r] = [a - factor * b for a, b in zip(work[r], work[i], strict=True)]
    return [row[k:] for row in work]


def digits(value, truth):
    """Return the log relative error of a float against a rational or a decimal string, at most 16."""
    truth = Fraction(truth)
    error = abs(Fraction(float(value)) - truth) / (abs(truth) if truth else 1)
    return 16.0 if not error else float(np.clip(-np.log10(max(float(error), 1e-300)), -300.0, 16.0))


def root_digits(value, square):
    """Return the log relative error of a float against the root of a rational."""
    if not square:
        return 16.0 if not value else 0.0
    error = abs(Fraction(float(value)) ** 2 / Fraction(square) - 1) / 2
    return 16.0 if not error else float(np.clip(-np.log10(max(float(error), 1e-300)), -300.0, 16.0))


def estimates(problem, solution):
    """Return coefficients and standard errors in the units of the data, the intercept first if there is one."""
    df = problem.n - solution.rank - problem.intercept
    sigma = np.sqrt(solution.rss / df) if df > 0 else np.nan
    errors = np.full(len(problem.names), np.nan)
    power = solution.target_exponent - solution.exponent[solution.kept]
    errors[solution.kept] = np.ldexp(sigma * np.sqrt(np.diag(solution.inverse)) / solution.scale[solution.kept], power)
    if not problem.intercept:
        return solution.coef, errors
    first = np.ldexp(sigma * np.sqrt(solution.mean_leverage), solution.target_exponent)
    return np.concatenate([[solution.intercept], solution.coef]), np.concatenate([[first], errors])


def nist(name):
    """Return features, low parts (for powers) or None, target, and the whole description."""
    data = json.loads((NIST / f"{name}.json").read_text())
    x, y = np.array(data["X"], dtype=float), np.array(data["y"], dtype=float)
    low = None
    if (data["degree"] or 1) > 1:
        x, low = dd.powers(x[:, 0], data["degree"])
    return x, low, y, data
