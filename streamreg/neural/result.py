"""What the training of a network returns."""

import json
import os
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg import backend
from streamreg.errors import CorruptError, Renamed, UsageError, saved, typed
from streamreg.neural.losses import Loss
from streamreg.persist.archive import existing
from streamreg.persist.atomic import whole
from streamreg.persist.kinds import NETWORK
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table
from streamreg.results.fitted import filled_rows, in_memory
from streamreg.sources.rows import missing_rows

_LARGEST = 2**26  # bytes of it


@dataclass(frozen=True, eq=False, repr=False)
class NetworkResult(Result):
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
    provenance : dict
        As of `FitResult`.
    """

    KIND: ClassVar[str] = "network"
    _APART: ClassVar[tuple[str, ...]] = ("model",)

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
    provenance: dict[str, Any] = field(default_factory=dict)

    level = Renamed("method")

    @property
    def family(self) -> str:
        """The family whose likelihood the loss belongs to, spelt with its parameter; empty if there is none."""
        given = self.spec.get("power"), self.spec.get("alpha")
        return Loss.of(self.loss, parameter=next((value for value in given if value is not None), None)).family

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

    def __repr__(self) -> str:
        size = f"{self.n_weights:,} weights, {self.n:,} rows of {self.source}"
        return f"<NetworkResult of {self.target}: {size}: {self.status}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return an account of the training, with `rows` of its epochs, evenly spaced (None: all)."""
        count = len(self.history["loss"])
        shown = np.arange(count)
        if rows is not None and rows < count:
            shown = np.unique(np.linspace(0, count - 1, max(rows, 2)).round().astype(int))
        layers = " -> ".join(map(str, self.spec.get("hidden") or ["own model"]))
        facts = [
            ("target", self.target),
            ("rows", f"{self.n:,}" + (f" of {self.n_read:,}" if self.n_read != self.n else "")),
            ("layers", f"{len(self.names)} -> {layers} -> 1"),
            ("weights", f"{self.n_weights:,}"),
            ("passes", str(self.passes)),
            ("seconds", f"{self.seconds:.3g}"),
            ("loss", self.loss),
            ("device", f"{self.device} ({self.backend})"),
        ]
        columns = [Column.of("epoch", (shown + 1).tolist())]
        for name in ("loss", "val_loss", "seconds"):
            curve = np.array(self.history.get(name, [np.nan] * count), dtype=np.float64)[shown]
            columns.append(Column.of(name, curve, lambda v: "-" if np.isnan(v) else f"{v:.6g}"))
        notes = [f"The weights are those of epoch {self.best_epoch}."]
        if self.status != "ok":
            notes.append(self.status)
        return Table(f"network of {self.source}", facts, columns, notes)

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
                archive.writestr(NETWORK, json.dumps(self.to_dict()))

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
                if archive.getinfo(NETWORK).file_size > _LARGEST:
                    raise ValueError("what it says of itself is too long")
                values = saved(json.loads(archive.read(NETWORK)))
            values["names"] = tuple(values["names"])
            curves = values["history"].items()
            values["history"] = {k: [np.nan if v is None else v for v in curve] for k, curve in curves}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                model = keras.models.load_model(path, compile=False)
            return cls(model=model, **values)
        except Exception as error:  # zipfile, json and Keras each raise their own for damaged bytes
            raise CorruptError(f"{path}: not a saved network, or damaged ({error}); train it again") from error
