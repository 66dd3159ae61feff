from typing import Any

from numpy.typing import NDArray

Float = NDArray[Any]
_Side = tuple[Float, Float, Float, Float, Float, NDArray[Any]]

def block(
    kernel: int,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    weight: Float | None,
    total: float,
    work: Float,
    low: Float,
    high: Float,
    mean: Float,
    rest: Float,
    cross: Float,
    /,
) -> bool: ...
def merge(a: _Side, b: _Side, weight_a: float, weight_b: float, /) -> bool: ...
def lines(
    kernel: int, x: NDArray[Any], centre: Float, coef: Float, count: int, scale: Float, out: Float, /
) -> bool: ...
def sums(kernel: int, x: NDArray[Any], centre: Float, signed: Float, sized: Float, out: Float, /) -> bool: ...
def finite(kernel: int, values: NDArray[Any], /) -> bool | None: ...
def rows(kernel: int, columns: tuple[NDArray[Any], ...], out: NDArray[Any], /) -> bool | None: ...
def room(rows: int, columns: int, /) -> int: ...
def integers(
    kernel: int,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    unit: Float,
    bits: int,
    work: Float,
    words: tuple[NDArray[Any] | None, ...],
    /,
) -> tuple[int, int]: ...
def integer_room(columns: int, /) -> tuple[int, int]: ...
def tiles(
    kernel: int,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    unit: Float,
    kind: int,
    work: Float,
    words: tuple[NDArray[Any] | None, ...],
    /,
) -> tuple[int, int, int]: ...
def wide(
    kernel: int,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    unit: Float,
    bits: int,
    work: Float,
    words: tuple[NDArray[Any] | None, ...],
    weight: Float | None = None,
    /,
) -> tuple[int, int]: ...
def tile_room(columns: int, /) -> tuple[int, int]: ...
def wide_room(kernel: int, columns: int, /) -> tuple[int, int]: ...
def kernels() -> tuple[str | None, ...]: ...
