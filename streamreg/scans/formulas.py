"""Data as a formula sees them: its terms are learned of the rows, where they need it, and become columns."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from streamreg.design.encoded import EncodedSource
from streamreg.design.filled import Fill, FilledSource, restored
from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.joining import joined
from streamreg.design.formula.levels import Unseen
from streamreg.design.formula.passes import learn
from streamreg.design.formula.profile import Inquiry, Key, Profile
from streamreg.errors import OnePassError, UsageError
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.marked import marked_as
from streamreg.stats.learning import AsStored, Learning

__all__ = ["Unseen", "as_fitted", "encoded", "profiled", "with_terms"]

_FIRST = 1024
"""Rows that are looked at before a pass, for numbers near the values."""


def encoded(
    source: Source, formula: str, run: Run, apart: Collection[str] = (), *, eliminate: bool = False
) -> EncodedSource:
    """Return the columns that a formula makes of a source.

    Parameters
    ----------
    source : Source
        Its weights stay; its target is that of the formula, if that names one.
    formula : str
    run : Run
    apart : collection of str
        Columns with another role in the model (clusters, an offset), which ``.`` leaves out.
    eliminate : bool
        Whether a category of very many levels is absorbed, in place of having columns.

    Raises
    ------
    UsageError
        The formula cannot be read, or the rows can be read only once and must be learned of.
    NotFound
        It names a column that is not there.
    DataError
        A column is not what a term needs.
    OnePassError
        Something must be learned of rows that can be read only once.

    Notes
    -----
    Cost: one pass over the columns of which something must be learned (levels, means, knots), if there are any; one
    more where a term that learns is within another one, as in ``poly(center(x), 3)``.
    """
    if isinstance(source, EncodedSource):
        raise UsageError(f"{source.label}: has the terms of {source.encoder.to_dict()['formula']['text']!r} already")
    roles, passes = source.roles, 0
    others = [name for name in source.schema.names if name not in (roles.target, roles.weights, *apart)]

    def read(inquiry: Inquiry) -> dict[Key, Profile]:
        nonlocal passes
        passes += 1
        if source.one_pass:
            wanted = ", ".join(text for text, _ in inquiry.wanted)
            raise OnePassError(
                f"{source.label}: {wanted} must be learned of the rows first, and they can be read only once; "
                "pass a file, a frame, or a function that returns fresh batches"
            )
        return profiled(source, inquiry, run)

    encoder = learn(parse(formula, others), source.schema, read, source.label, eliminate=eliminate)
    return EncodedSource(source, encoder, passes)


def profiled(source: Source, inquiry: Inquiry, run: Run, title: str = "learn terms of") -> dict[Key, Profile]:
    """Return what a pass over all rows finds out."""
    design = AsStored(source.label, inquiry.columns)
    if inquiry.opens:
        inquiry = inquiry.opened({name: first_rows(source, inquiry.columns).column(name) for name in inquiry.columns})
    found = run.scan(source, design, Learning(inquiry, source.label), title)
    return found.profiles


def first_rows(source: Source, columns: tuple[str, ...]) -> Chunk:
    """Return the first rows of a source that pass: as many, however it is cut."""
    chunks, rows = [], 0
    for partition in source.partitions(_FIRST, columns):
        for chunk in partition.chunks(_FIRST):
            chunk = chunk.passing()
            chunks.append(chunk.cut(0, min(len(chunk), _FIRST - rows)).owned())
            rows += len(chunks[-1])
            if rows == _FIRST:
                return Chunk.joined(chunks)
    return Chunk.joined(chunks)


def as_fitted(source: Source, encoder: Mapping[str, Any], *, target: bool = True, unseen: Unseen = "error") -> Source:
    """Return the columns of a fit: those of `source` as they are, or as the formula of the fit makes them.

    Parameters
    ----------
    source : Source
    encoder : dict
        That of the fit; empty: it has no formula.
    target : bool
        Whether the target is needed; rows to predict have none.
    unseen : {"error", "reference", "own", "missing"}
        What to do with levels that did not occur in the fit.
    """
    if not encoder or isinstance(source, EncodedSource | FilledSource):
        return source
    source = marked_as(source, encoder)
    if fills := encoder.get("fills"):
        source = FilledSource(source, restored(fills))
    if "formula" not in encoder:
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
    made = [FormulaEncoder.from_dict(encoder) for encoder in encoders if "formula" in encoder]
    if isinstance(source, EncodedSource | FilledSource):
        return source
    for encoder in encoders:
        source = marked_as(source, encoder)
    fills: dict[str, Fill] = {}
    for encoder in encoders:
        for name, fill in restored(encoder.get("fills", {})).items():
            if fills.setdefault(name, fill).value != fill.value:
                raise UsageError(
                    f"{source.label}: the fits put different numbers in place of missing values of {name!r}"
                )
            fills[name] = Fill(fill.value, fill.indicator or fills[name].indicator)
    source = FilledSource(source, fills) if fills else source
    if not made:
        return source
    return EncodedSource(source, joined(made))
