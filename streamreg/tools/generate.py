"""Files of made-up rows whose true coefficients are known: `streamreg generate`."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from streamreg.engines.threads import Threads
from streamreg.errors import typed
from streamreg.models.validation import validated
from streamreg.persist import table_writer
from streamreg.persist.atomic import whole
from streamreg.progress import Progress
from streamreg.sources.synthetic import TARGET, Recipe


class Generate(Recipe):
    """Which rows to make, and how to store them.

    Parameters
    ----------
    chunk_rows : int, optional
        Rows of a storage chunk. An HDF5 file is contiguous unless this or `compression` is given, and then has chunks
        of about 1 MB; a Zarr store has chunks of about 8 MB.
    compression : {"none", "gzip", "lzf", "zstd"}
        gzip or lzf for HDF5, zstd or gzip for Zarr.
    """

    chunk_rows: int | None = Field(default=None, gt=0)
    compression: Literal["none", "gzip", "lzf", "zstd"] = "none"

    def write(self, out: str | os.PathLike[str], *, force: bool = False, progress: bool | None = None) -> None:
        """Write the rows to `out`, whose suffix tells the format, and the truth about them to ``<out>.json``.

        Raises
        ------
        UsageError
            The suffix is not known, an option does not go with it, or the file exists and `force` is false.
        NotFound
            No such folder.
        DataError
            The file cannot be written: disk full, no permission. Nothing is left behind.
        """
        path = Path(out)
        side = truth_path(path)
        self.check(path)
        table_writer.require_replaceable(path, force)
        table_writer.require_replaceable(side, force)
        with (
            whole(side) as truth,
            table_writer.create(path, self.layout(), force=force) as put,
            Progress(f"generate {path}", self.rows, shown=progress) as bar,
        ):
            for start, x, y in _slabs(Threads().map(self.block, self.blocks()), self.slab_rows(path)):
                put(start, X=x, y=y)
                bar(len(x))
            truth.write_text(json.dumps(self.truth(), indent=1) + "\n", encoding="utf-8")

    def check(self, path: Path) -> None:
        """Raise `UsageError` if the suffix of `path` is not known or does not go with the options."""
        self.layout().check(path)

    def layout(self) -> table_writer.Layout:
        """Return what is written: the features in X, the target in y."""
        arrays = {"X": self.columns, TARGET: None}
        return table_writer.Layout(arrays, self.rows, self.dtype, self.names, self.chunk_rows, self.compression)

    def truth(self) -> dict[str, Any]:
        """Return what is known of the rows: names (the target last), options, true coefficients."""
        about = self.model_dump(include={"kind", "rows", "seed", "correlation", "dtype"})
        noise = 1.0 if self.noise is None and self.kind == "linear" else self.noise
        return {
            "columns": [*self.names, TARGET],
            "target": TARGET,
            **about,
            "noise": noise,
            "intercept": self.intercept,
            "coef": self.coef.tolist(),
        }

    def slab_rows(self, path: Path) -> int:
        """Return how many rows are written at a time: a multiple of the storage chunk, near a block."""
        chunk = self.layout().chunks(path)
        return self.block_rows if chunk is None else chunk * max(1, self.block_rows // chunk)


@typed
def generate(
    out: str | os.PathLike[str],
    *,
    rows: int,
    columns: int,
    kind: Literal["linear", "logistic"] = "linear",
    seed: int = 0,
    noise: float | None = None,
    correlation: float = 0.0,
    dtype: Literal["float64", "float32", "float16"] = "float64",
    chunk_rows: int | None = None,
    compression: Literal["none", "gzip", "lzf", "zstd"] = "none",
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Write a file of made-up rows and return the truth about them, which is also written to ``<out>.json``.

    HDF5 and Zarr hold the features in dataset ``X`` and the target in ``y``; a .npy file has the target as its last
    column. The same seed gives the same numbers in every format.

    Parameters
    ----------
    out : path
        The suffix tells the format: ``.h5``, ``.zarr`` or ``.npy``.
    rows, columns : int
        The columns x0, x1, ... are standard normal.
    kind : {"linear", "logistic"}
        A target of ``intercept + x'coef`` plus normal noise, or 1 with the probability whose logit that is.
    seed : int
    noise : float, optional
        Standard deviation of the noise of a linear target; default: 1. A logistic target has none.
    correlation : float
        Of each column with the next one.
    dtype : {"float64", "float32", "float16"}
    chunk_rows : int, optional
        Rows of a storage chunk. Default: an HDF5 file is contiguous, unless it is compressed; the chunks of a Zarr
        store are of about 8 MB.
    compression : {"none", "gzip", "lzf", "zstd"}
        gzip or lzf for HDF5, zstd or gzip for Zarr.
    force : bool
        Replace a file that is there.
    progress : bool, optional
        Show a progress bar; default: on a terminal.

    Raises
    ------
    UsageError
        An option is wrong, or the file exists and `force` is false.
    DataError
        The file cannot be written: disk full, no permission. Nothing is left behind.
    """
    options = {k: v for k, v in locals().items() if k not in ("out", "force", "progress")}
    spec = validated(Generate, options)
    spec.write(out, force=force, progress=progress)
    return spec.truth()


def truth_path(path: Path) -> Path:
    """Return where the truth about the rows in `path` is."""
    return path.with_name(path.name + ".json")


def _slabs(
    blocks: Iterable[tuple[NDArray[Any], NDArray[Any]]], rows: int
) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Cut and join blocks so that every piece but the last has `rows` rows; yields the first row number, X and y."""
    start, held = 0, 0
    waiting: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for x, y in blocks:
        while len(x):
            take = rows - held
            waiting.append((x[:take], y[:take]))
            held += len(waiting[-1][0])
            x, y = x[take:], y[take:]
            if held == rows:
                yield start, *_joined(waiting)
                start, held, waiting = start + held, 0, []
    if waiting:
        yield start, *_joined(waiting)


def _joined(pieces: list[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])
