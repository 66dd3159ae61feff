"""Numbers in place of missing values: means that are learned of the rows, with or without an indicator beside them."""

from collections.abc import Collection
from typing import Any

import numpy as np

from streamreg.design.design import Design
from streamreg.design.encoded import EncodedSource
from streamreg.design.filled import Fill, FilledSource, indicator
from streamreg.design.formula.expressions import names
from streamreg.design.formula.grammar import parse
from streamreg.design.policy import FILLING, Missing, fills, policy_of, require_columns, unfilled
from streamreg.errors import DataError, OnePassError, UsageError
from streamreg.scans.formulas import first_rows
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.sources.chunk import Coded, missing
from streamreg.sources.filters.syntax import PIECES
from streamreg.stats.means import Means


def is_filled(source: Source) -> bool:
    """Return whether numbers stand in place of missing values already."""
    inner: Any = source
    while inner is not None:
        if isinstance(inner, FilledSource):
            return True
        inner = getattr(inner, "inner", None)
    return False


def filled(
    source: Source,
    policies: Missing,
    run: Run,
    *,
    features: tuple[str, ...] | None = None,
    formula: str | None = None,
    apart: Collection[str] = (),
    near: bool = False,
) -> Source:
    """Return a source whose features are filled as their policies say.

    Parameters
    ----------
    source : Source
        With its target and weights.
    policies : str, or dict of str to str
    run : Run
    features : tuple of str, optional
        Columns that are regressed on; default: all that have no other role.
    formula : str, optional
        What says instead which columns are read.
    apart : collection of str
        Columns with another role.
    near : bool
        Fill columns with indicators by a number near their values, all of them, and so without a pass. The moments of
        such a source give those of both policies; see `streamreg.stats.refilled`.

    Raises
    ------
    UsageError
        A policy is that of a column that is not there, or a mean is wanted of what has none.
    OnePassError
        Means must be learned, and the rows can be read only once.

    Notes
    -----
    Cost: one pass over the columns, unless `near` and no mean alone is wanted. Means are those of the rows that are
    used, by their weights, where the column has a value.
    """
    if not fills(policies) or is_filled(source):
        return source
    if isinstance(source, EncodedSource):
        raise UsageError(f"{source.label}: has the terms of a formula already; fill columns before, or drop rows")
    require_columns(policies, source.schema.names, source.label)
    read, others = _columns(source, features, formula, apart)
    chosen = _chosen(source, policies, read)
    if not chosen:
        return source
    if near and all(policy == "indicator" for policy in chosen.values()):
        return FilledSource(source, {name: Fill(value, True) for name, value in _near(source, tuple(chosen)).items()})
    return FilledSource(source, _learned(source, policies, chosen, (*read, *others), run), 1)


def with_indicators(source: Source, features: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return features, and the indicators that a filled source has beside them."""
    if features is None:
        return None
    return (*features, *(n for n in map(indicator, features) if n in source.schema.names and n not in features))


def with_terms(source: Source, formula: str) -> str:
    """Return a formula that has the indicators of a filled source as terms, too."""
    if not isinstance(source, FilledSource):
        return formula
    terms = "".join(f" + `{indicator(name)}`" for name, fill in source.fills.items() if fill.indicator)
    plain = PIECES.sub(lambda found: "x" * len(found[0]), formula)
    at = plain.index("|") if "|" in plain else len(formula)
    return formula[:at] + terms + " " * (at < len(formula)) + formula[at:]


def _columns(
    source: Source, features: tuple[str, ...] | None, formula: str | None, apart: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that may be filled, and others that a row must have."""
    roles = source.roles
    roled = {roles.target, roles.weights, *apart}
    free = tuple(name for name in source.schema.names if name not in roled)
    if formula is None:
        return (features if features is not None else roles.features or free), ()
    found = parse(formula, free)
    target = tuple(() if found.target is None else names(found.target))
    absorbed = tuple(name for several in found.absorb for name in several)
    own = tuple(name for name in found.columns if name not in (*target, *absorbed) and name not in roled)
    return own, tuple(name for name in (*target, *absorbed) if name in source.schema.names)


def _chosen(source: Source, policies: Missing, read: tuple[str, ...]) -> dict[str, str]:
    """Return the columns to fill, and how."""
    named = () if isinstance(policies, str) else tuple(name for name in policies if policies[name] in FILLING)
    chosen: dict[str, str] = {}
    for name in dict.fromkeys((*read, *named)):
        if (policy := policy_of(policies, name)) not in FILLING or name == "*":
            continue
        source.schema.require(name, source.label)
        if name not in read:
            if name in (source.roles.target, source.roles.weights):
                raise UsageError(
                    f"{source.label}: column {name!r} is no feature, and missing={policy!r} is for those; drop rows"
                )
        elif source.schema.numeric(name):
            chosen[name] = policy
        elif name in named:
            raise UsageError(
                f"{source.label}: column {name!r} holds no numbers and so has no mean; leave such rows out "
                f"with missing={{{name!r}: 'drop'}}"
            )
    return chosen


def _near(source: Source, columns: tuple[str, ...]) -> dict[str, float]:
    """Return a number near the values of each column: the mean of the first rows, rounded to few bits."""
    if source.one_pass:
        return dict.fromkeys(columns, 0.0)
    first, found = first_rows(source, columns), {}
    for name in columns:
        values = first.column(name)
        assert not isinstance(values, Coded), "text has no mean"
        known = values[~missing(values)].astype(np.float64)
        known = known[np.isfinite(known)]
        found[name] = float(np.float32(known.mean())) if len(known) and abs(known.mean()) < 1e38 else 0.0
    return found


def _learned(
    source: Source, policies: Missing, chosen: dict[str, str], columns: tuple[str, ...], run: Run
) -> dict[str, Fill]:
    """Return fills by the means of the rows that are used."""
    if source.one_pass:
        raise OnePassError(
            f"{source.label}: the mean of {min(chosen)!r} must be learned first, and the rows can be read only once; "
            "pass a file, a frame, or a function that returns fresh batches"
        )
    roles, schema = source.roles, source.schema
    wanted = tuple(dict.fromkeys((*columns, *([] if roles.target is None else [roles.target]))))
    numbers = tuple(name for name in wanted if schema.numeric(name))
    rest = unfilled(policies)
    kept: dict[str, Any] = {name: policy_of(rest, name) for name in wanted} | dict.fromkeys(chosen, "keep")
    keys = tuple(n for n in wanted if schema.dtype(n).kind in "TM" and kept[n] == "drop")
    design = Design(source.label, numbers, None, roles.weights, kept, sample=roles.sample, keys=keys)
    state = run.scan(source, design, Means([numbers.index(name) for name in chosen]), "learn means of")
    found = {}
    for k, (name, policy) in enumerate(chosen.items()):
        mean = state.mean(k)
        if mean is None:
            raise DataError(f"{source.label}: column {name!r} has no value in any row that is used; leave it out")
        if policy == "mean" or state.absent[k]:
            found[name] = Fill(mean, policy == "indicator")
    return found
