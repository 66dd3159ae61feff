"""How far to climb for the digits that are asked for: float64 moments, a residual pass, the exact Gram matrix."""

from typing import Literal

from streamreg.problem import Solution

Level = Literal["float64", "residuals", "exact"]

# The exact solve takes two minutes and two gigabytes from about three thousand columns on. Where the digits asked for
# are missed and this many are there, more columns than LARGE settle for them.
LARGE = 3000
ENOUGH = 6.0


def next_level(solution: Solution, digits: float = 10.0, se_digits: float = 6.0) -> Level:
    """Choose the pass that a solution from float64 moments still needs.

    Parameters
    ----------
    solution : Solution
        From float64 moments.
    digits, se_digits : float
        Decimal digits wanted of every coefficient, the intercept included, and of the standard errors.

    Returns
    -------
    {"float64", "residuals", "exact"}
        "float64": the solution will do. The others: one more pass, of that kind.
    """
    level = _reaching(solution, digits, se_digits)
    if not settles(solution, digits, se_digits):
        return level
    return "residuals" if solution.digits_after_residuals > solution.least_digits else "float64"


def settles(solution: Solution, digits: float = 10.0, se_digits: float = 6.0) -> bool:
    """Say whether fewer digits than asked for are taken, as those would take an exact solution of very many columns."""
    many = len(solution.digits) > LARGE
    enough = solution.status != "uncertain" and solution.least_digits >= ENOUGH
    return many and enough and _reaching(solution, digits, se_digits) == "exact"


def _reaching(solution: Solution, digits: float, se_digits: float) -> Level:
    if solution.status == "uncertain":
        return "exact"
    if solution.least_digits >= digits and min(solution.digits_se, solution.digits_rss) >= se_digits:
        return "float64"
    if solution.digits_after_residuals >= digits and solution.digits_se_after_residuals >= se_digits:
        return "residuals"
    return "exact"
