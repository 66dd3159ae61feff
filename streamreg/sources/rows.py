"""Tables in memory, whatever holds them, as a matrix of numbers: the one check for rows that a caller passes."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, NotFound, nearest
from streamreg.kernels.gram import NAT, finite
from streamreg.sources.checks import check_matrix, check_numeric

_ELSEWHERE = {
    "LazyFrame": ".collect()",
    "DuckDBPyRelation": ".df()",
    "h5py": "[:]",
    "zarr": "[:]",
    "netCDF4": "[:].filled(numpy.nan)",
}
_CODED = ("category", "categorical", "enum", "dictionary")
_NUMBERS = ("int", "uint", "float", "double", "halffloat", "bool")
_WHOLE = 2**53


def is_frame(data: Any) -> bool:
    """Return whether this is a table whose columns have names: of pandas, polars, pyarrow or the like."""
    if isinstance(data, np.ndarray) or type(data).__name__ in _ELSEWHERE or _library(data) == "xarray":
        return False
    return hasattr(data, "column_names") or (hasattr(data, "columns") and hasattr(data, "shape"))


def all_numbers(frame: Any) -> bool:
    """Return whether all columns of a frame are numbers of one kind, or booleans, which one type holds as they are."""
    types = frame.schema.types if hasattr(getattr(frame, "schema", None), "types") else list(frame.dtypes)
    words = [str(kind).lower() for kind in types]
    whole = {word.startswith(("int", "uint")) for word in words}
    mixed = len(whole) > 1 or len({word.startswith("bool") for word in words}) > 1
    large = any(word in ("int64", "uint64") for word in words) and len(set(words)) > 1
    return all(word.startswith(_NUMBERS) for word in words) and not ((mixed or large) and _has_arrow())


def _has_arrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def table(
    data: Any, label: str, expected: Sequence[str] | None = None, *, others: bool = False
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Return rows in memory as a matrix, and the names of its columns.

    Parameters
    ----------
    data : array_like, shape (m, p), or data frame
        A data frame has the names of its columns; one whose labels are the numbers 0 to p - 1, as pandas gives them by
        default, has none. Missing values of a frame's integers and booleans become NaN.
    label : str
        What errors call the data.
    expected : sequence of str, optional
        Names of the columns of the result, in their order. Columns with names are found by them, in any order;
        columns without are taken to be in this order.
    others : bool
        Whether a frame may have other columns, which are left out.

    Returns
    -------
    matrix : ndarray, shape (m, p)
        A view of the data where they allow it, in their byte order. It may have no rows.
    names : tuple of str or None

    Raises
    ------
    NotFound
        A frame has not the columns expected.
    DataError
        Masked values, or what is not a table of plain real numbers.
    """
    data = _computed(data, label)
    names = None
    if not is_frame(data):
        matrix = array(data, label)
    else:
        labels = list(data.column_names if hasattr(data, "column_names") else data.columns)
        order = list(range(len(labels)))
        if any(isinstance(name, str) for name in labels) or labels != order:
            names = tuple(map(str, labels))
            if expected is not None:
                order = [_position(name, names, expected, label) for name in expected]
                if not others and len(order) != len(names):
                    raise DataError(f"{label}: has other columns than expected; {_both(expected, names)}")
                names = tuple(expected)
        matrix = _matrix(data, labels, order, label)
    check_numeric(label, matrix.dtype)
    if expected is not None and (matrix.ndim != 2 or matrix.shape[1] != len(expected)):
        raise DataError(
            f"{label}: needs an array of shape (rows, {len(expected)}), a column for each of {_shown(expected)}; got "
            f"shape {matrix.shape}"
        )
    if matrix.ndim != 2 or len(matrix):
        check_matrix(label, matrix.shape, matrix.dtype)
    return matrix, names


def array(data: Any, label: str) -> NDArray[Any]:
    """Return an array, a series or nested lists as a plain array, without a copy where there is one.

    Raises
    ------
    DataError
        Masked values, or what NumPy does not take for an array.
    """
    if type(data) is np.ndarray:
        return data
    data = _computed(data, label)
    if _masked(data):
        raise DataError(f"{label}: has masked values, which would be read as numbers; fill or drop them first")
    if hasattr(data, "toarray"):
        raise DataError(f"{label}: is a {type(data).__name__}, which is sparse; pass its .toarray(), or batches of it")
    kind = type(data).__name__
    if advice := _ELSEWHERE.get(_library(data), _ELSEWHERE.get(kind)):
        raise DataError(f"{label}: is a {kind}, whose rows are not in memory; pass data{advice}")
    if is_frame(data):
        return table(data, label)[0]
    return _column(data, label)


