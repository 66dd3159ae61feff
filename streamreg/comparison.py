"""Do two fits agree, and if not, along which directions and why?

The second moments of the design give the loss surface exactly, ``rss(b) = rss_min + (b - b^)'S(b - b^)``, so a distance
between two sets of estimates needs no tolerance guess and no second training.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg import tables
from streamreg.agreement import Direction, Distance, measure
from streamreg.errors import UsageError
from streamreg.result import FitResult
from streamreg.stored import plain

Float = NDArray[np.float64]
Verdict = Literal["agree", "agree where identifiable", "not converged", "differ"]

# For a perfect fit, fitted values agree within this many times the tolerance, relative to the target's spread.
_PERFECT_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcome of `compare`. True if the fits agree.

    Attributes
    ----------
    verdict : {"agree", "agree where identifiable", "not converged", "differ"}
    reason, advice : str
        One sentence each; `advice` is empty where there is nothing to do.
    names : tuple of str
        The features, in the order of the first fit.
    coef : tuple of two ndarrays of shape (p,)
    distance : ndarray of shape (p,)
        ``|difference| / SE`` for each coefficient; NaN where it is not identifiable. For a perfect fit, whose errors
        are zero, the norm of the target stands in for the residual standard error.
    intercept_distance : float
        Likewise; NaN if neither fit has an intercept.
    max_distance : float
        The greatest distance among coefficients, intercept, fitted mean and directions.
    wald : float
        ``sqrt((b - b^)'S(b - b^) / (s**2 k))`` for k coefficients: joint distance in standard errors.
    excess_loss : float
        ``rss(b) / rss_min - 1`` of the farther fit, as the moments give it.
    fitted_distance : float
        ``||X(b - b^)|| / ||y - mean(y)||``.
    directions : tuple of Direction
        Those that carry most of the difference, the farthest first.
    tolerance : float
        Standard errors within which fits agree.
    labels : tuple of str
    """

    verdict: Verdict
    reason: str
    advice: str
    names: tuple[str, ...]
    coef: tuple[Float, Float]
    distance: Float
    intercept_distance: float
    max_distance: float
    wald: float
    excess_loss: float
    fitted_distance: float
    directions: tuple[Direction, ...]
    tolerance: float
    labels: tuple[str, str]

    def __bool__(self) -> bool:
        return self.verdict.startswith("agree")

    def __str__(self) -> str:
        return self.table()

    def table(self, rows: int | None = 10) -> str:
        """Return the comparison as text, with the `rows` most distant coefficients (None: all)."""
        order = np.argsort(-np.nan_to_num(self.distance, nan=-1.0), kind="stable")[:rows]
        lines = [
            [self.names[i], *(f"{c[i]:.8g}" for c in self.coef), f"{self.coef[1][i] - self.coef[0][i]:.3g}",
             _figure(self.distance[i])]
            for i in order
        ]  # fmt: skip
        facts = [
            ("max |difference| / SE", _figure(self.max_distance)),
            ("Wald distance", _figure(self.wald)),
            ("tolerance", f"{self.tolerance:g} SE"),
            ("excess loss", _figure(self.excess_loss)),
            ("fitted-value distance", _figure(self.fitted_distance)),
            ("intercept distance", _figure(self.intercept_distance)),
        ]
        notes = [f"Verdict: {self.verdict}. {self.reason}"] + ([self.advice] if self.advice else [])
        if rows is not None and rows < len(self.names):
            notes.insert(0, f"The {rows} most distant of {len(self.names)} coefficients.")
        header = ("", *self.labels, "difference", "in SE")
        return tables.render(f"{self.labels[0]} against {self.labels[1]}", facts, header, lines, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, for JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["directions"] = [dataclasses.asdict(d) | {"along": str(d)} for d in self.directions]
        out: dict[str, Any] = plain(values)
        return out


def compare(
    a: FitResult,
    b: FitResult,
    data: Any = None,
    *,
    tolerance: float = 0.01,
    labels: Sequence[str] | None = None,
) -> Comparison:
    """Compare the estimates of two fits of the same target.

    Parameters
    ----------
    a, b : FitResult
        Columns are matched by name. The reference, whose errors are the measure, is the first of them that was solved
        from second moments (one with an intercept before one without).
    data : Source or Moments, optional
        Needed only if neither fit keeps second moments: it is then scanned once.
    tolerance : float
        Standard errors within which fits agree. A difference that the reference's own digits do not support is never
        called one.
    labels : two str, optional
        How to call them; default: the kind of their models.

    Raises
    ------
    UsageError
        The fits are of different columns or targets, or no second moments are at hand.
    """
    if set(a.names) != set(b.names) or a.target != b.target:
        only = sorted(set(a.names) ^ set(b.names))
        what = f"columns {', '.join(map(repr, only[:5]))} are in one only" if only else "their targets differ"
        raise UsageError(f"these fits cannot be compared: {what}; fit both to the same features and target")
    if not tolerance > 0:
        raise UsageError(f"tolerance is {tolerance}; give a positive number of standard errors")
    reference = _aligned(_reference(a, b, data), a.names)
    assert reference.geometry is not None
    titles = (labels[0], labels[1]) if labels is not None else _labels(a, b)
    other = _aligned(b, a.names)
    distance = measure(reference, reference.geometry, a, other)
    verdict, reason, advice = _judge(a, other, reference, distance, tolerance, titles)
    return Comparison(
        verdict=verdict,
        reason=reason,
        advice=advice,
        names=a.names,
        coef=(a.coef, other.coef),
        distance=distance.each,
        intercept_distance=distance.intercept,
        max_distance=distance.greatest,
        wald=distance.wald,
        excess_loss=distance.excess,
        fitted_distance=distance.fitted,
        directions=distance.directions,
        tolerance=tolerance,
        labels=titles,
    )


def _reference(a: FitResult, b: FitResult, data: Any) -> FitResult:
    """Return the fit whose errors are the measure: solved before trained, with an intercept before without."""
    candidates = [fit for fit in (a, b) if fit.geometry is not None]
    candidates.sort(key=lambda fit: (fit.level == "mini-batch", not fit.has_intercept))
    needed = a.has_intercept or b.has_intercept
    if candidates and (candidates[0].has_intercept >= needed or data is None):
        return candidates[0]
    if data is None:
        raise UsageError("neither fit keeps second moments; give the data, which are scanned once for the errors")
    from streamreg.models.linear import Linear

    return Linear(intercept=needed, features=a.names, target=a.target).fit(data)


def _aligned(fit: FitResult, names: tuple[str, ...]) -> FitResult:
    """Return `fit` with its columns in the order of `names`."""
    if fit.names == names:
        return fit
    to = [fit.names.index(name) for name in names]
    back = np.argsort(to)
    geometry = fit.geometry
    if geometry is not None:
        geometry = dataclasses.replace(
            geometry,
            gram=geometry.gram[np.ix_(to, to)],
            kept=back[geometry.kept],
            scale=geometry.scale[to],
            exponent=geometry.exponent[to],
            null_space=geometry.null_space[to],
        )
    columns = {f: getattr(fit, f)[to] for f in ("coef", "std_errors", "identifiable", "digits", "centre")}
    return dataclasses.replace(fit, names=names, geometry=geometry, **columns)


def _labels(a: FitResult, b: FitResult) -> tuple[str, str]:
    first, second = (str(fit.model.get("kind", "fit")) for fit in (a, b))
    return (first, second) if first != second else (f"{first} 1", f"{second} 2")


def _judge(
    a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float, titles: tuple[str, str]
) -> tuple[Verdict, str, str]:
    measured = distance.fitted if distance.perfect else distance.greatest
    limit = _PERFECT_TOLERANCE * tolerance if distance.perfect else tolerance
    amount = (
        f"fitted values differ by {_figure(measured)} of the target's spread"
        if distance.perfect
        else f"the greatest distance is {_figure(measured)} SE"
    )
    if measured <= limit:
        if reference.identifiable.all():
            return "agree", f"{amount[0].upper()}{amount[1:]}, within {limit:g}.", ""
        free = ", ".join(n for n, known in zip(reference.names, reference.identifiable, strict=True) if not known)
        reason = f"{amount[0].upper()}{amount[1:]}; the data do not determine {free}"
        return "agree where identifiable", f"{reason} ({'; '.join(reference.dependencies)}).", ""
    where, advice = _why(a, b, reference, distance, tolerance)
    stuck = next((t for fit, t in zip((a, b), titles, strict=True) if fit.status.startswith("not converged")), None)
    reason = f"{titles[1]} is away from {titles[0]}: {amount}{where}."
    if stuck is not None:
        return "not converged", reason, f"{stuck} had not converged: {advice or 'raise epochs, or whiten'}."
    return "differ", reason, f"{advice[0].upper()}{advice[1:]}." if advice else ""


def _why(a: FitResult, b: FitResult, reference: FitResult, distance: Distance, tolerance: float) -> tuple[str, str]:
    """Return where the difference lies and what might have caused it."""
    far = np.flatnonzero(np.nan_to_num(distance.each) > tolerance)
    if a.has_intercept != b.has_intercept:
        return ", and only one of them has an intercept", "fit both with or both without intercept"
    if not len(far) and distance.mean > tolerance:
        return ", all of it in the intercept", "check how the intercept was computed"
    if len(far) == 1:
        i = far[0]
        ratio = b.coef[i] / a.coef[i] if a.coef[i] else float("nan")
        hint = f"its coefficients stand as {ratio:.6g} to 1: check that column's units" if abs(ratio - 1) > 0.05 else ""
        return f", all of it in {a.names[i]}", hint
    if len(far) == 2:
        i, j = far
        crossed = np.abs(b.coef[[i, j]] - a.coef[[j, i]])
        if (crossed <= 0.05 * np.abs(b.coef[[i, j]] - a.coef[[i, j]])).all():
            return (
                f", in {a.names[i]} and {a.names[j]}",
                "their coefficients are swapped: check the order of the columns",
            )
    if not distance.directions:
        return "", ""
    top = distance.directions[0]
    where = f", {_figure(top.distance)} along {top}" if str(top) else f", spread over {len(far)} coefficients"
    if top.eigenvalue < 0.1 and str(top):
        return f"{where}, where the data are nearly flat", "raise epochs, or whiten"
    return where, "raise epochs" if "mini-batch" in (a.level, b.level) else ""


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"
