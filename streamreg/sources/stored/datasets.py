"""Which arrays of a file are meant: rules shared by the storages that hold several."""

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from streamreg.errors import DataError, NotFound, UsageError, nearest

Listing = Callable[[], Mapping[str, tuple[int, ...]]]
"""Paths and shapes of all arrays of a file; asked only where the choice or an error message needs them."""


def choose_matrix(where: str, x: str | None, has: Callable[[str], bool], listing: Listing) -> str:
    """Return the path of the matrix: `x`, or the only two-dimensional array, or the one called X or x.

    Raises
    ------
    NotFound
        There is no array `x`; names the nearest one.
    DataError
        The file holds no matrix.
    UsageError
        It holds several, and none is called X or x.
    """
    if x is not None:
        if not has(x):
            _refuse_sparse(where, x.strip("/"), listing())
            raise NotFound(f"{where}: no dataset {x!r}{nearest(x, listing())}")
        return x.strip("/")
    shapes = listing()
    matrices = [path for path, shape in shapes.items() if len(shape) == 2]
    if len(matrices) == 1:
        return matrices[0]
    for name in ("X", "x"):
        if name in matrices or (name not in shapes and has(name)):  # a link is listed under another name or not at all
            return name
    held = ", ".join(f"{path} {shape}" for path, shape in list(shapes.items())[:12])
    if matrices:
        raise UsageError(f"{where}: holds several matrices ({held}); say which one is meant with x='{matrices[0]}'")
    for path in shapes:
        if path.endswith("/indptr"):
            _refuse_sparse(where, path.removesuffix("/indptr"), shapes)
    found = f"no two-dimensional dataset, but {held}" if held else "nothing"
    raise DataError(f"{where}: holds {found}; store the features as a matrix (n, p)")


def _refuse_sparse(where: str, group: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise if a group holds the three arrays of a compressed sparse matrix."""
    if {f"{group}/{part}" for part in ("data", "indices", "indptr")} <= shapes.keys():
        raise DataError(
            f"{where}: {group!r} is a sparse matrix (a group of data, indices and indptr), and dense ones can be read; "
            "store it as a two-dimensional dataset, or pass batches of rows: (x[a:b].toarray(), y[a:b])"
        )


def choose_vectors(
    where: str, roles: Sequence[str | None], columns: Sequence[str], has: Callable[[str], bool], listing: Listing
) -> dict[str, str]:
    """Return the paths of those target and weights that are not columns of the matrix, by their names as typed.

    Raises
    ------
    NotFound
        A name is neither a column nor a dataset.
    """
    paths = {}
    for name in roles:
        if name is None or name in columns:
            continue
        if not has(name):
            raise NotFound(f"{where}: no column or dataset {name!r}{nearest(name, [*columns, *listing()])}")
        paths[name] = name.strip("/")
    return paths


def named_columns(where: str, attribute: Any) -> list[str] | None:
    """Return the names in an attribute ``columns``: a list of texts, or the same as JSON; None if there is none.

    Raises
    ------
    DataError
        It is something else.
    """
    if attribute is None:
        return None
    names = attribute
    if isinstance(names, str | bytes):
        with suppress(ValueError):
            names = json.loads(names)
    if hasattr(names, "tolist"):
        names = names.tolist()
    if not isinstance(names, list | tuple) or not all(isinstance(n, str | bytes | int | float) for n in names):
        raise DataError(
            f"{where}: the attribute 'columns' is neither a list of names nor JSON of one ({reprlib.repr(names)}); "
            "correct it, or pass columns=[...]"
        )
    return [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names]
