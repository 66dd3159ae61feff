"""Whether saved fits can be those of rows: shapes, counts, squares. A file may have been edited."""

from typing import Any

import numpy as np

from streamreg.results.estimates import Estimates

_SLACK = 1e-6


def of_fit(fit: Estimates) -> None:
    """Raise `ValueError` if a fit is not as a model makes it."""
    p = len(fit.names)
    _shapes(fit, dict.fromkeys(("coef", "std_errors", "identifiable", "digits", "centre"), (p,)))
    _counts(fit)
    for name in ("std_errors", "intercept_std_error", "rss", "tss", "nobs", "df_resid"):
        _not_negative(name, getattr(fit, name))
    for name in ("coef", "intercept", "centre", "at_centre"):
        _require(not np.isinf(getattr(fit, name)).any(), f"{name} is infinite")
    _require(0 <= fit.rank <= p, f"rank is {fit.rank}, of {p} columns")
    if (geometry := fit.geometry) is not None:
        r = len(geometry.kept)
        _shapes(geometry, {"gram": (p, p), "inverse": (r, r), "scale": (p,), "exponent": (p,), "kept": (r,)})
        _require(geometry.null_space.ndim == 2 and len(geometry.null_space) == p, "null_space has another shape")
        kept = np.asarray(geometry.kept)
        _require(kept.dtype.kind in "iu" and len(np.unique(kept)) == r and (kept >= 0).all() and (kept < p).all(),
                 "kept columns are not among the columns")  # fmt: skip
        _square("gram", geometry.gram)
        _square("inverse", geometry.inverse)
        _not_negative("scale", geometry.scale)
        _not_negative("weight", geometry.weight)
    if (sandwich := fit.sandwich) is not None:
        _square("covariance", sandwich.cov)
        _square("meat", sandwich.meat)


def of_candidates(found: Any) -> None:
    """Raise `ValueError` if candidates are not as a model makes them."""
    p, m, k = len(found.names), len(found.coef), len(found.fold_weights)
    one = dict.fromkeys(("intercept", "rss", "df", "at_centre", "digits_intercept", "digits_rss"), (m,))
    _shapes(found, {"coef": (m, p), "digits": (m, p), "centre": (p,), "fold_errors": (m, k), **one})
    _counts(found)
    for name in ("rss", "tss", "df", "sigma2", "nobs", "fold_errors", "fold_weights"):
        _not_negative(name, getattr(found, name))
    _require(not np.isinf(found.coef).any(), "coef is infinite")


def of_instruments(fit: Any) -> None:
    """Raise `ValueError` if a fit by instruments is not as a model makes it."""
    p, w = len(fit.names), len(fit.endogenous)
    _shapes(fit, dict.fromkeys(("coef", "std_errors", "digits"), (p,)))
    _shapes(fit, {"covariance": (p, p), "partial_rsquared": (w,), "first_stage_f": (w,)})
    _require(w > 0 and set(fit.endogenous) <= set(fit.names), "endogenous columns have no coefficient")
    _square("covariance", fit.covariance)
    for name in ("std_errors", "rss", "tss", "nobs", "df_resid", "n", "n_missing", "sargan_df"):
        _not_negative(name, getattr(fit, name))


def of_classes(fit: Any) -> None:
    """Raise `ValueError` if a fit of classes is not as a model makes it."""
    q, p, k = len(fit.names), len(fit.terms), len(fit.classes)
    _shapes(fit, dict.fromkeys(("coef", "std_errors", "identifiable", "digits"), (q,)))
    _shapes(fit, {"covariance": (q, q), "centre": (p,), "at_centre": (k - 1,), "counts": (k,)})
    _require(k > 1 and fit.slopes_at_centre.shape[1:] == (p,), "slopes have another shape")
    _require(q == (p + k - 1 if fit.ordered else (k - 1) * (p + fit.has_intercept)), "another number of coefficients")
    _require(fit.ordered or fit.base in fit.classes, "the base is no class")
    _counts(fit)
    _square("covariance", fit.covariance)
    for name in ("std_errors", "nobs", "counts"):
        _not_negative(name, getattr(fit, name))
    _require(not np.isinf(fit.coef).any(), "coef is infinite")


def _require(sound: Any, what: str) -> None:
    if not sound:
        raise ValueError(what)


def _shapes(of: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        found = np.shape(getattr(of, name))
        _require(found == shape, f"{name} has shape {found}, not {shape}")


def _counts(of: Any) -> None:
    counts = [of.n, of.n_read, of.n_missing]
    _require(min(counts) >= 0 and of.n + of.n_missing <= of.n_read, f"rows used, read and missing are {counts}")


def _not_negative(name: str, value: Any) -> None:
    _require(not (np.asarray(value) < 0).any(), f"{name} is negative")


def _square(name: str, matrix: Any) -> None:
    """Check a matrix of second moments; NaN stands for what is not known."""
    _require(matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1], f"{name} is not square")
    _not_negative(f"the diagonal of {name}", np.diag(matrix))
    size = np.abs(matrix).max(initial=0.0, where=np.isfinite(matrix))
    _require(np.allclose(matrix, matrix.T, rtol=_SLACK, atol=_SLACK * size, equal_nan=True), f"{name} is not symmetric")
