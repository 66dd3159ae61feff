"""Which rows have a value in every column: what is infinite is refused, what is missing refused or left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import missing_integers
from streamreg.design.policy import Missing, policy_of
from streamreg.errors import NonFiniteError
from streamreg.sources.chunk import Chunk

_STAYS, _LEAVES = "keep", "drop"
_REMEDY = "leave such rows out with missing='drop' (--missing drop), or fill them"


def complete(
    parts: Sequence[NDArray[Any]],
    names: Sequence[str],
    made: int,
    chunk: Chunk,
    rows: NDArray[np.int64] | None,
    missing: Missing,
    label: str,
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return which rows are complete, and by column how many of the others have no value in it.

    Parameters
    ----------
    parts : sequence of ndarrays of shape (m, k)
        Columns side by side.
    names : sequence of str
        Of all of these columns.
    made : int
        How many of the first columns may be made of others. They are missing where one of those is, which is then
        the one to name: see `Chunk.holes`.
    chunk : Chunk
        What the columns are of.
    rows : int ndarray of shape (m,) or None
        Where the rows stand in the chunk.
    missing : str or dict of str to str
        The policies; besides those of `streamreg.design.policy` "keep": what is missing is no matter.
    label : str
        What errors call the data.

    Raises
    ------
    NonFiniteError
        Infinity, or a missing value of a column whose policy is not to leave rows out.
    """
    absent = np.hstack([np.isnan(part) | missing_integers(part) for part in parts])
    infinite = np.hstack([np.isinf(part) for part in parts])
    stored = {name: mask if rows is None else mask[rows] for name, mask in chunk.holes.items()}
    if stored:
        absent[:, :made] &= ~np.logical_or.reduce(list(stored.values()))[:, None]
    policies = [str(policy_of(missing, name)) for name in names]
    refused = [policy not in (_STAYS, _LEAVES) for policy in policies]
    lost = {name: mask for name, mask in stored.items() if policy_of(missing, name) != _LEAVES}
    strict = any(refused) and bool(absent[:, refused].any())
    if strict or infinite.any() or any(mask.any() for mask in lost.values()):
        bad = infinite | (absent & np.array(refused))
        raise _refusal(bad, absent, lost, names, parts, chunk, rows, label, missing == "error")
    counted = [policy != _STAYS for policy in policies]
    gone = (absent if all(counted) else absent[:, counted]).any(axis=1)
    for mask in stored.values():
        gone |= mask
    counts = {name: int(np.count_nonzero(mask)) for name, mask in stored.items()}
    for name, count, counts_too in zip(names, np.count_nonzero(absent[gone], axis=0).tolist(), counted, strict=True):
        if counts_too:
            counts[name] = counts.get(name, 0) + count
    return np.flatnonzero(~gone), {name: count for name, count in counts.items() if count}


def _refusal(
    bad: NDArray[np.bool_],
    absent: NDArray[np.bool_],
    lost: dict[str, NDArray[np.bool_]],
    names: Sequence[str],
    parts: Sequence[NDArray[Any]],
    chunk: Chunk,
    rows: NDArray[np.int64] | None,
    label: str,
    alike: bool,
) -> NonFiniteError:
    """Return what to raise for the first row that cannot be used."""
    first = {name: int(np.argmax(mask)) for name, mask in lost.items() if mask.any()}
    i = int(np.argmax(bad.any(axis=1))) if bad.any() else len(bad)
    name = min(first, key=lambda known: first[known], default="")
    if name and first[name] <= i:
        i, value, remedy = first[name], "a missing value", ""
    else:
        j = int(np.argmax(bad[i]))
        name, value, remedy = names[j], "infinity", "mend it"
        if absent[i, j]:
            whole = [part.dtype.kind != "f" for part in parts for _ in range(part.shape[1])][j]
            value = "a missing value (NaT, or -2^63)" if whole else "NaN (a missing value)"
            remedy = ""
    own = f"leave such rows out with missing={{{name!r}: 'drop', ...}} (--missing {name}=drop,...), or fill them"
    remedy = remedy or (_REMEDY if alike else own)
    row = chunk.number(i if rows is None else int(rows[i]))
    return NonFiniteError(f"{label}, row {row:,} (from 0), column {name!r}: {value}; {remedy}")
