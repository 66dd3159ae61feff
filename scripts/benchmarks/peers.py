"""What others do with the same files, each as it is fastest, and what the machine allows: actions to be timed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Action = Callable[[], object]


def raw_read(path: Path) -> Action:
    def read() -> None:
        buffer = bytearray(2**22)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return read


def matrix_product(side: int) -> Action:
    square = np.random.default_rng(0).standard_normal((side, side))
    return lambda: square @ square


BATCH = 8192
"""Rows that scikit-learn-intelex takes at a time: of 2,048, 8,192, 32,768 and all at once its fastest."""


def sklearnex(x: np.ndarray, y: np.ndarray) -> Action:
    """Fit incrementally; `x` and `y` are contiguous, as it copies what is not."""

    def fit() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        model = IncrementalLinearRegression()
        for start in range(0, len(x), BATCH):
            model.partial_fit(x[start : start + BATCH], y[start : start + BATCH])
        _ = model.coef_

    return fit


def h5py_read(path: Path) -> Action:
    def read() -> None:
        for _ in h5py_batches(path):
            pass

    return read


def h5py_batches(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield whole chunks, as many as make `BATCH` rows: reading more at a time was no faster."""
    import h5py

    with h5py.File(path) as file:
        x, y = file["X"], file["y"]
        chunk = x.chunks[0] if x.chunks else BATCH
        step = chunk * max(BATCH // chunk, 1)
        for start in range(0, len(x), step):
            yield x[start : start + step], y[start : start + step]


def h5py_sklearnex(path: Path) -> Action:
    def fit() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        model = IncrementalLinearRegression()
        for x, y in h5py_batches(path):
            model.partial_fit(x, y)
        _ = model.coef_

    return fit


def zarr_read(path: Path) -> Action:
    def read() -> None:
        import zarr

        x = zarr.open_group(path, mode="r")["X"]
        step = 8 * x.chunks[0]  # which it decodes side by side; one chunk or 32 at a time are slower
        for start in range(0, x.shape[0], step):
            x[start : start + step]

    return read
