"""States of scans as files: everything that later questions need, and nothing of the rows themselves."""

import os
from typing import Any

from streamreg import __version__, stored
from streamreg.errors import CorruptError, UsageError
from streamreg.stats.base import SUFFIX, Statistic
from streamreg.stats.grouped import Grouped
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.moments import Moments
from streamreg.stats.record import Record

_KINDS: dict[str, type[Statistic]] = {"Moments": Moments, "IntegerMoments": IntegerMoments, "Grouped": Grouped}

Scanned = Moments | IntegerMoments | Grouped[Moments] | Grouped[IntegerMoments]
"""What a scan returns."""


def save(state: Statistic, path: str | os.PathLike[str]) -> None:
    """Write a state to one file: arrays and JSON with a protocol number and a checksum.

    Sums of parts of the rows are added up first, so ``8 * q * (q + 1) / 2`` bytes and a little more are written for q
    columns (and for each group, if there are groups).

    Raises
    ------
    NotFound
        The folder does not exist.
    DataError
        The file cannot be written.
    UsageError
        Its name does not end in ``.moments``.
    """
    require_suffix(path)
    record = None if state.record is None else state.record.to_dict()
    values = {"statistic": type(state).__name__, "record": record, "version": __version__}
    arrays = {f"state.{name}": array for name, array in state.compact().to_arrays().items()}
    stored.write(path, "scan", values, arrays)


def require_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse another name for a file of moments than one by which fits know it."""
    if not str(path).endswith(SUFFIX):
        raise UsageError(f"{path}: moments go to a file whose name ends in {SUFFIX}, by which fits know it")


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
    values, arrays = stored.load(path, "scan")
    try:
        own = {name.removeprefix("state."): array for name, array in arrays.items()}
        state = _KINDS[values["statistic"]].from_arrays(own)
        state.record = None if values["record"] is None else Record.from_dict(values["record"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CorruptError(f"{path}: is not a scan that streamreg knows ({error!r}); make it again") from error
    return state
