"""What is asked of the HDF5 library: files, the datasets in them, and the filters that it has."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py

from streamreg.errors import CorruptError, DataError, MissingExtra, StreamregError


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, without the library's cache of chunks.

    Raises
    ------
    DataError
        It may not be read, or is being written.
    CorruptError
        It is not a whole HDF5 file, or the library fails while it is open.
    """
    try:
        file = h5py.File(path, "r", rdcc_nbytes=0)
    except (PermissionError, BlockingIOError) as error:
        raise DataError(
            f"{path}: cannot be opened for reading, or is being written ({error}); close the writer"
        ) from error
    except OSError as error:
        raise CorruptError(
            f"{path}: not a readable HDF5 file ({error}); it is being written, cut short or something else: "
            "close the writer, or copy or write it again"
        ) from error
    with file:
        try:
            yield file
        except StreamregError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CorruptError(f"{path}: is damaged ({error}); copy or write it again") from error


def get(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a dataset, or None if there is none of that name."""
    if name not in file:
        return None
    try:
        found = file[name]
    except (KeyError, OSError, RuntimeError) as error:
        raise CorruptError(
            f"{file.filename}: dataset {name!r} cannot be opened ({error}); "
            "it links to a file that is not there, or the file is damaged: copy or write it again"
        ) from error
    return found if isinstance(found, h5py.Dataset) else None


def listing(file: h5py.File) -> Mapping[str, tuple[int, ...]]:
    """Return paths and shapes of all datasets that are in the file itself, each under one name."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.shape is not None:
            shapes[name] = thing.shape

    file.visititems(note)
    return shapes


def require_filters(label: str, properties: Any) -> None:
    """Raise `MissingExtra` for a filter that the library lacks; the package that brings most of them is tried first."""
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            remedy = "install the HDF5 plug-in that brings it, hdf5plugin does not"
            try:
                import_module("hdf5plugin")
            except ImportError:
                remedy = "pip install hdf5plugin"
            if not h5py.h5z.filter_avail(code):
                raise MissingExtra(
                    f"{label}: was stored with filter {code} ({name.decode(errors='replace') or 'unnamed'}), "
                    f"which is not installed; {remedy}"
                )
