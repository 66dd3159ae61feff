"""States of scans as files: everything that later questions need, and nothing of the rows themselves."""

import os
from typing import Any

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
    """Read what `save` wrote: Moments, IntegerMoments, or Grouped of one of them.

    Parameters
    ----------
    path : path
        A ``.moments`` file. Fits are read by `FitResult.load`, networks by `NetworkResult.load`.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        The file is damaged, truncated, no saved scan, or written by a newer streamreg.
    """
    values, arrays = archive.load(path, "scan")
    try:
        own = {name.removeprefix("state."): array for name, array in arrays.items()}
        state = _KINDS[values["statistic"]].from_arrays(own)
        state.record = None if values["record"] is None else Record.from_dict(values["record"])
        if state.record is not None:
            _require_record(state)
    except Exception as error:  # whatever an edited file leads to
        raise CorruptError(f"{path}: damaged, or edited: it is no scan that streamreg knows ({error}); make it again"
                           ) from error  # fmt: skip
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
