"""NumPy's .npy files: one matrix, and if need be target and weights in files of their own."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamreg.errors import CorruptError, DataError
from streamreg.sources.checks import check_numeric, column_names
from streamreg.sources.stored.datasets import named_columns
from streamreg.sources.stored.files import file_fingerprint, require_file
from streamreg.sources.stored.raw import RawStored
from streamreg.sources.stored.table import TableSource


def open_npy(
    path: Path, target: str | None = None, weights: str | None = None, columns: Sequence[str] | None = None
) -> TableSource:
    """Return a source over a .npy file.

    Parameters
    ----------
    path : Path
        A matrix of shape (n, p) in C or Fortran order.
    target, weights : str, optional
        A name ending in ``.npy`` is a file with one number per row, looked for as given and then beside `path`.
    columns : sequence of str, optional
        If not given, ``"columns"`` in the file ``<path>.json``, if there is one.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        The header cannot be read, or the file does not hold what it promises.
    DataError
        Not a matrix of numbers, or lengths differ.
    """
    matrix = stored_npy(require_file(path))
    vectors = {}
    for name in (target, weights):
        if name is not None and name.endswith(".npy"):
            beside = path.parent / name
            vectors[name] = stored_npy(
                require_file(beside if beside.is_file() and not Path(name).exists() else Path(name))
            )
    return TableSource(str(path), matrix, vectors, columns if columns is not None else _side_file(path, matrix.shape))


def stored_npy(path: Path) -> RawStored:
    """Read the header of a .npy file and check that the rows it promises are there."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise DataError(f"{path}: .npy format {version} is for records, not for a matrix; save a plain array")
        except DataError:
            raise
        except Exception as error:  # a damaged header fails in the tokenizer, the evaluator or the checks
            raise CorruptError(f"{path}: not a readable .npy file ({error}); write it again with numpy.save") from error
        offset = file.tell()
    check_numeric(str(path), dtype)
    if any(n < 0 for n in shape):
        raise CorruptError(f"{path}: the header says that its shape is {shape}; write it again with numpy.save")
    stored = RawStored(str(path), str(path), shape, dtype, offset, file_fingerprint(path), fortran and len(shape) > 1)
    stored.check_size()
    surplus = path.stat().st_size - offset - math.prod(shape) * dtype.itemsize
    if surplus > 0:
        raise CorruptError(
            f"{path}: {surplus:,} bytes follow the array of shape {shape} that the header promises; "
            "rows appended by hand are not counted there, so write the file again with numpy.save"
        )
    return stored


def _side_file(path: Path, shape: tuple[int, ...]) -> Sequence[str] | None:
    side = path.with_name(path.name + ".json")
    if not side.is_file():
        return None
    try:
        content = json.loads(side.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{side}: not readable as JSON ({error}); correct it, or pass columns") from error
    names = named_columns(str(side), content.get("columns") if isinstance(content, dict) else None)
    return names if names is None or len(shape) != 2 else column_names(names, shape[-1], str(side))
