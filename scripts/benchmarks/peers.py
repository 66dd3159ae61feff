"""What others do with the same files, and what the machine allows: actions to be timed."""

from collections.abc import Callable
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


def sklearnex(table: np.ndarray) -> Action:
    def fit() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        IncrementalLinearRegression().fit(table[:, :-1], table[:, -1])

    return fit


def least_squares(x: np.ndarray, y: np.ndarray) -> None:
    """Fit scikit-learn's LinearRegression, which may centre the rows in place."""
    from sklearn.linear_model import LinearRegression

    LinearRegression(copy_X=False).fit(x, y)


def normal_equations(x: np.ndarray, y: np.ndarray) -> None:
    """Fit scikit-learn's Ridge by Cholesky with next to no penalty: no errors, no digits."""
    from sklearn.linear_model import Ridge

    Ridge(1e-9, solver="cholesky").fit(x, y)


def h5py_read(path: Path, into: Callable[[np.ndarray, np.ndarray], object] | None = None) -> Action:
    def read() -> None:
        import h5py

        with h5py.File(path) as file:
            x, y = file["X"], file["y"]
            step = (x.chunks[0] if x.chunks else 8192) * 8
            for start in range(0, len(x), step):
                block = x[start : start + step], y[start : start + step]
                if into is not None:
                    into(*block)

    return read


def h5py_sklearnex(path: Path) -> Action:
    def fit() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        model = IncrementalLinearRegression()
        h5py_read(path, model.partial_fit)()
        _ = model.coef_

    return fit


def zarr_read(path: Path) -> Action:
    def read() -> None:
        import zarr

        x = zarr.open_group(path, mode="r")["X"]
        for start in range(0, x.shape[0], x.chunks[0]):
            x[start : start + x.chunks[0]]

    return read
