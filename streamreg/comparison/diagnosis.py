"""What a distance between two fits means: a verdict, where the difference lies, and what might have caused it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.agreement import Distance, finite
from streamreg.result import FitResult

Float = NDArray[np.float64]
Verdict = Literal["agree", "agree where identifiable", "not converged", "differ"]
Titles = tuple[str, str]

# For a perfect fit, fitted values agree within this many times the tolerance, relative to the target's spread.
_PERFECT = 1e-4
_SHOWN = 5  # names in a sentence


def judge(
    a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float, titles: Titles
) -> tuple[Verdict, str, str]:
    """Return the verdict on two fits, one sentence of reason and one of advice.

    All three fits have the same names in the same order; `b` is the one that is asked about.
    """
    stuck = next((t for fit, t in zip((a, b), titles, strict=True) if fit.status.startswith("not converged")), None)
    broken = [(f, t) for f, t in zip((a, b), titles, strict=True) if not finite(f, reference.identifiable)]
    if broken:
        reason = f"{' and '.join(t for _, t in broken)}: some of the coefficients are no numbers."
        fit, title = broken[0]
        return "not converged" if stuck else "differ", reason, f"{title}: {fit.status if stuck else 'fit it anew'}."
    measured = distance.fitted if distance.perfect else distance.greatest
    limit = _PERFECT * tolerance if distance.perfect else tolerance
    amount = (
        f"fitted values differ by {figure(measured)} of the target's spread"
        if distance.perfect
        else f"the greatest distance is {figure(measured)} SE"
    )
    if measured <= limit:
        reason = f"{amount[0].upper()}{amount[1:]}"
        if reference.identifiable.all():
            return "agree", f"{reason}, within {limit:g}.", ""
        free = [n for n, known in zip(reference.names, reference.identifiable, strict=True) if not known]
        written = f" ({_list(reference.dependencies, '; ')})" if reference.dependencies else ""
        return "agree where identifiable", f"{reason}; the data do not determine {_list(free)}{written}.", ""
    where, advice = _why(a, b, reference, distance, tolerance)
    reason = f"{titles[1]} is away from {titles[0]}: {amount}{where}."
    if stuck is not None:
        return "not converged", reason, f"{stuck} had not converged: {advice or 'raise epochs, or whiten'}."
    return "differ", reason, f"{advice[0].upper()}{advice[1:]}." if advice else ""


def _why(a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float) -> tuple[str, str]:
    """Return where the difference lies, and what might have caused it."""
    far = np.flatnonzero(np.nan_to_num(distance.each) > tolerance)
    if a.has_intercept != b.has_intercept:
        return ", and only one of them has an intercept", "fit both with or both without intercept"
    digits = _rounded_to(a.coef, b.coef)
    if digits:
        return "", f"the coefficients are the same to {digits} digits: write out more of them"
    if not len(far):
        return (", all of it in the intercept", _intercept(a, b, reference)) if distance.mean > tolerance else ("", "")
    if len(far) == 1:
        i = int(far[0])
        ratio = b.coef[i] / a.coef[i] if a.coef[i] else float("nan")
        hint = f"its coefficients stand as {ratio:.6g} to 1: check that column's units" if abs(ratio - 1) > 0.05 else ""
        return f", all of it in {a.names[i]}", hint
    transformed = _transformed(a, b, reference, far)
    if transformed:
        return transformed
    if not distance.directions:
        return "", ""
    top = distance.directions[0]
    where = f", {figure(top.distance)} along {top}" if str(top) else f", spread over {len(far)} coefficients"
    if top.eigenvalue < 0.1 and str(top):
        return f"{where}, where the data are nearly flat", "raise epochs, or whiten"
    return where, "raise epochs" if "mini-batch" in (a.level, b.level) else ""


def _intercept(a: FitResult, b: FitResult, reference: FitResult) -> str:
    """Return what a wrong intercept beside right slopes looks like."""
    size = max(abs(b.intercept - a.intercept), abs(b.intercept))
    if b.intercept == 0:
        return "the intercept is 0: was it left out when the coefficients were written?"
    if abs(b.intercept - reference.at_centre) <= 1e-3 * size:
        return "it is the fitted value at the means of the columns, so it belongs to centred columns"
    return "check how the intercept was computed"


def _transformed(a: FitResult, b: FitResult, reference: FitResult, far: NDArray[np.int64]) -> tuple[str, str] | None:
    """Recognise coefficients that are right for another order of the columns, or for other units."""
    near = 0.05 * np.abs(b.coef - a.coef)
    names = _list([a.names[i] for i in far])
    if len(far) == 2:
        i, j = far
        if (np.abs(b.coef[[i, j]] - a.coef[[j, i]]) <= near[[i, j]]).all():
            return f", in {names}", "their coefficients are swapped: check the order of the columns"
    if len(far) > 2 and (np.abs(np.sort(b.coef[far]) - np.sort(a.coef[far])) <= near[far].min()).all():
        return f", in {names}", "they are the same numbers in another order: check the order of the columns"
    if reference.geometry is not None:
        deviation = reference.geometry.norms() / np.sqrt(reference.geometry.weight)
        if (np.abs(b.coef - a.coef * deviation)[far] <= near[far]).all():
            remedy = "they belong to standardised columns: divide each by its column's standard deviation"
            return f", in {len(far)} coefficients", remedy
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = b.coef / a.coef
        constant = np.ptp(ratio[far]) <= 0.01 * abs(ratio[far][0] - 1)
    if len(far) > 2 and constant:
        return f", in {len(far)} coefficients", f"all stand as {ratio[far][0]:.6g} to 1: check the target's units"
    return None


def _rounded_to(a: Float, b: Float) -> int:
    """Return to how many digits `b` is `a`, written out; 0 if it is not."""
    for digits in range(1, 9):
        if all(float(f"{value:.{digits}g}") == other for value, other in zip(a, b, strict=True)):
            return digits if len(a) and not np.array_equal(a, b) else 0
    return 0


def _list(items: list[str] | tuple[str, ...], separator: str = ", ") -> str:
    more = len(items) - _SHOWN
    return separator.join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def figure(value: float, digits: int = 3) -> str:
    """Return a number for a sentence or a table; a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.{digits}g}"
