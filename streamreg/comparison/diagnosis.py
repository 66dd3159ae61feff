"""What a distance between two fits means: a verdict, where the difference lies, and what might have caused it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.comparison.reference import least_digits, solved
from streamreg.families import family
from streamreg.results.base import FitResult
from streamreg.results.distance import Distance, finite

Float = NDArray[np.float64]
Verdict = Literal["agree", "agree where identifiable", "cannot tell", "not converged", "differ"]
Titles = tuple[str, str]
Limits = tuple[float, float]  # in standard errors, and in the unit of the distance

# For a perfect fit, fitted values agree within this many times the tolerance, relative to the target's spread.
_PERFECT = 1e-4
_SHOWN = 5  # names in a sentence
_FEW = 6  # digits below which they are named as what leaves a comparison open


def judge(
    a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float, titles: Titles
) -> tuple[Verdict, str, str]:
    """Return the verdict on two fits, one sentence or two of reason and one of advice.

    All three fits have the same names in the same order; `b` is the one that is asked about. The verdict is the same
    if the two change places.
    """
    pair = list(zip((a, b), titles, strict=True))
    unfinished, stuck = next(((f, t) for f, t in pair if f.status.startswith("not converged")), (None, None))
    broken = [(fit, title) for fit, title in pair if not finite(fit, reference.identifiable)]
    if broken:
        reason = f"{' and '.join(title for _, title in broken)}: some of the coefficients are no numbers."
        fit, title = next(((f, t) for f, t in broken if t == stuck), broken[0])
        return "not converged" if stuck else "differ", reason, f"{title}: {fit.status if stuck else 'fit it anew'}."
    measured = distance.fitted if distance.perfect else distance.greatest
    limit = _PERFECT * tolerance if distance.perfect else tolerance
    same = measured == 0 and np.array_equal(np.nan_to_num(a.coef), np.nan_to_num(b.coef))
    unsure = _unsure(a, b, reference, distance, (tolerance, limit), titles)
    if same or (measured <= limit and not unsure):
        reason = _sentence(distance, measured) + (f", within {limit:g}." if not same else ".")
        minimum = _from_minimum(reference, distance, tolerance)
        advice = unsure[1] if minimum and unsure else ""
        if reference.identifiable.all():
            return "agree", f"{reason}{minimum}", advice
        free = [n for n, known in zip(reference.names, reference.identifiable, strict=True) if not known]
        written = f" ({_list(reference.dependencies, '; ')})" if reference.dependencies else ""
        return (
            "agree where identifiable",
            f"{reason[:-1]}; the data do not determine {_list(free)}{written}.{minimum}",
            advice,
        )
    if unsure:
        return "cannot tell", *unsure
    where, advice = _why(a, b, reference, distance, tolerance)
    amount = _sentence(distance, measured)
    reason = f"{titles[1]} is away from {titles[0]}: {amount[0].lower()}{amount[1:]}{where}."
    if unfinished is not None:
        if not advice or unfinished.method == "newton":
            advice = unfinished.status.partition("; ")[2] or "raise epochs, or whiten"
        return "not converged", reason, f"{stuck} had not converged: {advice}."
    return "differ", reason, f"{advice[0].upper()}{advice[1:]}." if advice else ""


def _sentence(distance: Distance, measured: float) -> str:
    if distance.perfect:
        return f"Fitted values differ by {figure(measured)} of the target's spread"
    return f"The greatest distance is {figure(measured)} SE"


def _unsure(
    a: FitResult, b: FitResult, reference: FitResult, distance: Distance, limits: Limits, titles: Titles
) -> tuple[str, str] | None:
    """Return why the digits do not tell whether the fits agree, and what to do; None where they do."""
    tolerance, limit = limits
    measured = distance.fitted if distance.perfect else distance.greatest
    amount = _sentence(distance, measured)
    if measured > limit:
        for one, other, title, rounded in ((a, b, *titles), (b, a, *titles[::-1])):
            digits = _rounded_to(one.coef, other.coef) if np.isnan(other.digits).all() else 0
            if digits > 1:
                reason = f"{amount}, and the coefficients of {rounded} are those of {title} to {digits} digits."
                return reason, f"The coefficients are the same to {digits} digits: write out more of them."
    if distance.least > limit:
        return None
    if not solved(reference):
        if measured > limit:
            return None
        errors = "the standard errors are those of a fit that is not at the minimum of the loss"
        return (
            f"{amount}, but {errors}, and may be far too large.",
            "Give the data, which are fitted anew to measure by.",
        )
    advice = "Leave out or combine columns that nearly depend on each other."
    if family(reference.family).least_squares:
        advice = "Fit with precision='exact', or give the rows as data."
    if distance.in_errors > tolerance:
        least = f"in standard errors the distance may be {figure(distance.in_errors)} or more"
        return f"{amount}, but float64 moments do not tell the residuals from zero: {least}.", advice
    few = [t for f, t in zip((a, b), titles, strict=True) if least_digits(f) < _FEW]
    whose = f"the digits of {' and '.join(few)}" if few else "the digits of the moments that it is measured by"
    if measured > limit:
        return f"{amount}, which is no more than {whose} leave open.", advice
    if distance.most > limit:
        most = figure(distance.most) if np.isfinite(distance.most) else "anything"
        return f"{amount}, and as far as {whose} go it may be {most}.", advice
    return None


def _from_minimum(reference: FitResult, distance: Distance, tolerance: float) -> str:
    """Return how far two fits that agree are from the best estimates, where that is not within the tolerance."""
    best = "the least-squares solution" if family(reference.family).least_squares else "the maximum of the likelihood"
    unknown = f" How far both are from {best} is not known"
    if not solved(reference):
        return f"{unknown}: both were held off it by a penalty or restrictions, or stopped early."
    unit = "of the target's spread" if distance.perfect else "SE"
    limit = _PERFECT * tolerance if distance.perfect else tolerance
    trained = (
        0.0 if reference.method != "mini-batch" or distance.perfect else float(reference.model.get("tolerance", 0.0))
    )
    resolution = max(distance.resolution, trained)
    if resolution > limit and max(distance.apart) <= resolution:
        extent = f"{figure(resolution)} {unit}" if np.isfinite(resolution) else "it"
        return f"{unknown}: their {'tolerance leaves' if trained else 'digits leave'} {extent} open."
    if min(distance.apart) > limit:
        return f" Both are {figure(min(distance.apart))} {unit} from {best}."
    return ""


def _why(a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float) -> tuple[str, str]:
    """Return where the difference lies, and what might have caused it."""
    far = np.flatnonzero(np.nan_to_num(distance.each) > tolerance)
    if a.has_intercept != b.has_intercept:
        return ", and only one of them has an intercept", "fit both with or both without intercept"
    unlike = _unlike(a, b)
    if unlike:
        return "", unlike
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
    return where, "raise epochs" if "mini-batch" in (a.method, b.method) else ""


def _unlike(a: FitResult, b: FitResult) -> str:
    """Return in what the fits were not asked the same."""
    if a.n and b.n and a.n != b.n:
        return f"they were fitted to {a.n:,} and {b.n:,} rows: fit both to the same"
    penalties = [any(fit.model.get(name) for name in ("ridge", "l1", "l2", "alpha")) for fit in (a, b)]
    if penalties[0] != penalties[1]:
        return "only one of them is penalised: fit both with or both without penalty"
    losses = [str(fit.model.get("loss", "squared_error")) for fit in (a, b)]
    if family(a.family).least_squares and losses[0] != losses[1]:
        return f"they minimise different losses, {losses[0]} and {losses[1]}"
    if "constrained" in (a.model.get("kind"), b.model.get("kind")) and a.model.get("kind") != b.model.get("kind"):
        return "only one of them is fitted under restrictions"
    return ""


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