def missing_rows(matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return rows to compute with, and which of them hold a missing int64 (None: no row does).

    The least int64 is NaT of dates that were taken for integers, and NA of R; it is replaced by zero.
    """
    if matrix.dtype != np.int64 or finite(matrix):
        return matrix, None
    absent = matrix == NAT
    return np.where(absent, 0, matrix), absent.any(axis=1)


def _library(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def _computed(data: Any, label: str) -> Any:
    """Return what a dask collection stands for; other data as they are."""
    if not _library(data).startswith("dask"):
        return data
    try:
        return data.compute()
    except Exception as error:  # of whatever work gives the rows
        raise DataError(f"{label}: cannot be computed ({type(error).__name__}: {error})") from error


def _masked(data: Any, depth: int = 2) -> bool:
    """Return whether an array has masked values, or a list holds such an array."""
    if isinstance(data, np.ma.MaskedArray):
        return bool(np.ma.is_masked(data))
    return depth > 0 and isinstance(data, list | tuple) and any(_masked(item, depth - 1) for item in data)


def _position(name: str, names: Sequence[str], expected: Sequence[str], label: str) -> int:
    """Return where a frame has the column of this name."""
    if (times := names.count(name)) == 1:
        return names.index(name)
    found = f"two columns {name!r}" if times else f"no column {name!r}{nearest(name, names)}"
    raise NotFound(f"{label}: has {found}; {_both(expected, names)}; rename columns, or pass an array in that order")


def _both(expected: Sequence[str], found: Sequence[str]) -> str:
    return f"expected {_shown(expected)}, found {_shown(found)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _matrix(frame: Any, labels: list[Any], order: list[int], label: str) -> NDArray[Any]:
    """Return the columns at these positions side by side, in a type that holds all their numbers exactly."""
    if hasattr(frame, "iloc"):
        kinds = set(frame.dtypes)
        if len(kinds) == 1 and isinstance(next(iter(kinds)), np.dtype):  # no column need be copied by itself
            whole = np.asarray(frame.to_numpy())
            return whole if order == list(range(len(labels))) else whole[:, order]
    where = [f"{label}, column {str(labels[k])!r}" for k in order]
    columns = [_column(frame.iloc[:, k] if hasattr(frame, "iloc") else frame[labels[k]], w)
               for k, w in zip(order, where, strict=True)]  # fmt: skip
    for column, place in zip(columns, where, strict=True):
        check_numeric(place, column.dtype)
    if not columns:
        return np.empty((frame.shape[0], 0))
    out = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for j, (column, place) in enumerate(zip(columns, where, strict=True)):
        absent = column == NAT if column.dtype == np.int64 and out.dtype != np.int64 else np.zeros(len(column), bool)
        if out.dtype.kind == "f" and column.dtype.kind in "iu":
            _require_exact(column[~absent], place)
        out[:, j] = column
        out[absent, j] = np.nan
    return out


def _column(values: Any, label: str) -> NDArray[Any]:
    """Return a series as an array; missing integers and booleans are NaN."""
    kind = getattr(values, "dtype", getattr(values, "type", None))
    if str(kind).lower().startswith(_CODED):
        raise DataError(f"{label}: holds categories, not numbers; make indicator columns of them")
    plain = getattr(kind, "numpy_dtype", None)  # of the types of pandas that have missing values
    try:
        if plain is None or plain.kind not in "fiub" or not hasattr(values, "isna"):
            found = np.asarray(values)
        elif not (absent := np.asarray(values.isna(), dtype=bool)).any():
            return np.asarray(values.to_numpy(dtype=plain))
        else:
            if plain.kind in "iu":
                _require_exact(np.asarray(values[~absent].to_numpy(dtype=plain)), label)
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    except DataError:
        raise
    except Exception as error:  # what an object brings to become an array may fail in any way
        raise DataError(f"{label}: is not an array of numbers ({error}); pass a NumPy array") from error
    if found.dtype.kind == "f" and "int" in str(kind).lower():  # missing values made floats of integers
        _require_exact(found[~np.isnan(found)], label)
    return found


def _require_exact(values: NDArray[Any], label: str) -> None:
    """Refuse integers that float64, the type they must be given, may round."""
    if values.size and (values.max() > _WHOLE or (values.dtype.kind != "u" and values.min() < -_WHOLE)):
        raise DataError(
            f"{label}: has integers beyond 2^53 beside missing values or columns of other types, which takes float64, "
            "which rounds them; subtract an offset first"
        )
