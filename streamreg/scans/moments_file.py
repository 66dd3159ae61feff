"""States of scans as files: everything that later questions need, and nothing of the rows themselves."""

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from streamreg.errors import CorruptError
from streamreg.persist import archive
from streamreg.stats import sense
from streamreg.stats.base import Statistic
from streamreg.stats.grouped import Grouped
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments
from streamreg.stats.provenance import Record

_KINDS: dict[str, type[Statistic]] = {"Moments": Moments, "IntegerMoments": IntegerMoments, "Grouped": Grouped}

Scanned = Moments | IntegerMoments | Grouped[Moments] | Grouped[IntegerMoments]
"""What a scan returns."""


def load(path: str | os.PathLike[str]) -> Any:
    """Read a scan that `save` wrote: Moments, IntegerMoments, or Grouped of one of them; see `streamreg.load`."""
    values, arrays = archive.load(path, "scan")
    try:
        return unpacked(values, arrays)
    except Exception as error:  # whatever an edited file leads to
        raise CorruptError(f"{path}: damaged, or edited: it is no scan that streamreg knows ({error}); make it again"
                           ) from error  # fmt: skip


def unpacked(values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the state of which `Statistic.packed` was made.

    Raises
    ------
    ValueError, KeyError
        There is no such state.
    """
    own = {name.removeprefix("state."): array for name, array in arrays.items()}
    state = _KINDS[values["statistic"]].from_arrays(own)
    state.record = None if values["record"] is None else Record.from_dict(values["record"])
    if state.record is not None:
        _require_record(state)
    return state


def _require_record(state: Statistic) -> None:
    """Make sure that the record of a state is of its rows."""
    parts = state.record.parts if state.record is not None else ()
    for what, counts, total in (
        ("read", [part.rows for part in parts], state.n_read),
        ("missing", [part.missing for part in parts], state.n_missing),
        (
            "of zero weight, filtered or lacking",
            [part.weightless + part.filtered + part.lacking for part in parts],
            state.n_read - state.n_missing - state.n,
        ),
    ):
        sense.require(all(type(count) is int and count >= 0 for count in counts), f"rows {what} are {counts}")
        sense.require(sum(counts) == total, f"{total} rows {what} are not those of its record, {sum(counts)}")
