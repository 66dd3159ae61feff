"""Several targets from one scan: the columns are factored once."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streamreg.errors import UsageError, require, typed
from streamreg.kernels.blas import one_thread
from streamreg.models.base import as_moments
from streamreg.models.estimates import Origin, result
from streamreg.models.linear import Linear
from streamreg.results.base import FitResult
from streamreg.solve import cholesky


@typed
def fit_targets(model: Linear, data: Any, targets: Sequence[str]) -> dict[str, FitResult]:
    """Fit the same columns to several targets. No row is read.

    Parameters
    ----------
    model : Linear
        Its `features` default to every column that is not among `targets`; its `target` is not looked at.
    data : Moments, or the path of their file
    targets : sequence of str

    Returns
    -------
    dict of str to FitResult
        Each equal to what ``model`` with that target alone would give.

    Raises
    ------
    NotFound
        A column is not in the moments.
    UsageError
        No target, or one that is among the features; or the model asks for what moments cannot give.

    Notes
    -----
    Cost: ``p**3`` operations once, and ``3 p**2`` for each target; with ridge, ``p**3`` for each target.
    """
    require(model, Linear, "several targets are fitted by a sr.Linear(...)")
    moments = as_moments(data)
    if moments is None:
        raise UsageError(f"several targets are fitted from moments (sr.scan), not from {type(data).__name__}")
    if not targets:
        raise UsageError("no target; name at least one column")
    features = model.features
    if features is None:
        features = tuple(name for name in moments.names if name not in set(targets))
    both = sorted(set(features) & set(targets))
    if both:
        raise UsageError(f"{both[0]!r} is a target and a feature")
    if model.ridge or model.precision == "exact" or model.powers:
        return {t: model.model_copy(update={"features": features, "target": t}).fit(moments) for t in targets}
    factored, fits = None, {}
    with one_thread(len(features)):
        for target in targets:
            began = time.perf_counter()
            problem = moments.problem(target, features, model.intercept)
            factored = factored or cholesky.factor(problem)
            origin = Origin.of(moments, target, "moments", 0, "float64")
            spec = model.model_copy(update={"features": features, "target": target})
            fit = result(spec, problem, cholesky.solve(problem, factored), origin)
            fits[target] = replace(fit, seconds=time.perf_counter() - began)
    return fits
