"""Where the rows of a scan came from: what a saved state must say of itself years later."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from streamreg.errors import DataError


@dataclass(frozen=True, slots=True)
class Part:
    """One source that was read.

    Attributes
    ----------
    label : str
        The source's name: its path, for files.
    fingerprint : str
        The source's fingerprint when it was read.
    rows, missing, weightless : int
        Rows, and among them those left out for a missing value and for zero weight.
    probes : tuple of (int, int, str)
        A row number, how many rows from there on, and a hash of them, at several places: what tells whether the same
        rows are still there.
    version : str
        Of streamreg.
    filtered : int
        Rows read that the filter did not let pass.
    faults : tuple of (int, int, str)
        Rows that could not be read and are lacking: the first one, the one after the last, and why.
    missing_in : dict of str to int
        In how many of the rows left out for a missing value each column has none.
    """

    label: str
    fingerprint: str
    rows: int
    missing: int
    weightless: int
    probes: tuple[tuple[int, int, str], ...]
    version: str
    filtered: int = 0
    faults: tuple[tuple[int, int, str], ...] = ()
    missing_in: dict[str, int] = field(default_factory=dict)

    @property
    def lacking(self) -> int:
        """How many of the rows could not be read."""
        return sum(stop - start for start, stop, _ in self.faults)


@dataclass(frozen=True, slots=True)
class Record:
    """The sources of a state, and how they were read.

    Attributes
    ----------
    parts : tuple of Part
        In the order in which they were read or merged.
    features : tuple of str
    target, weights : str or None
    missing : str or dict of str to str
    powers : tuple of (str, int)
    by : str
        How rows were put in groups; empty if they were not.
    precision : str
    encoder : dict
        Terms of a formula, and what was learned for them; empty if the columns were read as they are.
    where : str
        The condition that rows had to meet; empty if all were used.
    """

    parts: tuple[Part, ...]
    features: tuple[str, ...]
    target: str | None = None
    weights: str | None = None
    missing: Any = "error"
    powers: tuple[tuple[str, int], ...] = ()
    by: str = ""
    precision: str = "float64"
    encoder: dict[str, Any] = field(default_factory=dict)
    where: str = ""

    @classmethod
    def joined(cls, a: Self | None, b: Self | None) -> Self | None:
        """Return the record of two states merged; None if that of one of them is not known."""
        if a is None or b is None:
            return None
        return dataclasses.replace(a, parts=a.parts + b.parts)

    def require_apart(self, other: Self) -> None:
        """Make sure that rows of two states may be added up.

        Raises
        ------
        DataError
            Both hold the same rows, or one is weighted and the other is not.
        """
        if (self.weights is None) != (other.weights is None):
            names = [f"by {r.weights!r}" if r.weights else "not at all" for r in (self, other)]
            raise DataError(f"one scan is weighted {names[0]}, the other {names[1]}; scan both alike, then merge")
        same = next((part for part in self.parts if part in other.parts), None)
        if same is not None:
            raise DataError(
                f"both hold the {same.rows:,} rows of {same.label}, which would count twice; merge scans of other rows"
            )

    def account(self) -> dict[str, Any]:
        """Return what a fit says of its rows: sources with fingerprints, and how many rows were used or left out.

        `rows` read are `used`, `missing` (a missing value), `filtered` (`where` is not true), `left_out` (zero weight,
        or another sample), and `lacking`: they could not be read. `faults` say which these are.
        """
        sources = [
            {
                "source": part.label,
                "fingerprint": part.fingerprint,
                "version": part.version,
                "rows": part.rows,
                "used": part.rows - part.missing - part.filtered - part.weightless - part.lacking,
                "missing": part.missing,
                "missing_in": part.missing_in,
                "filtered": part.filtered,
                "left_out": part.weightless,
                "lacking": part.lacking,
                "faults": [{"rows": [start, stop], "reason": reason} for start, stop, reason in part.faults],
            }
            for part in self.parts
        ]
        return {"sources": sources, "weights": self.weights, "where": self.where}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Undo `to_dict`, from JSON's lists too."""
        parts = tuple(
            Part(**(part | {"probes": _triples(part["probes"]), "faults": _triples(part.get("faults", ()))}))
            for part in values["parts"]
        )
        powers = tuple((str(name), int(degree)) for name, degree in values["powers"])
        return cls(**({**values} | {"parts": parts, "features": tuple(values["features"]), "powers": powers}))


def _triples(values: Sequence[Sequence[Any]]) -> tuple[tuple[int, int, str], ...]:
    return tuple((int(a), int(b), str(text)) for a, b, text in values)


def marked(status: str, account: Mapping[str, Any]) -> str:
    """Return the status of a result, which says so if rows lack; `account` is that of a record."""
    if not (count := lacking(account)) or "incomplete: " in status:
        return status
    note = f"incomplete: {count:,} rows could not be read and are left out"
    return note if status == "ok" else f"{status}; {note}"


def lacking(account: Mapping[str, Any]) -> int:
    """Return how many rows could not be read, by the account of a record."""
    return sum(source.get("lacking", 0) for source in account.get("sources", ()))
