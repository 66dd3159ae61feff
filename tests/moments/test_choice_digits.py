"""Best subsets among dependent columns, degrees of freedom in AIC, and the digits of candidates and replicates."""

from itertools import combinations

import numpy as np
import pytest

import streamreg as sr


def table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Return rows of which some columns are sums of others; sometimes fewer rows than columns."""
    random = np.random.default_rng(seed)
    p, n = int(random.integers(2, 8)), int(random.integers(4, 30))
    x = random.normal(size=(n, p))
    for _ in range(seed % 3):
        j = int(random.integers(p))
        others = random.choice([k for k in range(p) if k != j], min(2, p - 1), replace=False)
        x[:, j] = x[:, others].sum(axis=1)
    weights = random.uniform(0.5, 2, n) if seed % 2 else np.ones(n)
    return x, x @ random.normal(size=p) + random.normal(size=n), weights, seed % 5 > 0


def least(x: np.ndarray, y: np.ndarray, w: np.ndarray, intercept: bool, size: int) -> float:
    """Return the least residual sum of all subsets of that size whose columns are independent."""
    found, root = np.inf, np.sqrt(w)
    for columns in combinations(range(x.shape[1]), size):
        design = x[:, columns]
        if intercept:
            design = np.column_stack([np.ones(len(y)), design])
        design = design * root[:, None]
        if design.shape[1] and np.linalg.matrix_rank(design, tol=1e-8) < design.shape[1]:
            continue
        slopes = np.linalg.lstsq(design, y * root, rcond=None)[0] if design.shape[1] else np.zeros(0)
        found = min(found, float(((y * root - design @ slopes) ** 2).sum()))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_best_subsets_are_those_of_all_subsets(seed):
    x, y, w, intercept = table(seed)
    found = sr.Subsets(intercept=intercept).fit((x, y, w))
    for included, rss in zip(found.included, found.rss, strict=True):
        true = least(x, y, w, intercept, int(included.sum()))
        assert rss <= true * (1 + 1e-9) + 1e-11 * float(y @ y)
    design = np.column_stack([np.ones(len(y)), x]) if intercept else x
    assert found.included[-1].sum() == np.linalg.matrix_rank(design, tol=1e-8) - intercept


def test_a_column_that_others_determine_may_be_the_best():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 2))
    y = x.sum(axis=1) + 0.04 * random.normal(size=500)
    found = sr.Subsets().fit((np.column_stack([x, x.sum(axis=1)]), y))
    assert found.features(1) == ("x2",)
    assert found.rss[1] < 1.1
    assert found.status == "dependent"


@pytest.mark.parametrize("intercept", [True, False])
def test_criteria_of_a_path_are_those_of_its_candidates_and_of_ridge(intercept):
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 8)) @ random.normal(size=(8, 8))
    data = sr.open((x, x @ np.ones(8) + random.normal(size=60)))
    for ratio in (0.0, 0.4, 1.0):
        path = sr.Penalised(l1_ratio=ratio, alphas=(2.0, 0.3, 0.01), intercept=intercept).fit(data)
        for k in range(3):
            one = path.candidate(k)
            np.testing.assert_allclose([one.aic, one.bic], [path.aic[k], path.bic[k]], rtol=1e-12)
            if not ratio:
                line = sr.Linear(ridge=path.alphas[k] * 60, intercept=intercept).fit(data)
                numbers = [line.aic, line.bic, line.df_resid, line.rss]
                np.testing.assert_allclose(numbers, [one.aic, one.bic, one.df_resid, one.rss], rtol=1e-9)
    hat = np.linalg.svd(x - x.mean(axis=0) * intercept, compute_uv=False) ** 2
    np.testing.assert_allclose(sr.Linear(ridge=5.0, intercept=intercept).fit(data).df_slopes, (hat / (hat + 5)).sum())


def test_few_digits_of_candidates_and_replicates_are_said():
    random = np.random.default_rng(2)
    x = random.normal(size=(200, 3))
    x[:, 1] = x[:, 0] + 1e-7 * random.normal(size=200)
    data = sr.open((x, x[:, 0] + random.normal(size=200)))
    easy = sr.open((random.normal(size=(200, 3)), random.normal(size=200)))
    found = [sr.Penalised(l1_ratio=0.0, alphas=(1e-14,)).fit(data), sr.jackknife(sr.Linear(), sr.scan(data, folds=5))]
    for result in found:
        assert np.nanmin(result.digits) < 3
        assert "digits of some" in str(result)
    good = [sr.Penalised(alphas=(0.01,)).fit(easy), sr.jackknife(sr.Linear(), sr.scan(easy, folds=5)),
            sr.Subsets(method="forward").fit(easy)]  # fmt: skip
    for result in good:
        assert np.nanmin(result.digits) > 9
        assert "digits of some" not in str(result)
