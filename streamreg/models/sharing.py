"""Several generalised linear models of the same columns: of groups of rows, or of several targets, in shared passes."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from streamreg.design.design import Design
from streamreg.errors import DataError, OnePassError, StreamregError, UsageError
from streamreg.families import family
from streamreg.models.base import as_source, as_state
from streamreg.models.climb import Climb, climbing
from streamreg.models.glm import Glm
from streamreg.models.likelihood import fitted
from streamreg.models.needs import group_bytes
from streamreg.models.passes import Climbing, drive, joined, seen
from streamreg.results.base import FitResult
from streamreg.results.by_group import GroupFits
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.grouped import Column, Grouped
from streamreg.stats.moments import Moments
from streamreg.stats.several import Share

_LEVELS = 32  # of trees of sums, over all workers


def require_shared(model: Glm, what: str) -> None:
    """Raise `UsageError` if a fit of the model takes passes of its own."""
    if model.unknown:
        raise UsageError(f"{what} do not estimate {model.unknown}; give it, or fit one after the other")
    if model.device is not None:
        raise UsageError(f"{what} are taken by the processor; leave out device")
    if not family(model.spelling).least_squares and model.singular == "error":
        raise UsageError(f"{what} do not look at dependent columns again; leave out singular")


def fit_groups(model: Glm, data: Any, by: str | None, memory: int, run: Run) -> GroupFits:
    """Fit the model to the rows of each level of a column, and to all; all levels share each pass.

    Raises
    ------
    DataError
        The rows are missing or damaged, or a level cannot be fitted, and the message says which.
    UsageError
        The levels do not fit in `memory`, these are moments, or no column is named.
    """
    began = time.perf_counter()
    require_shared(model, "fits by group")
    if as_state(data) is not None:
        raise UsageError(f"{model.family} fits by group need the rows, and moments hold none; pass the source")
    if by is None:
        raise UsageError("say which column names the groups, as in by='country'")
    source = _reread(model, data)
    features = model.features
    if features is None and source.roles.features is not None:
        features = tuple(name for name in source.roles.features if name != by)
    design = Design.of(source, features, model.missing, model.powers, (by,), model.beside).with_target()
    if _another_pass(model, design):
        raise UsageError(
            f"the log-likelihood of weighted {model.family} fits takes a pass of its own; use weight_kind='frequency', "
            "or fit the levels one after the other: sr.open(data, where=...)"
        )
    column = Column(by)
    grouped: Grouped[Moments] = run.scan(source, design, Grouped(Moments(design.names), column, memory), "scan")
    q = len(design.names)
    most = memory // (8 * q * (q + 6) * _LEVELS)
    if len(grouped.groups) * group_bytes(q) > memory or not most:
        raise UsageError(
            f"{len(grouped.groups):,} fits (column {by}) of {q - 1} terms need more than {memory / 2**20:,.0f} MiB; "
            "raise memory, choose fewer features, or group by fewer levels"
        )
    keys = sorted(grouped.groups)
    named = [_named(climbing(model, source.label, design, None), f"{source.label}, {by} = {key}") for key in keys]
    shares = [Share(column, key) for key in keys]
    climbs: list[Climbing[Climb]] = [climbing(model, source.label, design, None)]
    climbs += [seen(climb, share) for climb, share in zip(named, shares, strict=True)]
    found, passes = drive(joined(climbs), source, design, run, most)
    fits = []
    for climb, key in zip(found, [None, *keys], strict=True):
        fit = fitted(model, source, design, climb, run)
        label = source.label if key is None else f"{source.label}, {by} {key}"
        fits.append(dataclasses.replace(fit, source=label, passes=passes + 1))
    pooled = dataclasses.replace(fits[0], seconds=time.perf_counter() - began)
    return GroupFits(by, dict(zip(keys, fits[1:], strict=True)), pooled, grouped.compact())


def fit_several(model: Glm, data: Any, targets: Sequence[str], run: Run) -> dict[str, FitResult]:
    """Fit the same columns to several targets; all share each pass.

    Raises
    ------
    NotFound
        A column is not there.
    DataError
        A target that the family cannot have, with its row.
    UsageError
        These are moments.
    """
    require_shared(model, "fits of several targets")
    if as_state(data) is not None:
        raise UsageError(f"{model.family} fits need the rows, and moments hold none; pass the source")
    source = _reread(model, data, targets[0])
    features = model.features or source.roles.features or source.schema.names
    apart = {*targets, source.roles.weights, *model.beside.values()} if model.features is None else set()
    features = tuple(name for name in features if name not in apart)
    both = sorted(set(features) & set(targets))
    if both:
        raise UsageError(f"{both[0]!r} is a target and a feature")
    if model.powers:
        raise UsageError("fits of several targets take columns as they are; leave out powers")
    joint = Design.of(source, (*features, *targets[1:]), model.missing, beside=model.beside).with_target()
    places = tuple(range(len(features)))
    climbs, designs = [], []
    for k, target in enumerate(targets):
        design = dataclasses.replace(joint, features=features, target=target)
        designs.append(design)
        share = Share(target=len(features) + k - 1 if k else None, features=places)
        climbs.append(seen(climbing(model, source.label, design, None), share))
    found, passes = drive(joined(climbs), source, joint, run)
    fits = {}
    for target, design, climb in zip(targets, designs, found, strict=True):
        own = source.with_roles(target=target)
        fit = fitted(model, own, design, climb, run)
        spec = model.model_copy(update={"features": features, "target": target}).to_dict()
        fits[target] = dataclasses.replace(fit, passes=passes + fit.passes - climb.passes, model=spec)
    return fits


def _reread(model: Glm, data: Any, target: str | None = None) -> Source:
    source = as_source(data, target or model.target)
    if source.one_pass:
        raise OnePassError(f"{source.label}: a {model.family} fit reads the rows several times; use a file or array")
    return source


def _another_pass(model: Glm, design: Design) -> bool:
    """Whether the log-likelihood takes a pass: where it depends on the dispersion row by row."""
    kind = family(model.spelling)
    known = kind.quasi or kind.dispersion_known
    return not known and not (kind.separable and (design.weights is None or model.weight_kind == "frequency"))


def _named(climb: Climbing[Climb], place: str) -> Climbing[Climb]:
    """Say of which level an error is."""
    try:
        return (yield from climb)
    except StreamregError as error:
        raise DataError(f"{place}: {error}; leave the level out, by sr.open(data, where=...)") from error
