"""Passes over the rows that survive their process: how far each came, on disk, and what it had by then.

Partitions are merged in row order, so that one number says which are done. What is kept beside it is the state, as it
is (the sums of parts of the rows apart, so that the end has the bits of an unbroken pass), and the rows that wait for
their neighbours.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg._version import __version__
from streamreg.design.design import Design
from streamreg.errors import ChangedError, CorruptError, UsageError
from streamreg.persist import archive
from streamreg.persist.lock import locked
from streamreg.sources.base import Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.stats.base import Statistic

_KIND = "pass over rows"
_SUFFIX, _NEW = ".pass", ".new"

SECONDS = 5.0
"""Least time between two saves."""


class Checkpoint:
    """A folder in which the passes of one computation are kept, in the order in which they are taken.

    Parameters
    ----------
    folder : path
        Made if need be.
    seconds : float
        Least time between two saves.
    """

    def __init__(self, folder: str | os.PathLike[str], seconds: float = SECONDS) -> None:
        self.folder, self.seconds = Path(folder), seconds
        self._taken = 0

    def next(self, source: Source, design: Design, statistic: Statistic, partitions: int) -> "Pass":
        """Return the place of the next pass."""
        self._taken += 1
        identity = {
            "version": __version__,
            "data": source.fingerprint(),
            "rows of": source.label,
            "partitions": partitions,
            "design": json.dumps(_plain(design), sort_keys=True),
            "statistic": _recipe(statistic),
        }
        return Pass(self.folder / f"{self._taken:03d}{_SUFFIX}", identity, self.seconds)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the folder from others while the computation runs, and empty it when that is done."""
        with locked(self.folder):
            yield
            for file in [*self.folder.glob(f"*{_SUFFIX}*"), *self.folder.glob(f"*{_NEW}")]:
                file.unlink(missing_ok=True)
        with suppress(OSError):  # there are other files in it
            self.folder.rmdir()


class Pass:
    """What is on disk of one pass: a file, and the one before it.

    Parameters
    ----------
    path : Path
    identity : dict of str to value
        What must be the same for the pass to go on.
    seconds : float
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], seconds: float) -> None:
        self.path, self.before = path, path.with_suffix(path.suffix + ".before")
        self._identity, self._seconds, self._saved = dict(identity), seconds, time.monotonic()
        self._able = True

    def load(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        """Return what was kept last, or before that where the last is damaged; None if there is nothing.

        Raises
        ------
        ChangedError
            It was made from other data.
        UsageError
            It belongs to another computation, or another version of streamreg.
        CorruptError
            Both files are damaged.
        """
        damaged: CorruptError | None = None
        for path in (self.path, self.before):
            if not path.is_file():
                continue
            try:
                values, arrays = archive.load(path, _KIND)
            except CorruptError as error:
                damaged = error
                continue
            self._require_same(path, values["identity"])
            return values, arrays
        if damaged is not None:
            raise CorruptError(f"{damaged}, or remove {self.path.parent} to begin again")
        return None

    def _require_same(self, path: Path, found: Mapping[str, Any]) -> None:
        for what, expected in self._identity.items():
            if found.get(what) == expected:
                continue
            again = f"finish what it belongs to, or remove {path.parent} to begin again"
            if what in ("data", "rows of", "partitions"):
                raise ChangedError(f"{path}: was made from other data, or they have changed since; {again}")
            if what == "version":
                raise UsageError(f"{path}: was made by streamreg {found.get(what)}, and this is {__version__}; {again}")
            raise UsageError(f"{path}: belongs to another computation (another {what}); {again}")

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._able and time.monotonic() - self._saved >= self._seconds

    def save(self, state: Statistic, values: Mapping[str, Any], waiting: Sequence[Chunk]) -> None:
        """Keep a state, and the rows that wait; what was kept before stays as the one before.

        Statistics that cannot be kept, as their sums lie in files, are passed over.
        """
        try:
            arrays = {f"state.{name}": array for name, array in state.to_arrays().items()}
        except (UsageError, NotImplementedError):
            self._able = False
            return
        for k, chunk in enumerate(waiting):
            arrays |= {f"rows.{k}.{name}": array for name, array in _to_arrays(chunk).items()}
        kept = {**values, "identity": self._identity, "waiting": len(waiting), "counts": state.counts()}
        temporary = self.path.with_suffix(_NEW)
        archive.write(temporary, _KIND, kept, arrays)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if self.path.is_file():
            self.path.replace(self.before)
        temporary.replace(self.path)
        self._saved = time.monotonic()


def restored(statistic: Statistic, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Any:
    """Return the state that was kept, of the same kind as an empty statistic."""
    parts = {name.removeprefix("state."): a for name, a in arrays.items() if name.startswith("state.")}
    state = statistic.fresh()
    kept = type(statistic).from_arrays(parts)
    counts = values["counts"]
    kept.n, kept.n_read, kept.n_missing = counts["n"], counts["n_read"], counts["n_missing"]
    return state.merge(kept)


def waiting(arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> list[Chunk]:
    """Return the rows that waited."""
    out = []
    for k in range(values["waiting"]):
        prefix = f"rows.{k}."
        out.append(_from_arrays({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}))
    return out


def _to_arrays(chunk: Chunk) -> dict[str, NDArray[Any]]:
    out = {"matrix": np.ascontiguousarray(chunk.matrix)}
    if chunk.low is not None:
        out["low"] = chunk.low
    levels: list[Any] = []
    for k, values in enumerate(chunk.vectors.values()):
        levels.append(list(values.levels) if isinstance(values, Coded) else None)
        out[f"vector.{k}"] = values.codes if isinstance(values, Coded) else np.ascontiguousarray(values)
    meta = {"start": chunk.start, "names": chunk.names, "vectors": list(chunk.vectors), "levels": levels}
    return out | {"meta": np.array(json.dumps(meta))}


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Chunk:
    meta = json.loads(str(arrays["meta"]))
    vectors: dict[str, Column] = {}
    for k, (name, levels) in enumerate(zip(meta["vectors"], meta["levels"], strict=True)):
        values = arrays[f"vector.{k}"]
        vectors[name] = values if levels is None else Coded(values, tuple(levels))
    return Chunk(meta["start"], arrays["matrix"], tuple(meta["names"]), vectors, arrays.get("low"))


def _recipe(statistic: Statistic) -> str:
    """Return what tells a statistic from others before it has seen rows."""
    total = hashlib.sha256(type(statistic).__name__.encode())
    try:
        arrays = statistic.fresh().to_arrays()
    except (UsageError, NotImplementedError):
        arrays = {}
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        total.update(arrays[name].tobytes())
    return f"{type(statistic).__name__} {total.hexdigest()[:24]}"


def _plain(design: Design) -> dict[str, Any]:
    values = {
        f.name: getattr(design, f.name) for f in dataclasses.fields(design) if f.name not in ("encoder", "sample")
    }
    made = None if design.encoder is None else design.encoder.to_dict()
    return {**values, "sample": repr(design.sample), "encoder": made}
