"""A family as somebody would add it: gamma with the log link, which is not its canonical one."""

import numpy as np

from streamreg.families.base import Family


class Gamma(Family):
    """Positive targets whose variance is proportional to the squared mean."""

    name, link, requirement = "toy_gamma", "log", "above 0"
    activation = "exponential"
    dispersion_known = False

    def mean(self, eta):
        return np.exp(np.clip(eta, -200.0, 200.0))

    def linked(self, mean):
        return np.asarray(np.log(mean))

    def variance(self, mean):
        return mean**2

    def slope(self, mean):
        return mean

    def information(self, mean):
        return np.ones_like(mean)

    def score(self, y, eta):
        return y / self.mean(eta) - 1.0, np.ones_like(eta)

    def deviance(self, y, eta):
        return 2.0 * (y / self.mean(eta) - 1.0 - np.log(y) + eta)

    def null_terms(self, mean):
        return 2.0 * float(np.log(mean)) - 2.0, 2.0 / mean, 2.0

    def curved(self, y):
        return -np.log(y)

    def saturated(self, y):
        return np.full_like(y, np.nan)

    def valid(self, y):
        return y > 0

    def violation(self, y, move):
        return np.abs(move)

    def start(self, y):
        return y

    def separated(self, whole):
        return 1.0, "no finite maximum along ", ""
