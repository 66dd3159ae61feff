"""Which rows are a sample: ranges spread over all of them, whatever the storage and the number of workers."""

import numpy as np

from streamreg.design.design import Design
from streamreg.scans.fold import require_reach
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.sources.held import HeldSource, held

_RANGE = 4096  # rows of a range: a multiple of every statistic's block, so that ranges are blocks of the whole
_LEAST, _MOST = 8, 16  # ranges, where there are few columns
_SHARE = 16  # of the rows, at most, beyond the least number of ranges
_EACH = 50  # rows for each column: a fit to fewer is too far from that to all rows
_BYTES = 2**26  # to be held


def sample(source: Source, design: Design, run: Run) -> HeldSource | None:
    """Read a sample of the rows; None where they are few, pass by once, or the sample would be large.

    It is the same rows for the same table, in any storage.
    """
    n, width = source.schema.n_rows, len(design.names)
    if n is None or source.one_pass:
        return None
    units = n // _RANGE
    count = max(min(units // _SHARE, _MOST), _LEAST, -(-_EACH * width // _RANGE))
    if 8 * count > units or count * _RANGE * 8 * (width + len(design.beside)) > _BYTES:
        return None
    places = np.linspace(0, units - 1, count).round().astype(int) * _RANGE
    ranges = [(int(a), int(a) + _RANGE) for a in places]
    require_reach(source, run.engine, source.partitions(columns=design.columns))
    return held(source, ranges, design.columns, run.engine.map)
