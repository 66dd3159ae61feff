"""Rows on their way to the training: read, conditioned and copied to a graphics card ahead of it, window by window."""

from collections.abc import Callable, Generator, Iterator
from itertools import count
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeAlias

import numpy as np

from streamreg import backend
from streamreg.errors import ChangedError, OnePassError
from streamreg.neural.batches import Batch, Part, Stretch
from streamreg.neural.rows import Rows, Window

_AHEAD = 1  # windows

Windows: TypeAlias = Generator[Any, None, None]


def parts(
    rows: Rows, size: int, epoch: int | None = None, skip: int = 0, together: int = 32, border: int | None = None
) -> Iterator[Part]:
    """Yield one pass over rows: batches as the rows lie, or stretches of them in the shuffled order of an epoch.

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
        Batches of a stretch, at most.
    border : int or None
        A batch that begins a stretch.
    """
    before = rows.source.fingerprint()
    done = 0
    try:
        for *table, order in _windows(rows, size, epoch):
            n = len(table[0])
            at, edge = max(0, skip - done), (border or 0) - done
            yield from _slices(table, size, at) if epoch is None else _stretches(table, order, size, at, together, edge)
            done += -(-n // size)
    except OnePassError as error:
        raise OnePassError(f"Keras needs several passes over the rows. {error}") from error
    if rows.source.fingerprint() != before:
        raise ChangedError(f"{rows.source.label} changed while it was read; let the writer finish, then run again")


def _windows(rows: Rows, size: int, epoch: int | None) -> Iterator[Any]:
    """Yield tables and orders: one of all rows, where they lie in memory; or windows of them, made ahead."""
    if (table := rows.table()) is not None:
        yield *table, None if epoch is None else backend.on_device([rows.order(epoch)], rows.device)[0]
        return
    windows = rows.windows(size, epoch)
    if backend.name() == "tensorflow":
        windows = _through_dataset(windows, len(rows.design.features), rows.dtype)
    if backend.name() != "tensorflow" or not rows.device.startswith("cpu"):
        windows = _ahead(windows, _to_device(rows.device))
    yield from windows


def _stretches(table: Any, order: Any, size: int, at: int, together: int, border: int) -> Iterator[Stretch]:
    n = len(table[0])
    while at * size < n:
        after = min(at + together, border) if at < border else at + together
        yield Stretch(tuple(table), order, at * size, min(after * size, n), size)
        at = after


def _slices(table: Any, size: int, at: int) -> Iterator[Batch]:
    for start in range(at * size, len(table[0]), size):
        x, y, weight = (part[start : start + size] for part in table)
        yield Batch((x, y, weight))


def _ahead(windows: Windows, place: Callable[[Any], Any]) -> Windows:
    """Yield windows that a thread makes in advance, and moves to where they are computed with."""
    ready: Queue[Any] = Queue(_AHEAD)
    left = Event()

    def put(item: Any) -> None:
        while not left.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except Full:
                continue

    def work() -> None:
        try:
            while not left.is_set() and (window := next(windows, None)) is not None:
                put(place(window))
            put(None)
        except BaseException as error:  # which belongs to whoever waits for windows
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
        windows.close()


def _to_device(device: str) -> Callable[[Any], Any]:
    """Return what copies a window to a device without holding up what is computed there."""
    library, name = backend.library(), backend.name()
    if name == "jax" or (name == "torch" and device.startswith("cpu")):
        return lambda window: backend.on_device(window, device)
    if name == "tensorflow":

        def copied(window: Any) -> Any:
            with backend.scope(device):
                return tuple(library.identity(tensor) for tensor in window)

        return copied
    target = library.device(device.replace("gpu", "cuda"))
    stream = library.cuda.Stream(target)

    def sent(window: Any) -> Any:
        with library.cuda.stream(stream):
            tensors = [library.from_numpy(array).pin_memory().to(target, non_blocking=True) for array in window]
        stream.synchronize()
        for tensor in tensors:  # so that its memory is not used again before the training is done with it
            tensor.record_stream(library.cuda.default_stream(target))
        return tuple(tensors)

    return sent


def _through_dataset(windows: Windows, width: int, dtype: np.dtype[Any]) -> Windows:
    """Yield windows from a ``tf.data.Dataset``, whose elements become empty at the end.

    Not ``Dataset.from_generator``: that sets the C library's allocator to give memory back at once, and every later
    array of this process begins with page faults, at twice the cost of a pass.
    """
    tf, number = backend.library(), next(_NUMBERS)
    end = np.empty((0, width), dtype), np.empty(0, dtype), np.empty(0, dtype), np.empty(0, np.int64)
    shapes = (None, width), (None,), (None,), (None,)

    def window(key: Any) -> Any:
        parts = tf.numpy_function(_next_window, [key], [tf.as_dtype(part.dtype) for part in end])
        return tuple(map(tf.ensure_shape, parts, shapes))

    errors: list[BaseException] = []
    _RUNNING[number] = windows, end, errors
    options = tf.data.Options()
    options.autotune.enabled = False  # whose thread sleeps ever longer, and the end of a pass would wait for it to wake
    with backend.scope("cpu:0"):
        dataset = tf.data.Dataset.from_tensors(number).repeat().map(window).prefetch(_AHEAD)
        tensors = iter(dataset.with_options(options))
    try:
        while len((item := next(tensors))[0]):
            yield item
    finally:
        del tensors  # which waits for what is under way
        del _RUNNING[number]
        windows.close()
    if errors:
        raise errors[0]


# TensorFlow keeps every Python function it has been given for ever, so it is given this one only.
_RUNNING: dict[int, tuple[Windows, Window, list[BaseException]]] = {}
_NUMBERS = count()


def _next_window(number: Any) -> Window:
    """Return the next window, or an empty one at the end or after an error, which is kept."""
    windows, end, errors = _RUNNING[int(number)]
    try:
        return next(windows, end)
    except Exception as error:
        errors.append(error)
    return end
