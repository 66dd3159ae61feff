"""Rows for training: conditioned in float64, cast, shuffled within a window of bounded memory, cut into batches."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from streamreg import backend
from streamreg.design import Design
from streamreg.engines.threads import available_threads
from streamreg.neural.batches import Tensors
from streamreg.neural.conditioning import Conditioning
from streamreg.sources.base import Partition, Source

Block = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Conditioned features (m, p), target (m,) and weights of mean 1 (m,), in the precision of the training."""

_OPEN = 4  # partitions read at once; fixed, so that the order of rows does not depend on the machine
_PIECE = 2**17  # numbers conditioned at once in float64: a megabyte, which stays in cache
_COUNTED = 2**30  # rows of a table, at most: steps count them in 32 bits
_READ = 1024  # rows asked of storage at a time, where it can be cut anywhere


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
        Bytes. Conditioned rows that fit in half of them are read once and kept; else that is the size of the window
        they are shuffled in.
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
    seed: int = 0
    threads: int | None = None
    _all: Block | None = None
    _table: Tensors | None = None
    _partitions: Sequence[Partition] = field(init=False)

    def __post_init__(self) -> None:
        self._partitions = self.source.partitions()

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

    def shuffled(self, epoch: int, size: int) -> Generator[Block, None, None]:
        """Yield batches of `size` rows in the order of one epoch; the last one holds what is left.

        Seed and epoch decide it. Rows that are kept come in any order; others by partitions in any order, four of them
        at a time in turn, drawn at random from a window that is filled as it is emptied.
        """
        if (rows := self._resident()) is not None:
            order = self.order(epoch)
            for start in range(0, len(order), size):
                yield _rows_of(rows, order[start : start + size])
            return
        random = self._random(epoch)
        order = random.permutation(len(self._partitions))
        window = max(size, min(self.n, self.memory // 2 // self.row_bytes))
        yield from _from_window(self._interleaved(order), window, size, random)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return which of the rows that are kept comes when in one epoch."""
        assert self._all is not None, "rows are kept"
        return self._random(epoch).permutation(len(self._all[0]))

    def table(self) -> Tensors | None:
        """Return all rows where they are computed with, if they fit in memory and there; they are read at first."""
        self._resident()
        return self._table

    def in_order(self, size: int) -> Generator[Block, None, None]:
        """Yield all rows once, `size` at a time; the last batch holds what is left."""
        if (kept := self._resident()) is not None:
            for start in range(0, len(kept[0]), size):
                yield _cut(kept, start, start + size)
            return
        waiting: list[Block] = []
        for block in self._interleaved(np.arange(len(self._partitions))):
            waiting.append(block)
            held = sum(len(part[0]) for part in waiting)
            if held >= size:
                rows, whole = _stacked(waiting), held - held % size
                for start in range(0, whole, size):
                    yield _cut(rows, start, start + size)
                waiting = [_cut(rows, whole, held)] if whole < held else []
        if waiting:
            yield _stacked(waiting)

    def _resident(self) -> Block | None:
        """Return all rows, if they fit; they are read at the first call."""
        if self._all is None and self.n * self.row_bytes <= self.memory // 2:
            width = len(self.design.features)
            none = np.empty((0, width), self.dtype), np.empty(0, self.dtype), np.empty(0, self.dtype)
            self._all = _aligned(list(self._interleaved(np.arange(len(self._partitions)))) or [none])
            if len(self._all[0]) < _COUNTED:
                with suppress(MemoryError):  # of the device, which is then fed with batches
                    x, y, weight = backend.on_device(self._all, self.device)
                    self._table = x, y, weight
        return self._all

    def _random(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch])

    def _interleaved(self, order: Iterable[int]) -> Iterator[Block]:
        """Yield blocks of four partitions in turn, read and conditioned by threads, in an order free of timing."""
        waiting = iter(order)
        turns: deque[tuple[Iterator[Block], Future[Block | None]]] = deque()
        threads = self.threads or available_threads()
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads, "streamreg-rows") as pool:

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
        for chunk in self._partitions[number].chunks(_READ):
            batch = self.design.batch(chunk)
            for start in range(0, len(batch), step):
                part = slice(start, start + step)
                x = self.conditioning.features(batch.x[part], scratch, self.dtype)
                y = self.conditioning.target(_required(batch.y)[part]).astype(self.dtype)
                weight = np.ones(len(x)) if batch.weight is None else batch.weight[part] / self.mean_weight
                yield x, y, weight.astype(self.dtype)


def _from_window(blocks: Iterable[Block], window: int, size: int, random: np.random.Generator) -> Iterator[Block]:
    """Shuffle: draw batches from a window of rows, and fill the holes with the rows that come next."""
    held: list[NDArray[Any]] = []
    holes, filled = np.arange(window), 0
    for block in blocks:
        if not held:
            held = [np.empty((window, *part.shape[1:]), part.dtype) for part in block]
        at = 0
        while at < len(block[0]):
            step = min(len(block[0]) - at, len(holes) - filled)
            spots = holes[filled : filled + step]
            for array, part in zip(held, block, strict=True):
                array[spots] = part[at : at + step]
            at, filled = at + step, filled + step
            if filled == len(holes):
                holes, filled = random.choice(window, size, replace=False), 0
                yield _rows_of(held, holes)
    if held:
        left = random.permutation(np.setdiff1d(np.arange(window), holes[filled:]))
        for start in range(0, len(left), size):
            yield _rows_of(held, left[start : start + size])


def _rows_of(held: Iterable[NDArray[Any]], index: NDArray[Any]) -> Block:
    """Return some rows, in memory that libraries take over as it is."""
    taken = ((array, backend.aligned((len(index), *array.shape[1:]), array.dtype)) for array in held)
    # With "clip" NumPy writes where it is told to; with "raise" it would copy from somewhere else at the end.
    x, y, weight = (array.take(index, axis=0, out=out, mode="clip") for array, out in taken)
    return x, y, weight


def _cut(rows: Block, start: int, stop: int) -> Block:
    x, y, weight = (array[start:stop] for array in rows)
    return x, y, weight


def _stacked(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    x, y, weight = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return x, y, weight


def _aligned(blocks: list[Block]) -> Block:
    """Return all rows of some blocks, in memory that the library they are for can share."""
    parts = list(zip(*blocks, strict=True))
    n = sum(map(len, parts[1]))
    x, y, weight = (np.concatenate(p, out=backend.aligned((n, *p[0].shape[1:]), p[0].dtype)) for p in parts)
    return x, y, weight


def _required(y: NDArray[Any] | None) -> NDArray[Any]:
    assert y is not None, "a design for training has a target"
    return y
