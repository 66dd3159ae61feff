"""What a scan brings back from other processes, and where it cuts the rows."""

import numpy as np
import pytest

import streamreg as sr
from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, DataError
from streamreg.scans.fold import folded
from streamreg.stats.grouped import Grouped, Hash
from streamreg.stats.moments import Moments


def table(rows: int, columns: int) -> np.ndarray:
    random = np.random.default_rng(3)
    return random.normal(size=(rows, columns))


def test_append_after_a_scan_elsewhere_refuses_changed_rows(engine, tmp_path):
    x = table(70_000, 61)  # two partitions
    np.save(tmp_path / "a.npy", x)
    moments = sr.scan(tmp_path / "a.npy", engine=engine)
    assert moments.record.parts[0].probes == sr.scan(tmp_path / "a.npy").record.parts[0].probes
    np.save(tmp_path / "a.npy", np.concatenate([x, x[:10]]))
    assert sr.append(moments, tmp_path / "a.npy").n == 70_010
    x[0, 0] += 1.0
    np.save(tmp_path / "a.npy", np.concatenate([x, x[:10]]))
    with pytest.raises(ChangedError, match="not those that were scanned"):
        sr.append(moments, tmp_path / "a.npy")


@pytest.mark.parametrize(("columns", "folds"), [(100, 1), (100, 10), (50, 5), (90, 5), (7, 1)])
def test_few_rows_lie_at_borders_where_the_storage_can_be_cut(tmp_path, columns, folds):
    x = table(12_000_000 // columns, columns)
    for source in (sr.open((x, x[:, 0])), sr.open(_saved(tmp_path / "a.npy", x))):
        design = Design.of(source)
        moments = Moments(design.names)
        statistic = moments if folds == 1 else Grouped(moments, Hash(folds))
        found = folded(source, design, statistic, engine=Threads(2))
        assert len(source.partitions(statistic.block_rows)) > 1
        # The last block of the table may be short.
        assert found.at_borders < statistic.block_rows


def _saved(path, x):
    np.save(path, x)
    return path


def test_an_error_elsewhere_arrives_with_its_row_and_column(engine, tmp_path):
    x = table(3000, 4)
    x[2345, 2] = np.nan
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(DataError, match=r"row 2,345 .*column 'x2'"):
        sr.scan(tmp_path / "a.npy", engine=engine)
