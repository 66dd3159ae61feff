"""Data frames as columns of a chunk, and profiles taken in memory."""

from itertools import pairwise

import numpy as np

from streamreg.sources.base import TEXT, Schema
from streamreg.sources.chunk import Coded


def columns(frame):
    """Return the columns of a pandas frame; what is missing in text has the code -1."""
    out = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "iufbM":
            out[str(name)] = values.to_numpy()
        else:
            found = values.astype("category")
            out[str(name)] = Coded(
                found.cat.codes.to_numpy().astype(np.int32), tuple(str(level) for level in found.cat.categories)
            )
    return out


def schema(found, zones=None):
    types = tuple(TEXT if isinstance(values, Coded) else values.dtype for values in found.values())
    return Schema(tuple(found), types, None, zones or {})


def cut(found, start, stop):
    """Return some rows; a text column knows the levels of its own rows only, in an order of its own."""
    out = {}
    for name, values in found.items():
        part = values[start:stop]
        if isinstance(part, Coded):
            used = [int(code) for code in np.unique(part.codes)[::-1] if code >= 0]
            place = {code: k for k, code in enumerate(used)} | {-1: -1}
            codes = np.array([place[int(code)] for code in part.codes], np.int32)
            part = Coded(codes, tuple(part.levels[code] for code in used))
        out[name] = part
    return out


class Survey:
    """Profiles of rows in memory, by pieces that are merged in any order; counts its passes."""

    def __init__(self, found, cuts=(), order=None):
        self.found, self.passes = found, 0
        rows = len(next(iter(found.values())))
        ends = [0, *cuts, rows]
        self.pieces = list(pairwise(ends))
        self.order = list(range(len(self.pieces))) if order is None else order

    def __call__(self, inquiry):
        self.passes += 1
        inquiry = inquiry.opened(self.found)
        parts = []
        for start, stop in self.pieces:
            parts.append(inquiry.profiles())
            inquiry.absorb(parts[-1], cut(self.found, start, stop), start)
        first, *rest = (parts[k] for k in self.order)
        for other in rest:
            for key, profile in other.items():
                first[key].merge(profile)
        return first
