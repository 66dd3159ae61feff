"""The fit whose errors are the measure in a comparison."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreg.errors import UsageError
from streamreg.models.glm import Glm
from streamreg.models.linear import Linear
from streamreg.result import FitResult
from streamreg.stats.base import Statistic


def reference_of(fits: Sequence[FitResult], data: Any) -> FitResult:
    """Return the fit whose errors are the measure: solved before trained, with an intercept if any has one.

    Parameters
    ----------
    fits : sequence of FitResult
        Of the same columns, target and family.
    data : Source, Moments, or anything that `streamreg.open` takes, or None
        Where none of them will do, one is solved from these rows.

    Raises
    ------
    UsageError
        There is nothing to measure by.
    """
    needed = any(fit.has_intercept for fit in fits)
    candidates = [
        fit for fit in fits if fit.geometry is not None and not fit.model.get("ridge") and fit.has_intercept >= needed
    ]
    candidates.sort(key=lambda fit: fit.level == "mini-batch" or fit.status.startswith("not converged"))
    solved = [fit for fit in candidates if fit.level != "mini-batch" and not fit.status.startswith("not converged")]
    if candidates and (solved or data is None):
        return candidates[0]
    if data is None:
        raise UsageError(
            "none of these fits keeps second moments to measure by; give the data, which are scanned for them"
        )
    found = _solved(next((fit for fit in fits if fit.level != "imported"), fits[0]), fits, needed, data)
    if found.geometry is None:
        raise UsageError(f"there is nothing to compare with: {found.status}")
    return found


def _solved(like: FitResult, fits: Sequence[FitResult], intercept: bool, data: Any) -> FitResult:
    """Fit the same model to the rows."""
    shared: dict[str, Any] = {"intercept": intercept, "features": like.columns, "powers": like.powers}
    shared["missing"] = like.model.get("missing", "error")
    shared["target"] = next((fit.target for fit in fits if fit.target), None)
    if like.family == "gaussian":
        if isinstance(data, Statistic):
            shared |= {"features": like.names, "powers": {}}
        return Linear(**shared).fit(data)
    return Glm(**shared | {"family": like.family}).fit(data)


def aligned(fit: FitResult, names: tuple[str, ...]) -> FitResult:
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
