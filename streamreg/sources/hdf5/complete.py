"""Whether all of an HDF5 dataset is there, and in which files it lies.

The library reads what was never written, or what lies in another file that is cut short or gone, as zeros or as the
fill value, and says nothing.
"""

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from streamreg.errors import CorruptError, DataError
from streamreg.sources.checks import require_some, span
from streamreg.sources.hdf5.chunks import chunk_places, truly_listed
from streamreg.sources.hdf5.library import get, opened, require_filters

Box = tuple[tuple[int, int], ...]
"""Along each axis, where it begins and where it has ended."""

UNLIMITED, _MANY = h5py.h5s.UNLIMITED, 10**6


def files_of(label: str, dataset: h5py.Dataset, fill: bool, within: tuple[Any, ...] = ()) -> tuple[str, ...]:
    """Return the files that the numbers of a dataset lie in.

    Parameters
    ----------
    label : str
        How error messages call the dataset.
    dataset : Dataset
    fill : bool
        Whether what was never written stands for the fill value.
    within : tuple
        The virtual datasets that this one is a part of.

    Raises
    ------
    CorruptError
        Numbers are not there.
    MissingExtra
        A filter is not installed.
    """
    properties = dataset.id.get_create_plist()
    require_filters(label, properties)
    layout, own = properties.get_layout(), dataset.file.filename
    if layout == h5py.h5d.VIRTUAL:
        here = (own, dataset.name)
        if here in within:
            raise DataError(f"{label}: is virtual and refers to itself; write it again")
        return own, *_of_virtual(label, dataset, fill, (*within, here))
    if layout == h5py.h5d.CONTIGUOUS and properties.get_external_count():
        return own, *_of_external(label, dataset, properties)
    if layout == h5py.h5d.CHUNKED:
        missing = None if fill else _missing_chunks(dataset)
        if missing is not None:
            raise _incomplete(label, missing)
        if fill:
            expected = math.prod(map(len, _sides(dataset)))
            _require_some(label, dataset, min(dataset.id.get_num_chunks(), expected), expected)
    if layout == h5py.h5d.CONTIGUOUS and dataset.size and dataset.id.get_offset() is None:
        if not fill:
            raise _incomplete(label, span("row", 0, dataset.shape[0]))
        _require_some(label, dataset, 0, 1)
    return (own,)


def _require_some(label: str, dataset: h5py.Dataset, there: int, expected: int) -> None:
    require_some(label, dataset.shape, dataset.id.get_type().get_size(), there, expected)


def _sides(dataset: h5py.Dataset) -> list[range]:
    """Return where chunks begin along each axis."""
    return [range(0, n, step) for n, step in zip(dataset.shape, dataset.chunks, strict=True)]


def _corners(sides: Sequence[range]) -> Iterator[tuple[int, ...]]:
    """Yield where chunks begin, one by one: a damaged header may claim more than memory holds."""
    if not sides:
        yield ()
        return
    for at in sides[0]:
        for rest in _corners(sides[1:]):
            yield at, *rest


def _missing_chunks(dataset: h5py.Dataset) -> str | None:
    """Say how many chunks are missing, and where the first of them belongs, if one is."""
    corners = _sides(dataset)
    expected, count = math.prod(map(len, corners)), dataset.id.get_num_chunks()
    if not truly_listed(dataset):
        return None if count >= expected else f"{expected - count:,} of {expected:,} chunks"
    if count < expected:
        there: set[tuple[int, ...]] = set()
        dataset.id.chunk_iter(lambda chunk: there.add(chunk.chunk_offset))
        corner = next(c for c in _corners(corners) if c not in there)
    else:  # in a damaged file, there may be some that belong nowhere
        absent = np.argwhere(chunk_places(dataset)[..., 0] < 0)
        if not len(absent):
            return None
        count = expected - len(absent)
        corner = tuple(side[k] for side, k in zip(corners, absent[0], strict=True))
    place = _place([(at, at + step) for at, step in zip(corner, dataset.chunks, strict=True)], dataset)
    return f"{expected - count:,} of {expected:,} chunks, the first of them {place},"


def _of_external(label: str, dataset: h5py.Dataset, properties: Any) -> Iterator[str]:
    """Return the files of plain numbers that a dataset is stored in; the library reads zeros where they end."""
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(Path(dataset.file.filename).parent))
    left = dataset.size * dataset.id.get_type().get_size()
    for i in range(properties.get_external_count()):
        name, offset, size = properties.get_external(i)
        path = Path(prefix, os.fsdecode(name))
        needed = min(left, size)
        left -= needed
        there = path.stat().st_size if path.is_file() else 0
        if needed and there < offset + needed:
            raise CorruptError(
                f"{label}: is stored in {path}, which has {there:,} bytes where {offset + needed:,} are needed; "
                "copy it again, to the folder that it is looked for in"
            )
        if needed:
            yield str(path)


