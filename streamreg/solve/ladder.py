"""Which level of the accuracy ladder the data need, decided from what the first pass predicts."""

from typing import Literal

import numpy as np

from streamreg.problem import Solution

Level = Literal["float64", "residuals", "exact"]


def next_level(found: Solution, digits: float = 10.0, se_digits: float = 6.0) -> Level:
    """Return the level that reaches `digits` for every coefficient and `se_digits` for the standard errors."""
    least = float(np.nanmin([*found.digits, found.digits_intercept], initial=16.0))
    if found.status != "uncertain" and least >= digits and min(found.digits_se, found.digits_rss) >= se_digits:
        return "float64"
    return "exact"
