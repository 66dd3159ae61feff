"""What the footer of a Parquet file says of a column in a row group."""

import json
import math
from fractions import Fraction
from typing import Any

import pyarrow as pa

from streamreg.sources.ranges import Range

_PER_DAY = {"milliseconds": 86_400_000, "microseconds": 86_400_000_000, "nanoseconds": 86_400_000_000_000}


def range_of(chunk: Any) -> Range:
    """Return the range of a column chunk; where the footer says nothing, or too little, nothing is known.

    Parameters
    ----------
    chunk : pyarrow.parquet.ColumnChunkMetaData
    """
    try:
        statistics = chunk.statistics
        if statistics is None:
            return Range()
        nulls = statistics.null_count if statistics.has_null_count else None
        kind = str(chunk.physical_type)
        some = nulls is None or nulls < chunk.num_values
        holes = nulls is None or nulls > 0 or kind not in ("BOOLEAN", "INT32", "INT64")  # NaN is not counted
        ends = _ends(statistics, kind) if statistics.has_min_max and some else None
    except (pa.ArrowException, NotImplementedError, ValueError, OverflowError):
        return Range()
    low, high = (None, None) if ends is None else ends
    return Range(low, high, some, holes)


def _ends(statistics: Any, kind: str) -> tuple[Any, Any] | None:
    """Return the least and the greatest value as conditions have them."""
    logical = json.loads(statistics.logical_type.to_json())
    name = logical.get("Type", "None")
    if name == "Date":
        return Fraction(statistics.min_raw), Fraction(statistics.max_raw)
    if name == "Timestamp" and kind == "INT64":
        per = _PER_DAY[logical["timeUnit"]]
        return Fraction(statistics.min_raw, per), Fraction(statistics.max_raw, per)
    low, high = statistics.min, statistics.max
    if name == "String" and isinstance(low, str):
        return low, high
    if name not in ("None", "Int") or not isinstance(low, bool | int | float):
        return None
    return None if math.isnan(low) or math.isnan(high) else (low, high)
