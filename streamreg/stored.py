"""Results as files: plain arrays and JSON in one archive, with a protocol number; never pickle."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError, NotFound
from streamreg.files import whole

PROTOCOL = 1

Arrays = dict[str, NDArray[Any]]


def save(path: str | os.PathLike[str], kind: str, value: Any) -> None:
    """Write a dataclass to one file; fields that are dataclasses themselves are written as ``field.name`` arrays."""
    values, arrays = _parts(value)
    meta = json.dumps({"streamreg": kind, "protocol": PROTOCOL, "values": values})
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=np.array(meta), **arrays)


def _parts(value: Any) -> tuple[dict[str, Any], Arrays]:
    values: dict[str, Any] = {}
    arrays: Arrays = {}
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if isinstance(item, np.ndarray):
            arrays[f.name] = item
        elif dataclasses.is_dataclass(item):
            inner = {g.name: np.asarray(getattr(item, g.name)) for g in dataclasses.fields(item)}
            arrays |= {f"{f.name}.{name}": array for name, array in inner.items()}
        else:
            values[f.name] = item
    return values, arrays


def load(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays]:
    """Return the plain values and the arrays that `save` wrote.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        The file is damaged, of another kind, or written by a newer streamreg.
    """
    if not Path(path).is_file():
        raise NotFound(f"{path}: no such file")
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(str(arrays.pop("meta")))
        found, protocol, values = meta["streamreg"], meta["protocol"], meta["values"]
    except Exception as error:  # zipfile, zlib, numpy and json each raise their own for damaged bytes
        raise CorruptError(f"{path}: not a saved {kind}, or damaged ({error}); make it again") from error
    if found != kind:
        raise CorruptError(f"{path}: holds a saved {found}, not a {kind}")
    if protocol > PROTOCOL:
        raise CorruptError(f"{path}: saved by a newer streamreg (protocol {protocol}, known {PROTOCOL}); upgrade")
    return values, arrays


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: lists for arrays, None for NaN and infinity."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
