"""Cross-products on a GPU, through the library that Keras runs on: TensorFlow, JAX or PyTorch.

Rows go there as they are stored, tens of megabytes at a time; q x q numbers come back. Sums are in double precision.
A thread waits for its own rows only, so that with several threads reading, copying and computing overlap.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import backend
from streamreg.errors import UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.kernels import gram

Float = NDArray[np.float64]
Found = tuple[Float, Float, Float, Float, Float]

_NUMBERS = 2**22  # in the rows that go to a device at a time: 32 megabytes of float64
_RUN = 128  # rows whose products a library may sum one after the other, as some do; the sums of runs are added pairwise


def stage_rows(columns: int) -> int:
    """Return the rows that go to a device at a time: a power of two, at least 4096."""
    rows = _NUMBERS // max(columns, 1)
    return max(4096, 1 << (max(rows, 1).bit_length() - 1))


class Device:
    """A device that Keras's backend sees.

    Parameters
    ----------
    name : str
        "gpu", "gpu:1", ...; or "cpu", which is for trying: the package's own kernel is faster there.

    Raises
    ------
    MissingExtra
        Keras, or a library for it to run on, is not installed.
    UsageError
        There is no such device, or it does not compute in double precision.
    """

    def __init__(self, name: str) -> None:
        self._ops = backend.load().ops
        self.name = backend.device(name)
        self._check()

    def block(self, parts: list[NDArray[Any]], weight: Float | None, total: float) -> Found | None:
        """Return what `gram.block` does, with the products taken on the device.

        Parameters
        ----------
        parts : list of ndarrays of shape (m, k)
            Columns side by side, q of them, of float64 or float32.
        weight : ndarray of shape (m,) or None
        total : float
            Sum of the weights, or m.

        Returns
        -------
        tuple or None
            Least and greatest values, both halves of the means, and the centred cross-products. None if the rows need
            the general path: numbers so large or small (or not finite) that they need a scale.
        """
        ops = self._ops
        with backend.scope(self.name), backend.queue(self.name):
            given = [self._tensor(part) for part in parts]
            x = given[0] if len(given) == 1 else ops.concatenate(given, axis=1)
            low, high, mean = backend.to_numpy(ops.stack([ops.min(x, axis=0), ops.max(x, axis=0), ops.mean(x, axis=0)]))
            if not gram.plain(low, high):
                return None
            centre = gram.place(mean, low, high)
            correction = np.zeros(len(centre))
            z = x - self._tensor(centre)
            if weight is None:
                rest = backend.to_numpy(ops.sum(z, axis=0)) / total
            else:
                # A heavy row would drown the others if it were not centred before the products.
                w = self._tensor(weight[:, None])
                rest = backend.to_numpy(ops.transpose(w) @ z)[0] / total
                z = z - self._tensor(rest)
                centre, correction = dd.two_sum(centre, rest)
                rest = backend.to_numpy(ops.transpose(w) @ z)[0] / total
                z = z * ops.sqrt(w)
            cross = backend.to_numpy(self._product(z))
        cross = cross - total * np.multiply.outer(rest, rest)
        return low, high, *dd.add_float((centre, correction), rest), cross

    # Tensors are multiplied by `@`: Keras's own matmul returns float32 under PyTorch.

    def _product(self, z: Any) -> Any:
        """Return ``z'z``, shape (q, q), of which no sum is long: errors then do not grow with the rows."""
        ops, (m, q) = self._ops, z.shape
        run = max(_RUN, 1 << (q // 4).bit_length())  # longer for many columns, whose products take up memory
        runs = m // run
        cut = runs * run
        product = ops.transpose(z[cut:]) @ z[cut:]
        if runs:
            folded = ops.reshape(z[:cut], (runs, run, q))
            each = ops.transpose(folded, (0, 2, 1)) @ folded
            while runs > 1:
                half = runs // 2
                pairs = each[:half] + each[half : 2 * half]
                each = pairs if runs == 2 * half else ops.concatenate([pairs, each[2 * half :]], axis=0)
                runs -= half
            product = product + each[0]
        return product

    def _tensor(self, values: NDArray[Any]) -> Any:
        return self._ops.cast(self._ops.convert_to_tensor(values, values.dtype.name), "float64")

    def _check(self) -> None:
        """Multiply whole numbers whose sums take all 53 bits: single precision, TF32 and Strassen's way would show."""
        rows = np.array([[2.0**25 + 1, 3.0], [2.0**25 - 1, 5.0]] * 2)
        exact = np.array([[int(v) for v in row] for row in rows], dtype=object)
        with backend.scope(self.name), backend.queue(self.name):
            x = self._tensor(rows)
            found = backend.to_numpy(self._ops.transpose(x) @ x)
        if found.dtype != np.float64 or (found != (exact.T @ exact).astype(np.float64)).any():
            raise UsageError(
                f"device {self.name!r} does not compute in double precision with {backend.name()}; leave device out"
            )


@cache
def device(name: str) -> Device:
    """Return the device of that name, tried once."""
    return Device(name)
