"""Moments of columns with indicators of what is missing, as those of columns filled by their means: no row is read.

With c in place of missing values, x_c, and the indicator m, the column filled by the mean of the values that are there
is ``x_c + (mean - c) m``: a linear map of the moments.
"""

import dataclasses
from typing import Any

import numpy as np

from streamreg.design.filled import Fill, indicator, plain, restored
from streamreg.design.policy import FILLING, Missing, policy_of
from streamreg.errors import DataError, UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.stats.moments import Moments

_MOST = 1e6  # times the spread of a column may grow by what stands in place of its missing values


class Precision(DataError):  # noqa: N818 - what is not there
    """Moments have too few digits for what is asked of them."""


def refilled(state: Any, missing: Missing) -> Any:
    """Return moments as a policy has them.

    Parameters
    ----------
    state : Moments, or another state, which stays as it is
    missing : str, or dict of str to str
        "mean": the column with its mean in place of missing values. "indicator", and what is not said: its indicator
        too, unless nothing is missing.

    Raises
    ------
    UsageError
        The scan kept no indicator of a column, and a policy needs it.
    DataError
        What stands in place of missing values is so far from the others that it costs the digits.
    """
    fills = {} if state.record is None else restored(state.record.encoder.get("fills", {}))
    known = {name for name in getattr(state, "names", ()) if name in fills}
    _require_known(state, missing, known)
    if not isinstance(state, Moments) or not known or state.record is None:
        return state
    total, names = state.total(), list(state.names)
    index = {name: k for k, name in enumerate(names)}
    mapped, mean = np.eye(len(names)), [part.copy() for part in total.mean]
    leave = set[str]()
    low, high = total.low.copy(), total.high.copy()
    for name in known:
        fill, j, k = fills[name], index[name], index.get(indicator(name))
        if k is None or not fill.indicator:
            continue
        share = float(total.mean[0][k])
        if share == 0.0:
            leave.add(indicator(name))
            del fills[name]
            if policy_of(missing, name) == "mean":
                fills[name] = Fill(float(total.mean[0][j]))
            continue
        off = (float(total.mean[0][j] - fill.value) + float(total.mean[1][j])) / (1.0 - share) if share < 1.0 else 0.0
        mapped[j, k] = off
        at = dd.multiply((np.array([off]), np.zeros(1)), (total.mean[0][[k]], total.mean[1][[k]]))
        moved = dd.add((mean[0][[j]], mean[1][[j]]), at)
        mean[0][j], mean[1][j] = moved[0][0], moved[1][0]
        fills[name] = Fill(fill.value + off, policy_of(missing, name) != "mean")
        low[j], high[j] = min(low[j], fill.value + off), max(high[j], fill.value + off)
        if policy_of(missing, name) == "mean":
            leave.add(indicator(name))
    scale = np.exp2(total.exponent.astype(np.float64))
    inner = mapped / scale[:, None] * scale[None, :]
    cross = inner @ total.cross @ inner.T
    for j in np.flatnonzero(np.count_nonzero(mapped, axis=1) > 1).tolist():
        if total.cross[j, j] > _MOST * cross[j, j]:
            raise Precision(
                f"column {names[j]!r}: what stood in place of its missing values costs digits of its moments; scan a "
                "file or a frame, whose first rows can be looked at, or subtract a constant"
            )
    moved_total = dataclasses.replace(total, mean=(mean[0], mean[1]), cross=cross, low=low, high=high)
    out = Moments.known(names, state.target, moved_total, state.n).only([n for n in names if n not in leave])
    out.target, out.n_read, out.n_missing = state.target, state.n_read, state.n_missing
    encoder = {**state.record.encoder, "fills": plain(fills)}
    if not fills:
        del encoder["fills"]
    out.record = dataclasses.replace(state.record, encoder=encoder)
    return out


def refilled_of(state: Any, missing: Missing, features: tuple[str, ...] | None) -> tuple[Any, tuple[str, ...] | None]:
    """Return `refilled` moments, and the features to take of them: with the indicators that belong to them."""
    state = refilled(state, missing)
    if features is None or state.record is None:
        return state, features
    fills = restored(state.record.encoder.get("fills", {}))
    more = (indicator(name) for name in features if name in fills and fills[name].indicator)
    return state, (*features, *(name for name in more if name not in features))


def _require_known(state: Any, missing: Missing, known: set[str]) -> None:
    wanted = {} if isinstance(missing, str) else {n: word for n, word in missing.items() if n != "*"}
    if isinstance(missing, str) and missing in FILLING and not known:
        raise UsageError(f"missing={missing!r} takes moments that know what is missing; scan with missing='indicator'")
    for name, word in wanted.items():
        if word in FILLING and name not in known:
            raise UsageError(f"missing={{{name!r}: {word!r}}}: the scan kept no indicator of {name!r}; scan with it")