def _of_virtual(label: str, dataset: h5py.Dataset, fill: bool, within: tuple[Any, ...]) -> Iterator[str]:
    """Return the files that the parts of a virtual dataset lie in."""
    boxes: list[Box] = []
    for source in dataset.virtual_sources():
        mapped, blocks = _boxes(label, source.vspace, dataset.shape)
        numbered = "%b" in source.file_name + source.dset_name
        if numbered and blocks > _MANY:
            raise _too_many(label)
        for k in range(blocks if numbered else 1):
            file_name, name = (text.replace("%b", str(k)) for text in (source.file_name, source.dset_name))
            with _part(dataset, file_name, name) as part:
                if part is not None:
                    yield from files_of(label, part, fill, within)
                    if not numbered:
                        mapped = _as_far_as(part, source, mapped)
                elif not fill:
                    raise _incomplete(label, f"the part mapped to dataset {name!r} of {file_name}")
        boxes += mapped
    place = None if fill else _uncovered(dataset, boxes)
    if place is not None:
        raise _incomplete(label, f"{place}, mapped to no other file,")


@contextmanager
def _part(dataset: h5py.Dataset, file_name: str, name: str) -> Iterator[h5py.Dataset | None]:
    """Open the dataset that part of a virtual one refers to, where the library looks for it; None if there is none."""
    if file_name == ".":
        yield get(dataset.file, name)
        return
    for path in (Path(dataset.file.filename).parent / file_name, Path(file_name)):
        if path.is_file():
            with opened(path) as file:
                yield get(file, name)
            return
    yield None


def _boxes(label: str, space: h5py.h5s.SpaceID, shape: tuple[int, ...]) -> tuple[list[Box], int]:
    """Return the boxes that a selection of a virtual dataset consists of, and how many of them grow its axis.

    One that may grow ends where the dataset ends.
    """
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [tuple((0, n) for n in shape)], 1
    if not space.is_regular_hyperslab():
        corners = space.get_select_hyper_blocklist().tolist()
        return [tuple((a, b + 1) for a, b in zip(first, last, strict=True)) for first, last in corners], 1
    sides, grown = [], 1
    for start, stride, count, block, end in zip(*space.get_regular_hyperslab(), shape, strict=True):
        if count == UNLIMITED:
            count = grown = max(0, -(-(end - start) // stride))
        if block == stride and count > 1:
            count, block = 1, block * count
        if count > _MANY:
            raise _too_many(label)
        sides.append([(a, min(a + block, end)) for a in range(start, start + count * stride, stride)])
    if math.prod(map(len, sides)) > _MANY:
        raise _too_many(label)
    return list(itertools.product(*sides)), grown


def _too_many(label: str) -> DataError:
    return DataError(f"{label}: is virtual and made of too many pieces to be looked after; copy it to one dataset")


def _as_far_as(part: h5py.Dataset, source: Any, boxes: list[Box]) -> list[Box]:
    """Return the boxes mapped to a part that may grow, without what it has not grown to."""
    try:
        there, mapped = source.src_space.get_regular_hyperslab(), source.vspace.get_regular_hyperslab()
    except ValueError:  # all of it
        return boxes
    ends = [part.shape[axis] - there[0][axis] for axis, count in enumerate(there[2]) if count == UNLIMITED]
    if not ends:
        return boxes
    stops = [
        start + ends[0] if count == UNLIMITED and stride == block else UNLIMITED
        for start, stride, count, block in zip(*mapped, strict=True)
    ]
    return [tuple((a, max(a, min(b, stop))) for (a, b), stop in zip(box, stops, strict=True)) for box in boxes]


def _uncovered(dataset: h5py.Dataset, boxes: list[Box]) -> str | None:
    """Return the first place that is in none of the boxes, if there is one."""
    borders = [
        np.unique([0, end, *(border for box in boxes for border in box[axis])])
        for axis, end in enumerate(dataset.shape)
    ]
    covered = np.zeros([len(b) - 1 for b in borders], bool)
    for box in boxes:
        covered[tuple(slice(*np.searchsorted(b, side)) for b, side in zip(borders, box, strict=True))] = True
    if covered.all():
        return None
    first = np.argwhere(~covered)[0]
    return _place([(int(b[k]), int(b[k + 1])) for b, k in zip(borders, first, strict=True)], dataset)


def _place(box: Sequence[tuple[int, int]], dataset: h5py.Dataset) -> str:
    limits = zip(("row", "column"), box, dataset.shape, strict=False)
    return ", ".join(span(what, a, min(b, end)) for what, (a, b), end in limits)


def _incomplete(label: str, what: str) -> CorruptError:
    return CorruptError(
        f"{label}: {what} not there: never written, or lost; "
        "write the file again, or say missing_chunks='fill' if the fill value is meant"
    )
