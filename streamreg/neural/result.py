"""What the training of a network returns."""

import json
import os
import warnings
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg import backend
from streamreg.errors import CorruptError, Renamed, UsageError, saved
from streamreg.persist.archive import existing, plain
from streamreg.persist.atomic import whole
from streamreg.results.predict import filled_rows, in_memory
from streamreg.sources.rows import missing_rows

_MEMBER = "streamreg.json"
_LARGEST = 2**26  # bytes of it


@dataclass(frozen=True, eq=False, repr=False)
class NetworkResult:
    """A trained network and how it came about.

    Attributes
    ----------
    model : keras.Model
        Takes raw data, shape (m, p) in float64, and returns predictions in the units of the target, shape (m, 1):
        conditioning is inside.
    names : tuple of str
        The p features.
    target : str
    loss : str
        With "binary_cross_entropy" predictions are probabilities, with "poisson" rates.
    n, n_read, n_missing : int
        Rows trained on, rows read, and rows left out for a missing value.
    passes : int
        Times that the rows were read, the scan for the moments included.
    status : str
        "ok", or why the training cannot be trusted.
    seconds : float
    history : dict of str to list
        For each epoch: loss, val_loss (on the rows held out), seconds.
    best_epoch : int
        The epoch, from 1, whose weights these are.
    spec : dict
        The model's options.
    source : str
    encoder : dict
        Terms of a formula, and what was learned for them.
    backend, device : str
        The library that Keras ran on ("tensorflow", "jax" or "torch"), and where ("cpu:0", "gpu:0", ...).
    """

    model: Any
    names: tuple[str, ...]
    target: str
    loss: str
    n: int
    n_read: int
    n_missing: int
    passes: int
    status: str
    seconds: float
    history: dict[str, list[float]]
    best_epoch: int
    spec: dict[str, Any]
    source: str
    method: str = field(default="mini-batch")
    backend: str = "tensorflow"
    device: str = "cpu:0"
    encoder: dict[str, Any] = field(default_factory=dict)

    level = Renamed("method")

    def predict(self, x: ArrayLike, rows: int = 65536) -> NDArray[np.float64]:
        """Return predictions of rows in memory: means, probabilities or rates.

        Parameters
        ----------
        x : array of shape (m, p), or data frame
            Columns in the order of `names`, or called so.
        rows : int
            How many to compute at once.

        Returns
        -------
        ndarray of shape (m,)

        Raises
        ------
        DataError
            `x` is not a table of numbers with these columns.
        """
        table, absent = missing_rows(in_memory(filled_rows(self, x), self.names))
        parts: list[NDArray[np.float64]] = []
        with backend.scope(backend.where(self.model.variables[0].value)), backend.full_products():
            for start in range(0, len(table), rows):
                out = self.model(table[start : start + rows].astype(np.float64))
                parts.append(backend.to_numpy(out)[:, 0])
        values = np.concatenate(parts) if parts else np.empty(0)
        if absent is not None:
            values[absent] = np.nan
        return values

    @property
    def n_weights(self) -> int:
        """Number of trained weights."""
        return int(sum(np.prod(v.shape) for v in self.model.trainable_variables))

    def to_dict(self) -> dict[str, Any]:
        """Return all but the model as plain values, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "model"}
        out: dict[str, Any] = plain(values)
        return out

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        size = f"{self.n_weights:,} weights, {self.n:,} rows of {self.source}"
        return f"<NetworkResult of {self.target}: {size}: {self.status}>"

    def summary(self) -> str:
        """Return a short account of the training."""
        last = self.best_epoch - 1
        losses = [
            f"{k} {self.history[k][last]:.6g}" for k in ("loss", "val_loss") if np.isfinite(self.history[k][last])
        ]
        layers = " -> ".join(map(str, self.spec.get("hidden") or ["own model"]))
        return (
            f"Network {len(self.names)} -> {layers} -> 1 on {self.target!r}, {self.n_weights:,} weights\n"
            f"{self.n:,} rows of {self.source}, {self.passes} passes, {self.seconds:.1f} s, {self.status}\n"
            f"{self.loss}: {', '.join(losses)} after epoch {self.best_epoch} of {len(self.history['loss'])}"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .keras file, which Keras can load by itself; what it does not know of is kept beside the model in it.

        Raises
        ------
        UsageError
            The path does not end in .keras.
        """
        if Path(path).suffix != ".keras":
            raise UsageError(f"{path}: a network is saved as a .keras file; end the path so")
        with whole(path) as temporary:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, about NumPy
                self.model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_MEMBER, json.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        UsageError
            `path` is no path.
        NotFound
            No such file.
        CorruptError
            The file is damaged, or was not saved by `save`.
        """
        path = existing(path, "network")
        keras = backend.load()
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(_MEMBER).file_size > _LARGEST:
                    raise ValueError("what it says of itself is too long")
                values = saved(json.loads(archive.read(_MEMBER)))
            values["names"] = tuple(values["names"])
            curves = values["history"].items()
            values["history"] = {k: [np.nan if v is None else v for v in curve] for k, curve in curves}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                model = keras.models.load_model(path, compile=False)
            return cls(model=model, **values)
        except Exception as error:  # zipfile, json and Keras each raise their own for damaged bytes
            raise CorruptError(f"{path}: not a saved network, or damaged ({error}); train it again") from error
