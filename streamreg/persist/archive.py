"""Results as files: plain arrays and JSON in one archive, with a protocol number and a checksum; never pickle."""

import dataclasses
import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from streamreg.errors import CorruptError, NotFound, UsageError, saved
from streamreg.persist import records
from streamreg.persist.atomic import whole

PROTOCOL = 2

Arrays = records.Arrays
T = TypeVar("T")


def save(path: str | os.PathLike[str], kind: str, value: Any) -> None:
    """Write a dataclass to one file, and what it is made of; see `streamreg.persist.records`."""
    write(path, kind, *records.parts(value))


def restore(path: str | os.PathLike[str], kind: str, cls: type[T], sense: Callable[[T], None]) -> T:
    """Return the dataclass that `save` wrote, which is a `cls`.

    Parameters
    ----------
    path
    kind : str
    cls : type
        Its fields say what the parts are: sequences are tuples, which JSON does not tell from lists. A field that was
        not written takes its default.
    sense : callable
        Raises an exception that says what cannot be, of a file that was edited.

    Raises
    ------
    NotFound, CorruptError
        As for `load`.
    """
    values, arrays = load(path, kind)
    try:
        restored = records.made(cls, saved(values), arrays)
        sense(restored)
    except Exception as error:  # whatever an edited file leads to
        raise CorruptError(f"{path}: damaged, or edited: it is no {kind} ({error}); make it again") from error
    return restored


def write(path: str | os.PathLike[str], kind: str, values: dict[str, Any], arrays: Arrays) -> None:
    """Write plain values and arrays to one file, with a SHA-256 checksum over all of them.

    Parameters
    ----------
    path
    kind : str
        What it is, in a word; `load` asks for the same.
    values : dict
        What JSON can hold.
    arrays : dict of str to ndarray
    """
    arrays = {"values": np.array(json.dumps(values, default=_scalar)), **arrays}
    meta = json.dumps({"streamreg": kind, "protocol": PROTOCOL, "sha256": _checksum(arrays)})
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=np.array(meta), **arrays)


def _checksum(arrays: Arrays) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def load(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays]:
    """Return the plain values and the arrays that `save` or `write` wrote.

    Raises
    ------
    UsageError
        `path` is no path.
    NotFound
        No such file.
    CorruptError
        The file is damaged, of another kind, or written by a newer streamreg.
    """
    path = existing(path, kind)
    meta, arrays = _opened(path, kind)
    try:
        found, protocol = meta["streamreg"], int(meta["protocol"])
        checksum = _checksum(arrays) if protocol == PROTOCOL else None
        values = meta["values"] if protocol == 1 else json.loads(str(arrays.pop("values", "{}")))
    except Exception as error:  # whatever damaged or edited JSON leads to
        raise _damaged(path, kind, error) from error
    if found != kind:
        raise CorruptError(f"{path}: holds a saved {found}, not a {kind}; sr.load(path) reads any")
    if protocol > PROTOCOL:
        raise CorruptError(f"{path}: saved by a newer streamreg (protocol {protocol}, known {PROTOCOL}); upgrade")
    if checksum is not None and checksum != meta.get("sha256"):
        raise CorruptError(f"{path}: damaged (its checksum is not that of its contents); make it again")
    return values, arrays


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return what a file says that it holds.

    Raises
    ------
    UsageError
        `path` is no path.
    NotFound
        No such file.
    CorruptError
        The file is damaged, or was not written by streamreg.
    """
    what = "result or scan"
    path = existing(path, what)
    try:
        return str(_opened(path, what, ("meta",))[0]["streamreg"])
    except (KeyError, TypeError) as error:
        raise _damaged(path, what, error) from error


def _opened(path: Path, kind: str, names: Collection[str] | None = None) -> tuple[dict[str, Any], Arrays]:
    """Return what an archive says of itself, and its arrays, or those of these names."""
    if not zipfile.is_zipfile(path):
        raise CorruptError(f"{path}: not a saved {kind}, or damaged (it is no archive of arrays); make it again")
    try:
        arrays = _arrays(path, names)
        meta = json.loads(str(arrays.pop("meta"))) if "meta" in arrays else None
    except Exception as error:  # zipfile, zlib, numpy and json each raise their own for damaged bytes
        raise _damaged(path, kind, error) from error
    if meta is None:
        raise CorruptError(f"{path}: not a saved {kind}; it is an archive of something else")
    return meta, arrays


def _damaged(path: Path, kind: str, error: Exception) -> CorruptError:
    return CorruptError(f"{path}: not a saved {kind}, or damaged ({error}); make it again")


def _arrays(path: Path, names: Collection[str] | None = None) -> Arrays:
    """Return the arrays of an archive, or those of these names; nothing is allocated that its bytes do not hold."""
    arrays: Arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # `write` does not compress: what unpacks to more than it takes up here was made by someone else.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it would unpack to more bytes than it has")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if names is not None and name not in names:
                continue
            if name in arrays or member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"array {name!r} is there twice, or compressed")
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                needed = math.prod(shape) * dtype.itemsize
                if dtype.hasobject or min(shape, default=0) < 0 or file.tell() + needed != member.file_size:
                    raise ValueError(f"the header of array {name!r} claims {needed:,} bytes of {dtype}")
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def existing(path: str | os.PathLike[str], kind: str) -> Path:
    """Return the path of a file that should hold a saved `kind`.

    Raises
    ------
    UsageError
        `path` is no path.
    NotFound
        No such file.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"load takes the path of a saved {kind}, not a {type(path).__name__}")
    if not Path(path).is_file():
        raise NotFound(f"{path}: no such file")
    return Path(path)


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is no plain value")


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: lists for arrays, None for NaN and infinity, mappings for dataclasses."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "to_dict", None)
        return own() if own else {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
