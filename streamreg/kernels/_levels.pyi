from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def largest(z: Array, weight: Array | None, out: Array, /) -> None: ...
def add(
    z: Array, low: Array | None, weight: Array | None, scale: Array, digits: Array, factors: tuple[Array, ...], /
) -> None: ...
def encode(keys: Array, table: Array, levels: Array, room: int, used: int, codes: Array, /) -> tuple[int, int]: ...
def about(
    sums: Array,
    codes: Array,
    counts: Array,
    units: Array,
    mean: Array,
    scale: Array,
    weights: Array,
    out: Array,
    /,
) -> None: ...
def table(a: Array, b: Array, weight: Array | None, scale: float, counts: Array, digits: Array | None, /) -> None: ...
