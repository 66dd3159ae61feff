"""Passes over the rows that survive their process: how far each came, on disk, and what it had by then.

Partitions are merged in row order, so that one number says which are done. What is kept beside it is the state, as it
is (the sums of parts of the rows apart, so that the end has the bits of an unbroken pass), and the rows that wait for
their neighbours.
"""

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg._version import __version__
from streamreg.design.design import Design
from streamreg.errors import ChangedError, UsageError
from streamreg.persist import generations
from streamreg.persist.lock import locked
from streamreg.progress import event
from streamreg.sources.base import Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.stats.base import Statistic
from streamreg.stats.grouped import Grouped

_KIND = "pass over rows"
_SUFFIX = ".pass"
_OWN = re.compile(r"\.?\d{3,}\.pass(\.before|\.new|-.*\.new|\.new-.*)?")  # what a run may remove

SECONDS = 5.0
"""Least time between two saves."""

_SHARE = 100
"""Saves take less than one part in so many of the time, however large a state is."""


class Checkpoint:
    """A folder in which the passes of one computation are kept, in the order in which they are taken.

    Parameters
    ----------
    folder : path
        Made if need be.
    seconds : float
        Least time between two saves; 0 saves after each partition.
    """

    def __init__(self, folder: str | os.PathLike[str], seconds: float = SECONDS) -> None:
        if not os.fspath(folder):
            raise UsageError("checkpoint is empty; name a folder")
        self.folder, self.seconds = Path(folder), seconds
        self._taken = 0

    def part(self, name: str) -> "Checkpoint":
        """Return the place of a part of the computation, whose passes are counted apart."""
        return Checkpoint(self.folder / name, self.seconds)

    def next(self, source: Source, design: Design, statistic: Statistic, partitions: int) -> "Pass":
        """Return the place of the next pass.

        Raises
        ------
        UsageError
            The rows lie in memory, or can be read only once: another process never finds the same ones there.
        """
        if source.in_memory or source.schema.n_rows is None:
            raise UsageError(
                f"{source.label}: rows that lie in memory or pass by are gone with their process, so there is nothing "
                "to go on from; save them to a file, or leave out checkpoint"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._taken += 1
        identity = {
            "version": __version__,
            "where": source.where,
            "data": source.fingerprint(),
            "partitions": partitions,
            "columns": hashlib.sha256(json.dumps(source.schema.names).encode()).hexdigest()[:24],
            "design": json.dumps({**_plain(design), "recipe": source.recipe()}, sort_keys=True),
            "statistic": _recipe(statistic),
        }
        return Pass(self.folder / f"{self._taken:03d}{_SUFFIX}", identity, self.seconds)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the folder from others while the computation runs, and empty it when that is done."""
        try:
            with locked(self.folder):
                yield
                for file in self.folder.iterdir():
                    if _OWN.fullmatch(file.name):
                        file.unlink(missing_ok=True)
        finally:
            with suppress(OSError):  # there are files in it
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
        self.path = path
        self._identity, self._seconds, self._saved = dict(identity), seconds, time.monotonic()
        self._able, self._cost = True, 0.0

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
        found = generations.latest(self.path, _KIND)
        if found is not None:
            self._require_same(found[0]["identity"])
        return found

    def _require_same(self, found: Mapping[str, Any]) -> None:
        path = self.path
        for what, expected in self._identity.items():
            if found.get(what) == expected:
                continue
            again = f"finish what it belongs to, or remove {str(path.parent)!r} to begin again"
            if what in ("data", "partitions"):
                raise ChangedError(f"{path}: was made from other data, or they have changed since; {again}")
            if what == "version":
                raise UsageError(f"{path}: was made by streamreg {found.get(what)}, and this is {__version__}; {again}")
            raise UsageError(f"{path}: belongs to another computation (another {what}); {again}")

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        wait = max(self._seconds, _SHARE * self._cost) if self._seconds else 0.0
        return self._able and time.monotonic() - self._saved >= wait

    def save(
        self,
        state: Statistic,
        values: Mapping[str, Any],
        waiting: Sequence[Chunk],
        sums: Mapping[str, NDArray[Any]],
    ) -> None:
        """Keep a state, the rows that wait, and checksums; what was kept before stays as the one before.

        Statistics that cannot be kept, as their sums lie in files, are passed over.
        """
        began = time.monotonic()
        try:
            arrays = {f"state.{name}": array for name, array in state.to_arrays().items()}
        except (UsageError, NotImplementedError):
            self._able = False
            return
        arrays |= {f"sums.{name}": array for name, array in sums.items()}
        for k, chunk in enumerate(waiting):
            arrays |= {f"rows.{k}.{name}": array for name, array in _to_arrays(chunk).items()}
        facts = {**values, "identity": self._identity, "waiting": len(waiting), "counts": state.counts()}
        facts["missing_in"] = dict(state.missing_in)
        generations.keep(self.path, _KIND, facts, arrays)
        self._saved = time.monotonic()
        self._cost = self._saved - began
        event("checkpoint", file=str(self.path), rows=values.get("rows"))


def restored(statistic: Statistic, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Any:
    """Return the state that was kept, of the same kind as an empty statistic."""
    parts = {name.removeprefix("state."): a for name, a in arrays.items() if name.startswith("state.")}
    state = statistic.fresh()
    saved = type(statistic).from_arrays(parts)
    counts = values["counts"]
    saved.n, saved.n_read, saved.n_missing = counts["n"], counts["n_read"], counts["n_missing"]
    saved.missing_in = dict(values["missing_in"])
    return state.merge(saved)


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
    if chunk.passed is not None:
        out["passed"] = chunk.passed
    out |= {f"hole.{k}": mask for k, mask in enumerate(chunk.holes.values())}
    levels: list[Any] = []
    for k, values in enumerate(chunk.vectors.values()):
        levels.append(list(values.levels) if isinstance(values, Coded) else None)
        out[f"vector.{k}"] = values.codes if isinstance(values, Coded) else np.ascontiguousarray(values)
    meta = {"start": chunk.start, "names": chunk.names, "vectors": list(chunk.vectors), "levels": levels}
    meta["holes"] = list(chunk.holes)
    return out | {"meta": np.array(json.dumps(meta))}


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Chunk:
    meta = json.loads(str(arrays["meta"]))
    vectors: dict[str, Column] = {}
    for k, (name, levels) in enumerate(zip(meta["vectors"], meta["levels"], strict=True)):
        values = arrays[f"vector.{k}"]
        vectors[name] = values if levels is None else Coded(values, tuple(levels))
    low, passed = arrays.get("low"), arrays.get("passed")
    holes = {name: arrays[f"hole.{k}"] for k, name in enumerate(meta["holes"])}
    return Chunk(meta["start"], arrays["matrix"], tuple(meta["names"]), vectors, low, passed, holes=holes)


def _recipe(statistic: Statistic) -> str:
    """Return what tells a statistic from others before it has seen rows."""
    if isinstance(statistic, Grouped):  # how much memory its groups may take up is of no account
        return f"{statistic.by} of {_recipe(statistic.inner)}"
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
    own = ("label", "sample", "leaving")
    values = {f.name: getattr(design, f.name) for f in dataclasses.fields(design) if f.name not in own}
    return {**values, "sample": repr(design.sample), "leaving": repr(design.leaving)}
