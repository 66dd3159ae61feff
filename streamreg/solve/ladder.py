"""How far to climb for the digits that are asked for: float64 moments, a residual pass, the exact Gram matrix.

What each level costs, and what decides:

- float64: one pass of ``n p**2`` operations, and ``1.2 p**3`` to solve.
- a residual pass: ``4 n p`` operations, so about the time of reading. It comes before the exact level wherever it is
  predicted to reach the digits.
- exact: one pass of about ten times the arithmetic of the first, and a solution in big integers: 0.1 s for 100 columns,
  0.6 s for 300, 7 s for 1000, 35 s for 2000.

A coefficient has the digits asked for if its error is within 10**-digits of the larger of itself and a hundred standard
errors: by default of 1e-10 of itself, or 1e-8 of its standard error, which changes no conclusion. Where the exact level
takes a fifth of a second or less, a thousandth of the standard error takes the place of a hundred. Above a thousand
columns the exact solution is taken only where fewer than `ENOUGH` digits are left without it.
"""

from typing import Literal

from streamreg.problem import Problem, Solution

Level = Literal["float64", "residuals", "exact"]

LARGE = 1000
ENOUGH = 6.0
# Up to so many columns, and so many rows times squared columns, the exact level takes no time to speak of.
_FEW, _QUICK = 100, 1e8


def resolution(problem: Problem) -> float:
    """Return how many standard errors a coefficient must have for its own digits to be asked for."""
    p = len(problem.names)
    return 1e-3 if p <= _FEW and problem.n * p**2 <= _QUICK else 100.0


def next_level(solution: Solution, digits: float = 10.0, se_digits: float = 6.0) -> Level:
    """Choose the pass that a solution from float64 moments still needs.

    Parameters
    ----------
    solution : Solution
        From float64 moments.
    digits, se_digits : float
        Decimal digits wanted of every coefficient, the intercept included (see `Solution.least_digits`), and of the
        standard errors.

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
