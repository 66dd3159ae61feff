"""What moments answer in milliseconds, beside scikit-learn on the raw rows."""

import argparse
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record
import speed

import streamreg as sr


def run(arguments: argparse.Namespace) -> None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LassoCV, LinearRegression, lasso_path

    warnings.simplefilter("ignore", ConvergenceWarning)
    path = Path(arguments.folder) / f"{arguments.rows}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        sr.generate(path, rows=arguments.rows, columns=100)
    source = sr.open(path, target="y")
    folds = sr.scan(source, folds=10, progress=False)
    moments = sr.scan(source, progress=False)
    table = np.load(path)
    x, y = np.asfortranarray(table[:, :-1]), table[:, -1]
    some = moments.names[3:63:3]
    columns = [moments.names.index(name) for name in some]
    part = np.asfortranarray(x[:, columns])  # beforehand: a copy is not what is compared
    alphas = sr.Penalised().fit(moments).alphas
    number = np.random.default_rng(0).integers(0, 10, len(y))
    splits = [(np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(10)]

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object] | None]] = {
        "OLS on 20 of 100 columns": (
            lambda: sr.Linear(features=some).fit(moments),
            lambda: LinearRegression().fit(part, y),
        ),
        "lasso path, 100 penalties": (
            lambda: sr.Penalised().fit(moments),
            lambda: lasso_path(x - x.mean(axis=0), y - y.mean(), alphas=alphas, precompute=True),
        ),
        "10-fold CV of that path": (
            lambda: sr.Penalised().cross_validate(folds),
            (lambda: LassoCV(alphas=alphas, cv=splits, precompute=True).fit(x, y)) if arguments.slow else None,
        ),
        "best subset of 30 columns": (lambda: sr.Subsets(features=moments.names[:30]).fit(moments), None),
        "forward selection of 100": (lambda: sr.Subsets(method="forward").fit(moments), None),
    }
    times, body = {}, []
    for label, (ours, theirs) in pairs.items():
        mine = times[label] = speed.seconds(ours, 10 * arguments.repeats)
        row = [label, f"{1e3 * statistics.median(mine):.1f}", f"{1e3 * min(mine):.1f}-{1e3 * max(mine):.1f}", "-", "-"]
        if theirs is not None:
            rows = times[f"{label}, scikit-learn"] = speed.seconds(theirs, arguments.repeats)
            row[3:] = f"{statistics.median(rows):.2f}", f"{statistics.median(rows) / statistics.median(mine):,.0f}"
        body.append(row)
    random = np.random.default_rng(0)
    for p in (300, 1000):
        sums = sr.scan(random.normal(size=(2 * p, p + 1)) @ random.normal(size=(p + 1, p + 1)), precision="exact")
        mine = times[f"exact solution of {p} columns"] = speed.seconds(lambda s=sums: sr.Linear(target="x0").fit(s), 1)
        body.append([f"exact solution of {p} columns", f"{1e3 * mine[0]:.0f}", "-", "-", "-"])
    print(record.table([f"{arguments.rows:,} x 100", "ms", "range", "scikit-learn s", "times"], body))
    print(f"written to {record.keep('algebra', times)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
    parser.add_argument("--slow", action="store_true", help="also cross-validate with scikit-learn (minutes)")
