"""Results as files: plain arrays and JSON in one archive, with a protocol number and a checksum; never pickle."""

import dataclasses
import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError, NotFound, UsageError, fits, saved
from streamreg.persist.atomic import whole

PROTOCOL = 2

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


def save(path: str | os.PathLike[str], kind: str, value: Any) -> None:
    """Write a dataclass to one file; fields that are dataclasses themselves are written as ``field.name`` arrays."""
    write(path, kind, *_parts(value))


def restore(path: str | os.PathLike[str], kind: str, cls: type[T], sense: Callable[[T], None], **inner: type) -> T:
    """Return the dataclass that `save` wrote, which is a `cls`.

    Parameters
    ----------
    path
    kind : str
    cls : type
        Its sequences are tuples, which JSON does not tell from lists.
    sense : callable
        Raises an exception that says what cannot be, of a file that was edited.
    **inner : type
        Fields that are dataclasses themselves, and of which type; one that was not written takes its default.

    Raises
    ------
    NotFound, CorruptError
        As for `load`.
    """
    values, arrays = load(path, kind)
    try:
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved(values).items()}
        fields |= {name: array for name, array in arrays.items() if "." not in name}
        for name, part in inner.items():
            own = {n.removeprefix(f"{name}."): a for n, a in arrays.items() if n.startswith(f"{name}.")}
            if own:
                own = {n: a if a.ndim else a.item() for n, a in own.items()}
                _require_types(part, own)
                fields[name] = part(**own)
        _require_types(cls, fields)
        restored = cls(**fields)
        sense(restored)
    except Exception as error:  # whatever an edited file leads to
        raise CorruptError(f"{path}: damaged, or edited: it is no {kind} ({error}); make it again") from error
    return restored


def _require_types(cls: type, fields: Mapping[str, Any]) -> None:
    """Make sure that what is read is of the types that the fields of a dataclass have."""
    for name, hint in get_type_hints(cls).items():
        if name not in fields:
            continue
        value = fields[name]
        if get_origin(hint) is np.ndarray:
            kind = np.dtype(get_args(get_args(hint)[1])[0] or object).kind
            sound = isinstance(value, np.ndarray) and (kind == "O" or value.dtype.kind == kind)
        else:
            sound = fits(value, hint)
        if not sound:
            raise ValueError(f"{name} is of type {getattr(value, 'dtype', type(value).__name__)}")


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
    arrays = {"values": np.array(json.dumps(values)), **arrays}
    meta = json.dumps({"streamreg": kind, "protocol": PROTOCOL, "sha256": _checksum(arrays)})
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
    if not zipfile.is_zipfile(path):
        raise CorruptError(f"{path}: not a saved {kind}, or damaged (it is no archive of arrays); make it again")
    try:
        arrays = _arrays(path)
        if "meta" not in arrays:
            raise CorruptError(f"{path}: not a saved {kind}; it is an archive of something else")
        meta = json.loads(str(arrays.pop("meta")))
        found, protocol = meta["streamreg"], int(meta["protocol"])
        checksum = _checksum(arrays) if protocol == PROTOCOL else None
        values = meta["values"] if protocol == 1 else json.loads(str(arrays.pop("values", "{}")))
    except CorruptError:
        raise
    except Exception as error:  # zipfile, zlib, numpy and json each raise their own for damaged bytes
        raise CorruptError(f"{path}: not a saved {kind}, or damaged ({error}); make it again") from error
    if found != kind:
        raise CorruptError(f"{path}: holds a saved {found}, not a {kind}")
    if protocol > PROTOCOL:
        raise CorruptError(f"{path}: saved by a newer streamreg (protocol {protocol}, known {PROTOCOL}); upgrade")
    if checksum is not None and checksum != meta.get("sha256"):
        raise CorruptError(f"{path}: damaged (its checksum is not that of its contents); make it again")
    return values, arrays


def _arrays(path: Path) -> Arrays:
    """Return the arrays of an archive; nothing is allocated that its bytes on disk do not hold."""
    arrays: Arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # `write` does not compress: what unpacks to more than it takes up here was made by someone else.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it would unpack to more bytes than it has")
        for member in members:
            name = member.filename.removesuffix(".npy")
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
