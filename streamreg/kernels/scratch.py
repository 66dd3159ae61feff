"""Scratch memory that a thread keeps from block to block, whatever statistic works on them."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOCAL = threading.local()


def scratch(rows: int, columns: int, use: str = "") -> NDArray[np.float64]:
    """Return a float64 array of shape (rows, columns) with anything in it.

    The same memory is handed out again at the next call on this thread with the same `use`.
    """
    held: dict[str, NDArray[Any]] = _LOCAL.__dict__.setdefault("held", {})
    memory = held.get(use)
    if memory is None or memory.size < rows * columns:
        memory = held[use] = np.empty(rows * columns)
    return memory[: rows * columns].reshape(rows, columns)
