"""What a fit takes, known from its options before a row is read."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamreg.design.design import Design
from streamreg.design.formula.expressions import names
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.value import Formula
from streamreg.design.policy import Missing
from streamreg.errors import UsageError
from streamreg.sources.base import Source
from streamreg.stats.grouped import By, Column, Hash


@dataclass(frozen=True, slots=True)
class Needs:
    """Which columns and rows a fit takes, in how many passes, with how much memory.

    Attributes
    ----------
    features : tuple of str or None
        None: all columns that have no other role.
    target : str or None
        None: the target of the source.
    powers : mapping of str to int
    missing : str, or dict of str to str
        See `streamreg.design.policy`.
    keys : tuple of str
        Columns that name clusters.
    moments : bool
        Whether the fit begins with float64 moments of its columns, so that `Model.fit_from` does what `Model.fit` does.
    apart : By or None
        How those moments are kept apart: by folds, or by the values of a column.
    passes : int
        Passes over the rows; the greatest number if `at_most` is true.
    at_most : bool
    memory : int
        Bytes: of the moments that are kept apart by a column, of sums of clusters, or of rows that a training keeps.
    exact : bool
        Whether sums are kept exactly, which takes more memory.
    trains : bool
        Whether Keras is used.
    validation : float
        Share of the rows that the fit holds out by itself.
    formula : str or None
        What says which columns and target are read.
    beside : mapping of str to str
        Columns that stand beside the features, such as an offset, by role.
    classes : bool
        Whether the target holds classes, numbers or text, and so is read as a key.
    """

    features: tuple[str, ...] | None = None
    target: str | None = None
    powers: Mapping[str, int] = field(default_factory=dict)
    missing: Missing = "error"
    keys: tuple[str, ...] = ()
    moments: bool = False
    apart: By | None = None
    passes: int = 1
    at_most: bool = False
    memory: int = 0
    exact: bool = False
    trains: bool = False
    validation: float = 0.0
    formula: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    classes: bool = False

    @property
    def group(self) -> str | None:
        """The column whose values have moments of their own, if one has."""
        return self.apart.name if isinstance(self.apart, Column) else None

    @property
    def folds(self) -> int:
        """Into how many folds the rows are put; 1 without folds."""
        return self.apart.folds if isinstance(self.apart, Hash) else 1

    def scan_options(self) -> dict[str, Any]:
        """Return the options of `streamreg.scan` that keep the moments apart."""
        if isinstance(self.apart, Column):
            return {"by": self.apart.name, "memory": self.memory}
        return {"folds": self.apart.folds, "seed": self.apart.seed} if isinstance(self.apart, Hash) else {}

    def design(self, source: Source) -> Design:
        """Return the columns of `source` that the fit reads.

        Raises
        ------
        NotFound
            There is no such column.
        UsageError
            No target, or a column with two roles.
        """
        keys = self.keys if self.group is None else (self.group, *self.keys)
        if self.formula is not None:
            roles = {source.roles.target, source.roles.weights, *keys, *self.beside.values()}
            others = [name for name in source.schema.names if name not in roles]
            return unlearned(parse(self.formula, others), source, self.target, keys).with_target()
        part = source.with_roles(target=self.target)
        if self.classes:
            return _of_classes(part, self.features, self.powers)
        return Design.of(part, self.features, powers=self.powers, keys=keys, beside=self.beside).with_target()

    def columns(self, source: Source) -> tuple[str, ...]:
        """Return the features of `source` that the fit reads, without the column that makes groups."""
        return tuple(name for name in self.design(source).features if name != self.group)

    def room(self, columns: int) -> int:
        """Return about how many groups `memory` has room for, if the rows of each lie together.

        `columns` is the number of columns of the data, the target and the groups among them.
        """
        terms = columns - 2 if self.features is None else len(self.features)
        terms += sum(self.powers.values()) - len(self.powers)
        q = terms + 1
        return self.memory // max(group_bytes(terms), 8 * q * (q + 6) + 3200)


def _of_classes(source: Source, features: tuple[str, ...] | None, powers: Mapping[str, int]) -> Design:
    """Return the design of a target whose values are classes: it has no target, and these are its keys."""
    target = source.roles.target
    if target is None:
        raise UsageError(f"{source.label}: no target; say which column holds the classes, as in target='y'")
    other = copy.copy(source if features is None else source.with_roles(features=features))
    other.roles = replace(other.roles, target=None)
    return Design.of(other, features, powers=powers, keys=(target,))


def unlearned(formula: Formula, source: Source, target: str | None, keys: tuple[str, ...]) -> Design:
    """Return what a formula reads of a source, before anything is learned of it: columns in place of terms."""
    for name in formula.columns:
        source.schema.require(name, source.label)
    own = tuple(() if formula.target is None else names(formula.target))
    aim = target or (own[0] if own else source.roles.target)
    columns = tuple(name for name in formula.columns if name != aim)
    return Design(source.label, columns, aim, source.roles.weights, keys=keys)


def group_bytes(terms: int) -> int:
    """Return about how many bytes the fit of one group of so many terms takes."""
    return 6000 + 16 * terms**2
