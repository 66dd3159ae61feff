"""Digits of coefficients and standard errors on NIST's eleven linear sets, for streamreg and its peers.

Log relative error, ``-log10 |value - certified| / |certified|``, the least over all coefficients; 16 is exact.
streamreg is fed batches of 1, 7 and all rows and the worst of the three is shown. Source of sets and certificates:
NIST Statistical Reference Datasets (StRD), linear regression.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import mpmath
import numpy as np
import record

import streamreg as sr

NAMES = ["Norris", "Pontius", "NoInt1", "NoInt2", "Filip", "Longley", *(f"Wampler{k}" for k in range(1, 6))]
DATA = Path("tests/data/nist")
mpmath.mp.dps = 40

Estimates = tuple[np.ndarray, np.ndarray | None]  # coefficients with the intercept first, and their errors


def digits(values: np.ndarray | None, certified: list[str]) -> float:
    """Return the least number of digits; 0 for none, NaN if there are no values."""
    if values is None or len(values) != len(certified) or not np.isfinite(values).all():
        return float("nan")
    least = 16.0
    for value, text in zip(values, certified, strict=True):
        true = mpmath.mpf(text)
        error = abs(mpmath.mpf(float(value)) - true)
        relative = error / abs(true) if true else error
        if relative:
            least = min(least, float(-mpmath.log10(relative)))
    return max(least, 0.0)


def design(data: dict) -> np.ndarray:
    """Return slope columns in float64; powers are rounded once from their exact values."""
    x = np.array(data["X"], dtype=float)
    if not data["degree"] or data["degree"] == 1:
        return x
    powers = [[float(mpmath.mpf(float(v)) ** k) for k in range(1, data["degree"] + 1)] for v in x[:, 0]]
    return np.array(powers)


def with_ones(x: np.ndarray, intercept: bool) -> np.ndarray:
    return np.column_stack([np.ones(len(x)), x]) if intercept else x


def numpy_lstsq(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
    return np.linalg.lstsq(with_ones(x, intercept), y, rcond=None)[0], None


def scipy_lstsq(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
    from scipy.linalg import lstsq

    return lstsq(with_ones(x, intercept), y)[0], None


def statsmodels_ols(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
    import statsmodels.api as sm

    fit = sm.OLS(y, with_ones(x, intercept)).fit()
    return fit.params, fit.bse


def scikit_learn(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
    from sklearn.linear_model import LinearRegression

    fit = LinearRegression(fit_intercept=intercept).fit(x, y)
    return (np.r_[fit.intercept_, fit.coef_] if intercept else fit.coef_), None


def sklearnex(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
    from sklearnex.linear_model import IncrementalLinearRegression

    fit = IncrementalLinearRegression(fit_intercept=intercept).fit(x, y)
    slopes = np.ravel(fit.coef_)
    return (np.r_[np.ravel(fit.intercept_), slopes] if intercept else slopes), None


def streamreg(size: int | None, powers: int = 1, **options: object) -> Callable[..., Estimates]:
    def estimate(x: np.ndarray, y: np.ndarray, intercept: bool) -> Estimates:
        rows = size or len(y)
        columns = x[:, :1] if powers > 1 else x
        batches = [(columns[i : i + rows], y[i : i + rows]) for i in range(0, len(y), rows)]
        extra = {"powers": {"x0": powers}} if powers > 1 else {}
        fit = sr.Linear(intercept=intercept, **extra, **options).fit(batches)
        if not intercept:
            return fit.coef, fit.std_errors
        return np.r_[fit.intercept, fit.coef], np.r_[fit.intercept_std_error, fit.std_errors]

    return estimate


PEERS = {
    "numpy lstsq": numpy_lstsq,
    "scipy lstsq": scipy_lstsq,
    "statsmodels OLS": statsmodels_ols,
    "scikit-learn": scikit_learn,
    "sklearnex incremental": sklearnex,
}
OURS = {
    "streamreg float64": {"precision": "float64"},
    "streamreg auto (10 digits)": {},
    "streamreg auto, digits: 13": {"digits": 13},
    "streamreg exact": {"precision": "exact"},
}


def attempt(method: Callable[..., Estimates], *arguments: object) -> Estimates:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return method(*arguments)
    except Exception as error:  # a peer that fails scores no digit; say why
        print(f"  {getattr(method, '__name__', 'streamreg')}: {type(error).__name__}: {error}")
        return np.array([np.nan]), None


def run(arguments: argparse.Namespace) -> None:
    rows: dict[str, dict[str, list[float]]] = {}
    for name in NAMES:
        data = json.loads((DATA / f"{name}.json").read_text())
        x, y, certified = design(data), np.array(data["y"], dtype=float), data["certified"]
        degree = data["degree"] or 1

        def note(label: str, found: Estimates, reference: dict) -> None:
            scores = rows.setdefault(label, {"coef": [], "se": []})
            scores["coef"].append(digits(found[0], reference["beta"]))
            scores["se"].append(digits(found[1], reference["se"]) if found[1] is not None else float("nan"))

        for label, method in PEERS.items():
            note(label, attempt(method, x, y, data["intercept"]), certified)
        for label, options in OURS.items():
            for suffix, powers, reference in (
                ("", degree, certified),
                (" *", 1, data["exact"]["f64"]),
            ):
                runs = [attempt(streamreg(size, powers, **options), x, y, data["intercept"]) for size in (1, 7, None)]
                scored = [(digits(c, reference["beta"]), digits(s, reference["se"]), (c, s)) for c, s in runs]
                worst_coef = min(s[0] for s in scored)
                worst_se = min(s[1] for s in scored)
                scores = rows.setdefault(label + suffix, {"coef": [], "se": []})
                scores["coef"].append(worst_coef)
                scores["se"].append(worst_se)
    text = []
    for what, title in (("coef", "Digits of the coefficients"), ("se", "Digits of the standard errors")):
        body = [
            [label, *(shown(v) for v in scores[what]), shown(min(scores[what], key=lambda v: v if v == v else -1.0))]
            for label, scores in rows.items()
            if not all(np.isnan(scores[what]))
        ]
        text.append(f"{title}:\n\n{record.table(['', *NAMES, 'least'], body)}")
    text.append("\\* powers rounded to float64 columns beforehand, scored against the exact solution of those columns.")
    print("\n\n".join(text))
    print(f"\nwritten to {record.keep('accuracy', {'sets': NAMES, 'digits': rows})}")
    if arguments.write:
        record.into_figures("accuracy", "\n\n".join(text))


def shown(value: float) -> str:
    return "fail" if np.isnan(value) else f"{value:.1f}"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="put the table into docs/figures.md")
