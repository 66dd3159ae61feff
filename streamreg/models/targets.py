"""Several targets from one scan: the columns are factored once."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streamreg.errors import UsageError, require, typed
from streamreg.families import family
from streamreg.kernels.blas import one_thread
from streamreg.models.base import as_moments
from streamreg.models.estimates import Origin, result
from streamreg.models.glm import Glm
from streamreg.models.linear import Linear
from streamreg.results.base import FitResult
from streamreg.scans.run import Run
from streamreg.solve import cholesky


@typed
def fit_targets(
    model: Linear | Glm,
    data: Any,
    targets: Sequence[str],
    *,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> dict[str, FitResult]:
    """Fit the same columns to several targets: lines from moments, of which no row is read; or a `Glm` from rows.

    Parameters
    ----------
    model : Linear or Glm
        Its `features` default to every column that is not among `targets`; its `target` is not looked at.
    data : Moments, or the path of their file; of a `Glm` a Source, or anything that `streamreg.open` takes
        All generalised linear models share each pass over the rows. A row that lacks any of the targets is left out of
        all fits, as in moments.
    targets : sequence of str
    threads, progress, engine : optional
        Who works on the rows, as in `streamreg.scan`.

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
    require(model, (Linear, Glm), "several targets are fitted by a sr.Linear(...) or sr.Glm(...)")
    if not targets:
        raise UsageError("no target; name at least one column")
    if model.errors != "classical":
        raise UsageError("several targets share what is read, and have classical errors only; leave errors out")
    if isinstance(model, Glm):
        if not family(model.spelling).least_squares:
            from streamreg.models.sharing import fit_several

            return fit_several(model, data, targets, Run.of(threads, engine, progress))
        model = model.line()
    moments = as_moments(data)
    if moments is None:
        raise UsageError(f"several targets are fitted from moments (sr.scan), not from {type(data).__name__}")
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
