"""One fit for each group of rows, all from one pass."""

import dataclasses
import os
import time
from typing import Any

from streamreg.design.policy import fills
from streamreg.errors import DataError, UsageError, require, typed
from streamreg.families import family
from streamreg.models.base import as_source, as_state
from streamreg.models.glm import Glm
from streamreg.models.linear import Linear
from streamreg.models.needs import group_bytes
from streamreg.results.base import FitResult
from streamreg.results.by_group import GroupFits
from streamreg.results.chow import ChowTest
from streamreg.scans.moments_file import load
from streamreg.scans.run import Run
from streamreg.scans.scan import scan
from streamreg.stats.base import SUFFIX
from streamreg.stats.grouped import MEMORY, Column, Grouped

__all__ = ["ChowTest", "GroupFits", "fit_by", "lines", "require_classical"]


@typed
def fit_by(
    model: Linear | Glm,
    data: Any,
    by: str | None = None,
    *,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> GroupFits:
    """Fit a model for each level of a column: lines in one pass, or from moments kept by level; or a `Glm`.

    All levels of a `Glm` share each pass over the rows, of which the slowest level says how many there are.

    Parameters
    ----------
    model : Linear or Glm
        Precision "auto" is "float64" here; "exact" is exact. The column is a feature only if it is named as such.
    data : Source, Grouped or the path of its file, or anything that `streamreg.open` takes
    by : str, optional
        A column of whole numbers or bool; not needed where `data` is kept by level already.
    memory : int
        Bytes that the moments of all levels may take up, about ``4 q**2 log2(blocks)`` for each level of q columns; and
        again as many for their fits, about ``16 p**2`` and 6 kB for each level of p terms.
    threads : int, optional
    progress : bool, optional
    engine : optional
        Who works on the rows, as in `streamreg.scan`.

    Raises
    ------
    DataError
        The rows are missing, damaged or not finite; or a level cannot be fitted as asked, and the message says which.
    UsageError
        The levels do not fit in `memory`, no column is named, or the model is of another kind, or asks for errors
        that need the rows.

    Notes
    -----
    Cost: one pass; then a fit for each level.
    """
    began = time.perf_counter()
    require_classical(model)
    if fills(model.missing):
        raise UsageError(
            "lines by level are of columns as they are; leave rows with missing values out with missing='drop', or fit "
            "all levels at once with missing='mean'"
        )
    if isinstance(model, Glm):
        if not family(model.spelling).least_squares:
            from streamreg.models.sharing import fit_groups

            return fit_groups(model, data, by, memory, Run.of(threads, engine, progress))
        model = model.line()
    if isinstance(data, str | os.PathLike) and str(data).endswith(SUFFIX):
        data = load(data)
    if isinstance(data, Grouped):
        if by is not None and str(data.by) != f"column {by}":
            raise UsageError(f"these moments are kept apart by {data.by}, not by column {by}; scan with by={by!r}")
        if model.powers:
            raise UsageError("powers are made from rows; scan with powers, and name them as features ('x^2')")
        label = data.record.parts[0].label if data.record is not None else "moments"
        return lines(model, data, label, began=began, memory=memory)
    if as_state(data) is not None:
        raise UsageError("these moments were not kept apart; scan with by=")
    if by is None:
        raise UsageError("say which column names the groups, as in by='country'")
    source = as_source(data, model.target)
    features = model.features
    if features is None and source.roles.features is not None:
        features = tuple(name for name in source.roles.features if name != by)
    exact = "exact" if model.precision == "exact" else "float64"
    options: dict[str, Any] = {"by": by, "precision": exact, "memory": memory, "device": model.device}
    options["engine"] = engine
    grouped = scan(source, features, model.missing, threads, progress, model.powers, **options)
    terms = tuple(name for name in grouped.names if name != grouped.target)
    return lines(model, grouped, source.label, features=terms, passes=1, began=began, memory=memory)


def lines(
    model: Linear,
    grouped: Grouped[Any],
    label: str,
    *,
    features: tuple[str, ...] | None = None,
    passes: int = 0,
    began: float | None = None,
    memory: int = MEMORY,
) -> GroupFits:
    """Fit a line for each group of moments that were kept apart. No row is read.

    `features` are the model's own if they are not given, or else all columns but the target and the one that made the
    groups, which has one value in each of them. `passes` and `began` are those of the scan.
    """
    grouped = grouped.compact()
    by = grouped.by.name if isinstance(grouped.by, Column) else str(grouped.by)
    if features is None:
        features = model.features or tuple(n for n in grouped.names if n not in (by, grouped.explained(model.target)))
    if len(grouped.groups) * group_bytes(len(features)) > memory:
        raise UsageError(
            f"{len(grouped.groups):,} fits ({grouped.by}) of {len(features)} terms need more than "
            f"{memory / 2**20:,.0f} MiB; "
            "raise memory, choose fewer features, or group by fewer levels"
        )
    plain, options = model.model_copy(update={"powers": {}, "features": features}), model.to_dict()

    record = grouped.record
    # Nobody knows of which groups the rows are that lack.
    lacks = record is not None and any(part.faults for part in record.parts)
    common: dict[str, Any] = {"provenance": record.account()} if record is not None and lacks else {}

    def fit(state: Any, label: str) -> FitResult:
        return dataclasses.replace(plain.fit(state), source=label, passes=passes, model=options, **common)

    found = {}
    for key, state in grouped.groups.items():
        try:
            found[key] = fit(state, f"{label}, {by} {key}")
        except DataError as error:
            wanted = len(features) + model.intercept
            few = (
                f"{state.n:,} rows do not determine {wanted} coefficients; leave out singular: error, or some features"
            )
            raise DataError(f"{label}, {by} = {key}: {few if state.n < wanted else error}") from error
    pooled = fit(grouped.merged(), label)
    if began is not None:
        pooled = dataclasses.replace(pooled, seconds=time.perf_counter() - began)
    return GroupFits(by, found, pooled, grouped)


def require_classical(model: Linear | Glm) -> None:
    """Raise `UsageError` if the model is no `Linear` or `Glm`, or asks for errors that moments do not give."""
    rule = (
        "fits by group are of a sr.Linear(...) or a sr.Glm(...); for another model select the rows of each group, "
        "and fit them one after the other"
    )
    require(model, (Linear, Glm), rule)
    if isinstance(model, Glm):
        if model.errors != "classical":
            raise UsageError("models of all levels share each pass, and have classical errors only; leave errors out")
        return
    if model.errors != "classical":
        raise UsageError("fits by group are made from moments, which have classical errors only; leave errors out")
    if model.absorb:
        raise UsageError("fits by group absorb no factors; leave out absorb, or select the rows of each group")
