"""Rows for training: conditioned in float64, cast, and gathered in windows of bounded memory that are shuffled."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import backend
from streamreg.design.design import Design
from streamreg.engines.threads import available_threads
from streamreg.kernels.blas import one_thread
from streamreg.neural.batches import Tensors
from streamreg.neural.conditioning import Conditioning
from streamreg.scans.faults import patient
from streamreg.sources.base import Partition, Source

Block = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Conditioned features (m, p), target (m,) and weights of mean 1 (m,), in the precision of the training."""

Window = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int64]]
"""A block, and which row comes when."""

_OPEN = 4  # runs of partitions read at once; fixed, so that the order of rows does not depend on the machine
_PIECE = 2**17  # numbers conditioned at once in float64: a megabyte, which stays in cache
_COUNTED = 2**30  # rows of a table, at most: steps count them in 32 bits
_READ = 1024  # rows asked of storage at a time, where it can be cut anywhere
WINDOWS = 3  # one that is trained on, one that is ready and one that is filled
_NONE = np.empty(0, np.int64)


@dataclass(slots=True)
class Rows:
    """The rows of a source, ready for training, as often as asked for.

    Attributes
    ----------
    source : Source
    design : Design
        Which rows and columns, in which role.
    conditioning : Conditioning
    mean_weight : float
    dtype : dtype
        float32 or float64: what training computes in.
    device : str
        Where it computes: "cpu:0", "gpu:0", ...
    n : int
        Rows of a pass.
    memory : int
        Bytes that a few windows of rows share.
    room : int
        Bytes. Conditioned rows that fit in them are read once and kept, and there are no windows.
    seed : int
    threads : int or None
        Workers that read and condition; the order of rows does not depend on it.
    """

    source: Source
    design: Design
    conditioning: Conditioning
    mean_weight: float
    dtype: np.dtype[Any]
    device: str
    n: int
    memory: int
    room: int
    seed: int = 0
    threads: int | None = None
    _all: Block | None = None
    _table: Tensors | None = None
    _runs: Sequence[Sequence[Partition]] = field(init=False)

    def __post_init__(self) -> None:
        self._runs = self.source.runs(self.design.columns)

    @property
    def kept(self) -> bool:
        """Whether all rows are in memory."""
        return self._all is not None

    def release(self) -> None:
        """Give back the rows that are kept in memory."""
        self._all = self._table = None

    @property
    def row_bytes(self) -> int:
        """Bytes of a conditioned row."""
        return (len(self.design.features) + 2) * self.dtype.itemsize

    def windows(self, size: int, epoch: int | None = None) -> Generator[Window, None, None]:
        """Yield all rows in windows that memory holds a few of, as many whole batches of `size` rows as fit in one.

        Seed and epoch decide the order: runs of partitions come in any order, four of them at a time in turn, and the
        rows of a window in any order. Without an epoch rows come as they lie.
        """
        most = max(1, min(self.n, self.memory // self.row_bytes // WINDOWS) // size) * size
        if self._all is not None:
            yield from self._from_memory(most, epoch)
            return
        random = None if epoch is None else self._random(epoch)
        order = np.arange(len(self._runs))
        for x, y, weight in _tables(self._interleaved(order if random is None else random.permutation(order)), most):
            yield x, y, weight, _NONE if random is None else random.permutation(len(x))

    def _from_memory(self, most: int, epoch: int | None) -> Generator[Window, None, None]:
        assert self._all is not None, "rows are kept"
        order = np.arange(len(self._all[0])) if epoch is None else self.order(epoch)
        for start in range(0, len(order), most):
            x, y, weight = (part[order[start : start + most]] for part in self._all)
            yield x, y, weight, np.arange(len(x))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return which of the rows that are kept comes when in one epoch."""
        assert self._all is not None, "rows are kept"
        return self._random(epoch).permutation(len(self._all[0]))

    def table(self) -> Tensors | None:
        """Return all rows where they are computed with, if they fit in memory and there; they are read at first."""
        self._resident()
        return self._table

    def _resident(self) -> None:
        if self._all is not None or self.n * self.row_bytes > self.room:
            return
        width = len(self.design.features)
        none = np.empty((0, width), self.dtype), np.empty(0, self.dtype), np.empty(0, self.dtype)
        found = list(_tables(self._interleaved(np.arange(len(self._runs))), max(1, self.n))) or [none]
        # More than one where n, a share of the rows, is an estimate.
        self._all = found[0] if len(found) == 1 else next(_tables(found, sum(len(part[1]) for part in found)))
        if len(self._all[0]) < _COUNTED:
            with suppress(MemoryError):  # of the device, which is then fed with windows
                x, y, weight = backend.on_device(self._all, self.device)
                self._table = x, y, weight

    def _random(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch])

    def _interleaved(self, order: Iterable[int]) -> Iterator[Block]:
        """Yield blocks of four runs in turn, read and conditioned by threads, in an order free of timing."""
        waiting = iter(order)
        turns: deque[tuple[Iterator[Block], Future[Block | None]]] = deque()
        threads = self.threads or available_threads()
        with one_thread(), ThreadPoolExecutor(threads, "streamreg-rows") as pool:

            def enqueue(blocks: Iterator[Block]) -> None:
                turns.append((blocks, pool.submit(next, blocks, None)))

            try:
                for number in islice(waiting, _OPEN):
                    enqueue(self._blocks(int(number)))
                while turns:
                    blocks, future = turns.popleft()
                    block = future.result()
                    if block is not None:
                        enqueue(blocks)
                        yield block
                    else:
                        for number in islice(waiting, 1):
                            enqueue(self._blocks(int(number)))
            finally:
                for _, future in turns:
                    future.cancel()

    def _blocks(self, number: int) -> Iterator[Block]:
        width = len(self.design.features)
        step = max(64, _PIECE // max(1, width))
        scratch = np.empty(2 * step * width)
        parts = (patient(part, self.design.label) for part in self._runs[number])
        for chunk in (chunk for part in parts for chunk in part.chunks(_READ)):
            batch = self.design.batch(chunk)
            for start in range(0, len(batch), step):
                part = slice(start, start + step)
                x = self.conditioning.features(batch.x[part], scratch, self.dtype)
                y = self.conditioning.target(_required(batch.y)[part]).astype(self.dtype)
                weight = np.ones(len(x)) if batch.weight is None else batch.weight[part] / self.mean_weight
                yield x, y, weight.astype(self.dtype)


def _tables(blocks: Iterable[Block], most: int) -> Iterator[Block]:
    """Yield rows in tables of `most`, the last of what is left, in memory that libraries take over as it is."""
    table: Block | None = None
    filled = 0
    for block in blocks:
        at = 0
        while at < len(block[0]):
            if table is None:
                x, y, weight = (backend.aligned((most, *part.shape[1:]), part.dtype) for part in block)
                table = x, y, weight
            step = min(len(block[0]) - at, most - filled)
            for array, part in zip(table, block, strict=True):
                array[filled : filled + step] = part[at : at + step]
            at, filled = at + step, filled + step
            if filled == most:
                yield table
                table, filled = None, 0
    if table is not None:
        x, y, weight = (part[:filled] for part in table)
        yield x, y, weight


def _required(y: NDArray[Any] | None) -> NDArray[Any]:
    assert y is not None, "a design for training has a target"
    return y
