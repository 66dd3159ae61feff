"""Rows on their way to a device: blocks are gathered until they are worth the trip."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import backend
from streamreg.design.batch import Batch
from streamreg.kernels import gram
from streamreg.kernels.device import device, stage_rows
from streamreg.kernels.scratch import scratch
from streamreg.stats import chan

Float = NDArray[np.float64]

_FREE: deque[NDArray[np.uint8]] = deque(maxlen=64)
"""Memory of stages that have gone, for those to come: fresh pages cost as much as the copy into them."""


@dataclass(slots=True)
class Stage:
    """Consecutive rows, gathered for one call of a device.

    Attributes
    ----------
    name : str
        Of the device.
    columns : int
        Features, and the target if there is one.
    """

    name: str
    columns: int
    start: int = 0
    count: int = 0
    stop: int = 0
    _x: NDArray[Any] | None = None
    _rest: Float = field(default_factory=lambda: np.empty((2, 0)))
    _memory: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    _has: tuple[bool, bool] = (False, False)

    def __post_init__(self) -> None:
        device(self.name)  # which is tried before the first row is read

    def takes(self, batch: Batch) -> bool:
        """Whether rows of that kind can go to a device: what is beyond float64 cannot."""
        if batch.low is not None or batch.x.dtype.kind not in "fiub" or batch.x.dtype.itemsize > 8:
            return False
        whole = [v for v in (batch.x, batch.y) if v is not None and v.dtype.kind in "iu" and v.dtype.itemsize == 8]
        return all(max(int(v.max()), -int(v.min())) < 2**53 for v in whole)

    def has_room(self, batch: Batch) -> bool:
        """Whether these rows fit beside those gathered."""
        if not self.count:
            return True
        like = self._x is not None and _kept_as(batch.x) == self._x.dtype and self._has == _roles(batch)
        return like and self.count + len(batch) <= stage_rows(self.columns)

    def add(self, batch: Batch) -> None:
        """Copy rows in."""
        if not self.count:
            self._open(batch)
        assert self._x is not None
        here = slice(self.count, self.count + len(batch))
        self._x[here] = batch.x
        for out, values in zip(self._rest, (batch.y, batch.weight), strict=True):
            if values is not None:
                out[here] = values
        self.count, self.stop = here.stop, batch.start + batch.read

    def moments(self) -> chan.Centred:
        """Return the moments of the rows gathered; afterwards there are none."""
        assert self._x is not None
        x, y, weight = self._x[: self.count], *self._rest[:, : self.count]
        has_y, has_weight = self._has
        parts = [x, y[:, None]] if has_y else [x]
        try:
            done = chan.on_device(device(self.name), parts, weight if has_weight else None)
            if done is None:
                buffer = scratch(gram.room(self.count, self.columns), self.columns, "moments")
                done = chan.of_block(parts, weight if has_weight else None, buffer)
        finally:
            _FREE.append(self._memory)
            self.count, self._x, self._memory = 0, None, np.empty(0, np.uint8)
        return done

    def _open(self, batch: Batch) -> None:
        kind, width = _kept_as(batch.x), batch.x.shape[1]
        rows = max(stage_rows(self.columns), len(batch))
        size = rows * (kind.itemsize * width + 16)
        try:
            self._memory = _FREE.pop()
        except IndexError:
            self._memory = np.empty(0, np.uint8)
        if len(self._memory) < size:
            self._memory = backend.host_memory(size)
        self._rest = self._memory[: 16 * rows].view(np.float64).reshape(2, rows)
        self._x = self._memory[16 * rows : size].view(kind).reshape(rows, width)
        self.start, self._has = batch.start, _roles(batch)


def _kept_as(x: NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(np.float32 if x.dtype == np.float32 else np.float64)


def _roles(batch: Batch) -> tuple[bool, bool]:
    return batch.y is not None, batch.weight is not None
