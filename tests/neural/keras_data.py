"""Data that the tests of training share."""

import numpy as np


def table(n=3000, p=6, seed=0, noise=1.0):
    """Columns of very different units, two of them correlated, and a target."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p)) * 10.0 ** np.arange(p)
    x[:, 1] += 3 * x[:, 0] + 50
    return x, x @ (random.normal(size=p) / 10.0 ** np.arange(p)) + 7 + noise * random.normal(size=n)


def labelled(n=4000, p=4, seed=0):
    """Features with an offset, labels of a logistic model, and counts of a Poisson model."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p)) * 10.0 ** np.arange(p) + 100.0
    eta = (x - 100.0) @ (random.normal(size=p) / 10.0 ** np.arange(p)) * 0.7 + 0.3
    return x, (random.random(n) < 1 / (1 + np.exp(-eta))).astype(float), random.poisson(np.exp(eta)).astype(float)


def distance(fit, exact):
    """Return the largest difference of a slope, in standard errors."""
    return np.max(np.abs(fit.coef - exact.coef) / exact.std_errors)
