"""Do two fits agree, and if not, along which directions and why?

The second moments of the design give the loss surface exactly, ``rss(b) = rss_min + (b - b^)'S(b - b^)``, so a distance
between two sets of estimates needs no tolerance guess and no second training. For other families the Fisher information
at the maximum does so to second order, and one look at the rows certifies it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.comparison.diagnosis import judge
from streamreg.comparison.outcome import Comparison, Comparisons
from streamreg.comparison.reference import Measure, aligned, solved
from streamreg.errors import UsageError, typed
from streamreg.families import family
from streamreg.results.base import FitResult
from streamreg.results.distance import finite, measure
from streamreg.scans.run import Run

Float = NDArray[np.float64]


@typed
def compare(
    a: FitResult,
    b: FitResult,
    data: Any = None,
    *,
    tolerance: float = 0.01,
    labels: Sequence[str] | None = None,
    engine: Any = None,
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
    engine : optional
        Who works on the rows, as in `streamreg.scan`.

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
    return _compare(a, b, Measure([a, b], data, Run.of(engine=engine)), tolerance, (titles[0], titles[1]))


@typed
def compare_all(
    fits: Mapping[str, FitResult],
    data: Any = None,
    *,
    reference: str | None = None,
    tolerance: float = 0.01,
    engine: Any = None,
) -> Comparisons:
    """Compare several fits of the same target with one of them.

    Parameters
    ----------
    fits : mapping of str to FitResult
        Two or more, under names of your choice.
    data, tolerance, engine
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
    measure_by = Measure(list(fits.values()), data, Run.of(engine=engine))
    name = reference or next((n for n, fit in fits.items() if fit is measure_by.reference), next(iter(fits)))
    others = {n: fit for n, fit in fits.items() if n != name}
    pairs = {n: _compare(fits[name], fit, measure_by, tolerance, (name, n)) for n, fit in others.items()}
    return Comparisons(name, pairs)


def _compare(a: FitResult, b: FitResult, measure_by: Measure, tolerance: float, titles: tuple[str, str]) -> Comparison:
    if not tolerance > 0:
        raise UsageError(f"tolerance is {tolerance}; give a positive number of standard errors")
    found = _measured(a, b, measure_by.reference, measure_by, tolerance, titles)
    if found.verdict == "cannot tell" and measure_by.exact is not None:
        found = _measured(a, b, measure_by.exact, measure_by, tolerance, titles)
    passes, measure_by.passes = measure_by.passes, 0
    return dataclasses.replace(found, passes=passes + found.from_rows)


def _measured(
    a: FitResult, b: FitResult, reference: FitResult, measure_by: Measure, tolerance: float, titles: tuple[str, str]
) -> Comparison:
    # In the order of the reference, so that the two may change places.
    first, second = (aligned(fit, reference.names) for fit in (a, b))
    assert reference.geometry is not None
    distance = measure(reference, reference.geometry, first, second)
    known = finite(first, reference.identifiable) and finite(second, reference.identifiable)
    from_rows = measure_by.data is not None and not family(reference.family).least_squares and known
    if from_rows:
        from streamreg.comparison.certificate import certified

        farther = (first, second)[distance.farther]
        distance = certified(distance, reference, farther, measure_by.data, measure_by.run)
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
        passes=0,
        provenance={"fits": [a.provenance, b.provenance]},
    )


def _require_fits(*fits: Any) -> None:
    for fit in fits:
        if not isinstance(fit, FitResult):
            raise UsageError(
                f"a {type(fit).__name__} is no line, generalised or trained, to compare; pass a FitResult, sr.load() "
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
