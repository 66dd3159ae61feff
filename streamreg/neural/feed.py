"""Batches on their way to the training: read, conditioned and, to a graphics card, copied ahead of it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import count, islice
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeAlias

import numpy as np

from streamreg import backend
from streamreg.errors import ChangedError, OnePassError
from streamreg.neural.batches import Batch, Part, Stretch, Tensors
from streamreg.neural.rows import Block, Rows

_AHEAD = 4  # batches

Batches: TypeAlias = Generator[Any, None, None]


def parts(
    rows: Rows, size: int, epoch: int | None = None, skip: int = 0, together: int = 32, border: int | None = None
) -> Iterator[Part]:
    """Yield one pass over rows: from where they lie, if that is in memory, or else made ahead of the training.

    An error while reading is raised as itself, not wrapped by TensorFlow; so is a source that changed meanwhile.

    Parameters
    ----------
    rows : Rows
    size : int
        Rows of a batch.
    epoch : int or None
        Whose shuffled order; None for rows as they lie.
    skip : int
        Batches to leave out at the start, because they were trained on before.
    together : int
        Batches of a stretch, at most, where rows lie in memory.
    border : int or None
        A batch that begins a stretch.
    """
    before = rows.source.fingerprint()
    try:
        if (table := rows.table()) is None:
            batches = rows.in_order(size) if epoch is None else rows.shuffled(epoch, size)
            yield from map(Batch, _fed(rows, _after(skip, batches)))
        elif epoch is None:
            yield from _slices(table, size, skip)
        else:
            yield from _stretches(rows, table, size, epoch, skip, together, border or 0)
    except OnePassError as error:
        raise OnePassError(f"Keras needs several passes over the rows. {error}") from error
    if rows.source.fingerprint() != before:
        raise ChangedError(f"{rows.source.label} changed while it was read; let the writer finish, then run again")


def _stretches(
    rows: Rows, table: Tensors, size: int, epoch: int, at: int, together: int, border: int
) -> Iterator[Stretch]:
    n = len(table[0])
    (order,) = backend.on_device([rows.order(epoch)], rows.device)
    while at * size < n:
        after = min(at + together, border) if at < border else at + together
        yield Stretch(table, order, at * size, min(after * size, n), size)
        at = after


def _slices(table: Tensors, size: int, skip: int) -> Iterator[Batch]:
    for start in range(skip * size, len(table[0]), size):
        x, y, weight = (part[start : start + size] for part in table)
        yield Batch((x, y, weight))


def _fed(rows: Rows, batches: Batches) -> Batches:
    """Yield batches, made ahead: through ``tf.data`` for TensorFlow, or else by a thread."""
    if backend.name() == "tensorflow":
        batches = _through_dataset(batches, len(rows.design.features), rows.dtype)
    if backend.name() != "tensorflow" or not rows.device.startswith("cpu"):
        batches = _ahead(batches, _to_device(rows.device))
    return batches


def _after(skip: int, batches: Batches) -> Batches:
    with closing(batches):
        yield from islice(batches, skip, None)


def _ahead(batches: Batches, place: Callable[[Any], Any]) -> Batches:
    """Yield batches that a thread makes, a few of them in advance, and moves to where they are computed with."""
    ready: Queue[Tensors | BaseException | None] = Queue(_AHEAD)
    left = Event()

    def put(item: Tensors | BaseException | None) -> None:
        while not left.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except Full:
                continue

    def work() -> None:
        try:
            while not left.is_set() and (batch := next(batches, None)) is not None:
                put(place(batch))
            put(None)
        except BaseException as error:  # which belongs to whoever waits for batches
            put(error)

    thread = Thread(target=work, name="streamreg-feed", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        thread.join()
        batches.close()


def _to_device(device: str) -> Callable[[Any], Any]:
    """Return what copies a batch to a device without holding up what is computed there."""
    library, name = backend.library(), backend.name()
    if name == "jax" or (name == "torch" and device.startswith("cpu")):
        return lambda batch: backend.on_device(batch, device)
    if name == "tensorflow":

        def copied(batch: Any) -> Any:
            with backend.scope(device):
                return tuple(library.identity(tensor) for tensor in batch)

        return copied
    target = library.device(device.replace("gpu", "cuda"))
    stream = library.cuda.Stream(target)

    def sent(batch: Any) -> Any:
        with library.cuda.stream(stream):
            tensors = [library.from_numpy(array).pin_memory().to(target, non_blocking=True) for array in batch]
        stream.synchronize()
        for tensor in tensors:  # so that its memory is not used again before the training is done with it
            tensor.record_stream(library.cuda.default_stream(target))
        return tuple(tensors)

    return sent


def _through_dataset(batches: Batches, width: int, dtype: np.dtype[Any]) -> Batches:
    """Yield batches from a ``tf.data.Dataset``, whose batches become empty at the end.

    Not ``Dataset.from_generator``: that sets the C library's allocator to give memory back at once, and every later
    array of this process begins with page faults, at twice the cost of a pass.
    """
    tf, number = backend.library(), next(_NUMBERS)
    end: Block = np.empty((0, width), dtype), np.empty(0, dtype), np.empty(0, dtype)

    def batch(key: Any) -> Any:
        x, y, weight = tf.numpy_function(_next_batch, [key], [tf.as_dtype(dtype)] * 3)
        return tf.ensure_shape(x, (None, width)), tf.ensure_shape(y, (None,)), tf.ensure_shape(weight, (None,))

    errors: list[BaseException] = []
    _RUNNING[number] = batches, end, errors
    options = tf.data.Options()
    options.autotune.enabled = False  # whose thread sleeps ever longer, and the end of a pass would wait for it to wake
    with backend.scope("cpu:0"):
        dataset = tf.data.Dataset.from_tensors(number).repeat().map(batch).prefetch(_AHEAD)
        tensors = iter(dataset.with_options(options))
    try:
        while len((item := next(tensors))[0]):
            yield item
    finally:
        del tensors  # which waits for what is under way
        del _RUNNING[number]
        batches.close()
    if errors:
        raise errors[0]


# TensorFlow keeps every Python function it has been given for ever, so it is given this one only.
_RUNNING: dict[int, tuple[Batches, Block, list[BaseException]]] = {}
_NUMBERS = count()


def _next_batch(number: Any) -> Block:
    """Return the next batch, or an empty one at the end or after an error, which is kept."""
    batches, end, errors = _RUNNING[int(number)]
    try:
        return next(batches, end)
    except Exception as error:
        errors.append(error)
    return end
