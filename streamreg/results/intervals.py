"""Intervals about fitted values: where the mean is, and where a new observation is."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.inference.distributions import t_quantile
from streamreg.inference.statistics import require_level
from streamreg.results.estimates import Estimates, Scale
from streamreg.results.fitted import expanded

Float = NDArray[np.float64]

Interval = Literal["confidence", "prediction"]
"""What an interval is for: the mean of the target, or one new observation of weight 1."""

COLUMNS = ("prediction", "std_error", "lower", "upper")
"""What predictions with intervals are called, in this order."""

_NULL = 1e-9  # a direction that moves a row by less than this, relative to its terms, leaves it alone


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Predictions:
    """Fitted values with intervals; NaN where a row misses a value.

    Attributes
    ----------
    prediction, std_error, lower, upper : ndarrays of shape (m,)
        The standard error is that of the fitted value: also where the interval is for a new observation.
    interval : {"confidence", "prediction"}
    level : float
    """

    prediction: Float
    std_error: Float
    lower: Float
    upper: Float
    interval: str
    level: float

    def __len__(self) -> int:
        return len(self.prediction)

    def __repr__(self) -> str:
        return f"<{len(self):,} predictions with {self.level:.6g} {self.interval} intervals>"

    def to_frame(self) -> Any:
        """Return the columns as a data frame of pandas, or of polars where pandas is not installed.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        from streamreg.reporting.frames import frame

        return frame({name: getattr(self, name) for name in COLUMNS})


def require_intervals(fit: Any, interval: str, level: float) -> None:
    """Raise `UsageError` unless a fit has intervals of this kind; the message says why."""
    if interval not in ("confidence", "prediction"):
        raise UsageError(f"predict: no interval {interval!r}; it can be 'confidence' or 'prediction'")
    require_level(level)
    if not isinstance(fit, Estimates):
        raise UsageError("a network has no standard errors, and so no intervals; fit sr.Linear or sr.Glm")
    if fit.absorbed is not None:
        raise UsageError(
            "intervals need the errors of the absorbed effects, which are not kept; fit the factor as a category, "
            "C(name) in a formula, or leave interval out"
        )
    require_errors(fit, "intervals")
    if interval == "prediction" and not family(fit.family).least_squares:
        raise UsageError(
            f"interval='prediction' is for least squares: observations of the family {fit.family} lie about their mean "
            "in another shape, which an interval of this kind does not tell; ask for interval='confidence'"
        )


def require_errors(fit: Estimates, what: str) -> None:
    """Raise `UsageError` unless a fit has standard errors, which `what` is made of."""
    known = fit.std_errors[fit.identifiable]
    missing = fit.geometry is None or fit.method == "mini-batch" or not fit.sigma >= 0
    if missing or (np.isnan(known).any() if fit.sandwich is None else fit.sandwich.rank < 0):
        raise UsageError(
            "this fit has no standard errors (a penalty, a choice of columns, training, or no degrees of freedom), and "
            f"so no {what}; fit sr.Linear or sr.Glm without a penalty"
        )


def of_rows(fit: Estimates, rows: NDArray[Any], kind: Scale, interval: Interval, level: float) -> tuple[Float, ...]:
    """Return fitted values, their standard errors, and the ends of intervals, each of shape (m,).

    Of families other than gaussian the interval is that of the linear predictor, and its ends are turned into means;
    the standard error of a mean is that of the predictor times the derivative of the mean.

    Parameters
    ----------
    fit : Estimates
        With intervals; see `require_intervals`.
    rows : ndarray of shape (m, number of columns)
        No value is missing.
    """
    terms, low, moved = expanded(fit, rows)
    z = fit.line.centred(terms, low)
    eta = fit.line.there(z)
    eta = eta if moved is None else eta + moved
    error = _errors(fit, z)
    width = error if interval == "confidence" else np.hypot(error, fit.sigma)
    width = width * t_quantile(1.0 - level, fit.df_test)
    lower, upper = eta - width, eta + width
    if kind == "link" or family(fit.family).least_squares:
        return eta, error, lower, upper
    facts = family(fit.family)
    ends = np.sort(np.stack([facts.mean(lower), facts.mean(upper)]), axis=0)  # of some links the mean falls
    return facts.mean(eta), error * np.abs(facts.derivative(eta)), ends[0], ends[1]


def _errors(fit: Estimates, z: Float) -> Float:
    """Return the standard errors of linear predictors, shape (m,), of terms less the line's centre."""
    return spread(fit, np.ones(len(z)), z)


def spread(fit: Estimates, level: Float, z: Float) -> Float:
    """Return standard errors of combinations of the predictor at the centre and of the slopes, shape (m,).

    At the centre the predictor does not depend on the slopes, so in the orthonormal columns of `Geometry.root` the
    covariance of the coefficients is sigma**2 times the unit matrix, or the sandwich's.

    Parameters
    ----------
    fit : Estimates
        With errors; see `require_errors`.
    level : ndarray of shape (m,)
        How often the predictor at the fit's `centre`.
    z : ndarray of shape (m, p)
        How often each slope.

    Returns
    -------
    ndarray of shape (m,)
        NaN for what the data do not determine.
    """
    geometry = fit.geometry
    assert geometry is not None
    if geometry.offset.size:
        z = z - level[:, None] * geometry.offset
    scaled = level / np.sqrt(geometry.weight) if fit.has_intercept else 0.0 * level
    along = np.hstack([scaled[:, None], geometry.along(z)])
    if fit.sandwich is None:
        error = fit.sigma * np.linalg.norm(along, axis=1)
    else:
        error = np.sqrt(np.maximum(((along @ fit.sandwich.meat) * along).sum(axis=1), 0.0))
    if geometry.null_space.size and fit.model.get("singular") != "drop":
        moved = np.abs(z @ geometry.null_space) > _NULL * (np.abs(z) @ np.abs(geometry.null_space))
        error[moved.any(axis=1)] = np.nan  # the data do not determine these fitted values
    return np.asarray(error)
