"""Do two fits agree, and if not, along which directions and why?

The second moments of the design give the loss surface exactly, ``rss(b) = rss_min + (b - b^)'S(b - b^)``, so a distance
between two sets of estimates needs no tolerance guess and no second training. For other families the Fisher information
at the maximum does so to second order, and one look at the rows certifies it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import tables
from streamreg.agreement import Direction, finite, measure
from streamreg.comparison.diagnosis import Verdict, figure, judge
from streamreg.comparison.reference import aligned, reference_of, resolved, solved
from streamreg.errors import UsageError
from streamreg.result import FitResult
from streamreg.stats.base import Statistic
from streamreg.stored import plain

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Comparison:
    """Outcome of `compare`. True if the fits agree.

    Attributes
    ----------
    verdict : {"agree", "agree where identifiable", "cannot tell", "not converged", "differ"}
        "cannot tell": the digits leave it open. It is the same if the two fits change places.
    reason, advice : str
        One sentence each, or two; `advice` is empty where there is nothing to do.
    names : tuple of str
        The features, in the order of the first fit.
    coef : tuple of two ndarrays of shape (p,)
    distance : ndarray of shape (p,)
        ``|difference| / SE`` for each coefficient; NaN where it is not identifiable. For a perfect fit, whose errors
        are zero, the norm of the target stands in for the residual standard error.
    intercept_distance : float
        Likewise; NaN if neither fit has an intercept, or the data do not determine it.
    max_distance : float
        The greatest distance among coefficients, intercept, fitted mean and directions.
    bounds : tuple of two floats
        What that distance (the fitted one, for a perfect fit) is at least and at most, as far as the digits of the
        fits support a difference and the moments are known.
    wald : float
        ``sqrt((b - b^)'S(b - b^) / (s**2 k))`` for k coefficients: joint distance in standard errors.
    excess_loss : float
        ``rss(b) / rss_min - 1`` of the farther fit (its deviance, in families other than gaussian).
    fitted_distance : float
        ``||X(b - b^)|| / ||y - mean(y)||``.
    from_minimum : tuple of two floats
        Newton distance of each fit from the minimum of the loss. NaN where the minimum is not known, as `excess_loss`,
        `gradient` and `newton` then are.
    gradient : float
        Of the farther fit: the largest score of a column divided by its standard deviation. Zero at the minimum; one
        where that column alone, the others held fast, would ask for a step of one standard error.
    newton : float
        ``sqrt(g'H^-1 g)`` of the farther fit, g being the gradient of the loss and H its curvature: no coefficient is
        farther from the minimum than so many standard errors.
    from_rows : bool
        Whether gradient and Newton distance were computed from the rows, not from the curvature at the minimum.
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
    bounds: tuple[float, float]
    wald: float
    excess_loss: float
    fitted_distance: float
    from_minimum: tuple[float, float]
    gradient: float
    newton: float
    from_rows: bool
    directions: tuple[Direction, ...]
    tolerance: float
    labels: tuple[str, str]

    def __bool__(self) -> bool:
        return self.verdict.startswith("agree")

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Comparison on {len(self.names)} terms: {self.verdict}>"

    def table(self, rows: int | None = 10) -> str:
        """Return the comparison as text, with the `rows` most distant coefficients (None: all)."""
        order = np.argsort(-np.nan_to_num(self.distance, nan=-1.0), kind="stable")[:rows]
        lines = [
            [self.names[i], *(figure(c[i], 8) for c in self.coef), figure(self.coef[1][i] - self.coef[0][i]),
             figure(self.distance[i])]
            for i in order
        ]  # fmt: skip
        facts = [
            ("max |difference| / SE", figure(self.max_distance)),
            ("Wald distance", figure(self.wald)),
            ("Newton distance", figure(self.newton) + (" (from the rows)" if self.from_rows else "")),
            ("gradient", figure(self.gradient)),
            ("tolerance", f"{self.tolerance:g} SE"),
            ("excess loss", figure(self.excess_loss)),
            ("fitted-value distance", figure(self.fitted_distance)),
            ("intercept distance", figure(self.intercept_distance)),
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


@dataclass(frozen=True, repr=False, slots=True)
class Comparisons:
    """Several fits, each compared with one of them. True if all agree.

    Attributes
    ----------
    reference : str
        The one that the others are compared with.
    pairs : mapping of str to Comparison
    """

    reference: str
    pairs: Mapping[str, Comparison]

    def __bool__(self) -> bool:
        return all(self.pairs.values())

    def __getitem__(self, name: str) -> Comparison:
        return self.pairs[name]

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{name}: {pair.verdict}" for name, pair in self.pairs.items())
        return f"<Comparisons with {self.reference}: {verdicts}>"

    def __str__(self) -> str:
        header = (f"against {self.reference}", "verdict", "max in SE", "Wald", "Newton", "excess loss")
        lines = [
            (name, c.verdict, *(figure(v) for v in (c.max_distance, c.wald, c.newton, c.excess_loss)))
            for name, c in self.pairs.items()
        ]
        notes = [f"{name}: {c.reason} {c.advice}".strip() for name, c in self.pairs.items()]
        return tables.render(f"{len(lines) + 1} fits", [], header, lines, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparisons as plain values, for JSON."""
        return {"reference": self.reference, "pairs": {name: c.to_dict() for name, c in self.pairs.items()}}


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
        Columns are matched by name. Errors, the measure, are those of the one that was solved and not trained, without
        penalty and restrictions, and with an intercept if either has one; of two such the one with more digits.
        Coefficients of another program come from `coefficients`.
    data : Source, Moments, or anything that `streamreg.open` takes, optional
        Needed if neither fit can be the measure: one is then solved from these rows. So it is, exactly, where the
        digits of the fits do not tell. In families other than gaussian the rows are also read once to certify the
        distance of the farther fit.
    tolerance : float
        Standard errors within which fits agree. A difference that the digits of the fits do not support is never
        called one: the verdict is then "cannot tell".
    labels : two str, optional
        How to call them; default: the kind of their models.

    Raises
    ------
    UsageError
        The fits are of different columns, targets or families, or there is nothing to measure by.
    """
    _require_fits(a, b)
    titles = _labels(a, b) if labels is None else tuple(labels)
    if len(titles) != 2:
        raise UsageError(f"labels are {len(titles)} names; two fits have two")
    _require_comparable({titles[0]: a, titles[1]: b} if titles[0] != titles[1] else {"first": a, "second": b})
    return _compare(a, b, reference_of([a, b], data), data, tolerance, (titles[0], titles[1]))


def compare_all(
    fits: Mapping[str, FitResult], data: Any = None, *, reference: str | None = None, tolerance: float = 0.01
) -> Comparisons:
    """Compare several fits of the same target with one of them.

    Parameters
    ----------
    fits : mapping of str to FitResult
        Two or more, under names of your choice.
    data, tolerance
        As for `compare`.
    reference : str, optional
        Whom to compare the others with; default: the first that was solved and not trained, else the first.

    Raises
    ------
    UsageError
        As for `compare`; or fewer than two fits, or no such reference.
    """
    _require_fits(*fits.values())
    if len(fits) < 2:
        raise UsageError(f"{len(fits)} fit(s) given; two or more can be compared")
    if reference is not None and reference not in fits:
        raise UsageError(f"no fit {reference!r}; there is {', '.join(fits)}")
    _require_comparable(fits)
    measure_by = reference_of(list(fits.values()), data)
    name = reference or next((n for n, fit in fits.items() if fit is measure_by), next(iter(fits)))
    others = {n: fit for n, fit in fits.items() if n != name}
    pairs = {n: _compare(fits[name], fit, measure_by, data, tolerance, (name, n)) for n, fit in others.items()}
    return Comparisons(name, pairs)


def _compare(
    a: FitResult, b: FitResult, measure_by: FitResult, data: Any, tolerance: float, titles: tuple[str, str]
) -> Comparison:
    if not tolerance > 0:
        raise UsageError(f"tolerance is {tolerance}; give a positive number of standard errors")
    found = _measured(a, b, measure_by, data, tolerance, titles)
    rows = data is not None and not isinstance(data, Statistic) and measure_by.family == "gaussian"
    if found.verdict != "cannot tell" or not rows or measure_by.level == "exact" or not _is_one_of(measure_by, a, b):
        return found
    return _measured(a, b, resolved([a, b], data, "exact"), data, tolerance, titles)


def _is_one_of(fit: FitResult, *fits: FitResult) -> bool:
    return any(fit is other for other in fits)


def _measured(
    a: FitResult, b: FitResult, reference: FitResult, data: Any, tolerance: float, titles: tuple[str, str]
) -> Comparison:
    # In the order of the reference, so that the two may change places.
    first, second = (aligned(fit, reference.names) for fit in (a, b))
    assert reference.geometry is not None
    distance = measure(reference, reference.geometry, first, second)
    known = finite(first, reference.identifiable) and finite(second, reference.identifiable)
    from_rows = data is not None and reference.family != "gaussian" and known
    if from_rows:
        from streamreg.comparison.certificate import certified

        distance = certified(distance, reference, (first, second)[distance.farther], data)
    verdict, reason, advice = judge(first, second, reference, distance, tolerance, titles)
    at_minimum = solved(reference)
    nan = float("nan")
    return Comparison(
        verdict=verdict,
        reason=reason,
        advice=advice,
        names=a.names,
        coef=(a.coef, aligned(b, a.names).coef),
        distance=distance.each[[reference.names.index(name) for name in a.names]],
        intercept_distance=distance.intercept,
        max_distance=distance.greatest,
        bounds=(distance.least, distance.most),
        wald=distance.wald,
        excess_loss=distance.excess if at_minimum else nan,
        fitted_distance=distance.fitted,
        from_minimum=distance.apart if at_minimum else (nan, nan),
        gradient=distance.gradient if at_minimum else nan,
        newton=distance.newton if at_minimum else nan,
        from_rows=from_rows,
        directions=distance.directions,
        tolerance=tolerance,
        labels=titles,
    )


def _require_fits(*fits: Any) -> None:
    for fit in fits:
        if not isinstance(fit, FitResult):
            raise UsageError(
                f"a {type(fit).__name__} has no coefficients to compare; pass results of fits, sr.FitResult.load(path) "
                "or sr.coefficients(...); networks are compared by sr.score"
            )


def _require_comparable(fits: Mapping[str, FitResult]) -> None:
    (first, a), *others = fits.items()
    for name, b in others:
        if set(a.names) != set(b.names):
            only = sorted(set(a.names) ^ set(b.names))
            what = f"columns {', '.join(map(repr, only[:5]))} are in one only"
        elif a.target and b.target and a.target != b.target:
            what = f"their targets are {a.target!r} and {b.target!r}"
        elif a.family != b.family:
            what = f"their families are {a.family} and {b.family}"
        else:
            continue
        raise UsageError(f"{first} and {name} cannot be compared: {what}; fit both to the same features and target")


def _labels(a: FitResult, b: FitResult) -> tuple[str, str]:
    first, second = (str(fit.model.get("kind", "fit")) for fit in (a, b))
    return (first, second) if first != second else (f"{first} 1", f"{second} 2")
