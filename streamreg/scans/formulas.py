"""Data as a formula sees them: its terms are learned of the rows, where they need it, and become columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from streamreg.design.encoded import EncodedSource
from streamreg.design.formula.category import Unseen
from streamreg.design.formula.encoder import FormulaEncoder, learners
from streamreg.design.formula.formula import parse
from streamreg.errors import OnePassError, UsageError
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.learning import AsStored, Learning

__all__ = ["Unseen", "as_fitted", "encoded", "with_terms"]


def encoded(source: Source, formula: str, run: Run) -> EncodedSource:
    """Return the columns that a formula makes of a source.

    Parameters
    ----------
    source : Source
        Its weights stay; its target is that of the formula, if that names one.
    formula : str
    run : Run

    Raises
    ------
    UsageError
        The formula cannot be read, or the rows can be read only once and must be learned of.
    NotFound
        It names a column that is not there.
    DataError
        A column is not what a term needs.

    Notes
    -----
    Cost: one pass over the columns of which something must be learned (levels, means, knots), if there are any.
    """
    if isinstance(source, EncodedSource):
        raise UsageError(f"{source.label}: has the terms of {source.encoder.to_dict()['formula']!r} already")
    roles = source.roles
    read = parse(formula, source.schema, [name for name in (roles.target, roles.weights) if name is not None])
    wanted = learners(read)
    needed = {factor: learner for factor, learner in wanted.items() if learner is not None}
    learned: dict[Any, Any] = {factor: factor for factor in wanted}
    if needed:
        if source.one_pass:
            raise OnePassError(
                f"{source.label}: {', '.join(factor.text for factor in needed)} must be learned of the rows before the "
                "fit, and they can be read only once; pass a file, a frame, or a function that returns fresh batches"
            )
        aliases = dict(read.aliases)
        columns = tuple(dict.fromkeys(aliases.get(c, c) for one in needed.values() for c in one.columns))
        design = AsStored(source.label, columns, sample=None)
        state = Learning(list(needed.values()), _renamed(source.schema.zones, aliases), source.label, aliases)
        state = run.scan(source, design, state, "learn terms of")
        for factor, learner in zip(needed, state.learners, strict=True):
            learned[factor] = factor.learned(learner)
    return EncodedSource(source, FormulaEncoder.of(read, learned), int(bool(needed)))


def as_fitted(source: Source, encoder: Mapping[str, Any], *, target: bool = True, unseen: Unseen = "error") -> Source:
    """Return the columns of a fit: those of `source` as they are, or as the formula of the fit makes them.

    Parameters
    ----------
    source : Source
    encoder : dict
        That of the fit; empty: it has no formula.
    target : bool
        Whether the target is needed; rows to predict have none.
    unseen : {"error", "reference", "missing"}
        What to do with levels that did not occur in the fit.
    """
    if not encoder or isinstance(source, EncodedSource):
        return source
    made = FormulaEncoder.from_dict(encoder).with_unseen(unseen)
    return EncodedSource(source, made if target else made.without_target())


def with_terms(source: Source, encoders: Sequence[Mapping[str, Any]]) -> Source:
    """Return the columns of several fits beside each other; those without a formula read columns as they are.

    Raises
    ------
    UsageError
        Two fits learned different things of a term, such as other levels of a category.
    """
    made = [FormulaEncoder.from_dict(encoder) for encoder in encoders if encoder]
    if not made or isinstance(source, EncodedSource):
        return source
    return EncodedSource(source, FormulaEncoder.joined(made))


def _renamed(zones: Mapping[str, str], aliases: Mapping[str, str]) -> dict[str, str]:
    marks = {column: mark for mark, column in aliases.items()}
    return {marks.get(column, column): zone for column, zone in zones.items()}
