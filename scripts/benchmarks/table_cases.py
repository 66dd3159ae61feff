"""Tables for `scripts/bench tables`: how they are made, and what is timed on them, each peer in its fastest way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 2**20
"""Rows that are made at a time."""

FLOATS = [f"x{k}" for k in range(5)]
TEXTS = {"carrier": 10, "zone": 300, "plane": 20_000}


@dataclass(frozen=True)
class Action:
    """What is timed, as Python code in a fresh process; ``path`` is the file.

    Attributes
    ----------
    imports : str
        Runs before the clock does.
    code : str
    needs : str
        A module without which it is left out; empty: none.
    warm : bool
        Whether it runs on the first 20,000 rows before: of what is compiled at first use.
    """

    imports: str
    code: str
    needs: str = ""
    warm: bool = False


@dataclass(frozen=True)
class Case:
    """A table and what is timed on it.

    Attributes
    ----------
    rows : int
        How many there are unless the caller says so.
    suffix : str
    write : callable
        Given a path and a number of rows.
    actions : dict of str to Action
        By what they are called; the first is ours.
    """

    rows: int
    suffix: str
    write: Callable[[Path, int], None]
    actions: dict[str, Action]


def _normal(start: int, rows: int, columns: int) -> dict[str, Any]:
    values = np.random.default_rng(start).normal(size=(columns, rows))
    return dict(zip([*(f"x{k}" for k in range(columns - 1)), "y"], values, strict=True))


def _csv(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    with path.open("wb") as file:
        for start in range(0, rows, BATCH):
            table = pa.table(_normal(start, min(BATCH, rows - start), 21))
            pc.write_csv(table, file, pc.WriteOptions(include_header=start == 0))


def _parquet(path: Path, rows: int, group: int, made: Callable[[int, int], dict[str, Any]], step: int = BATCH) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, step):
        table = pa.table(made(start, min(step, rows - start)))
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=group)
    if writer is not None:
        writer.close()


def _wide(path: Path, rows: int) -> None:
    _parquet(path, rows, 2**16, lambda start, m: _normal(start, m, 101), 2**18)


def _giant(path: Path, rows: int) -> None:
    _parquet(path, rows, rows, lambda start, m: _normal(start, m, 101), rows)


def _mixed(path: Path, rows: int) -> None:
    """Floats with holes, whole numbers, a time, and texts of 10, 300 and 20,000 levels, the first far more common."""
    import pyarrow as pa

    def made(start: int, m: int) -> dict[str, Any]:
        rng = np.random.default_rng(start)
        found: dict[str, Any] = {name: pa.array(rng.normal(size=m), mask=rng.random(m) < 0.02) for name in FLOATS}
        found |= {"i0": rng.integers(0, 100, m), "i1": rng.integers(1990, 2024, m)}
        found["t"] = pa.array(rng.integers(1_500_000_000, 1_700_000_000, m) * 10**6, pa.timestamp("us"))
        target = rng.normal(size=m)
        for name, levels in TEXTS.items():
            share = 1 / np.arange(1, levels + 1)
            codes = rng.choice(levels, m, p=share / share.sum())
            target += np.random.default_rng(levels).normal(size=levels)[codes]
            found[name] = pa.array([f"{name}_{k:05}" for k in range(levels)]).take(pa.array(codes))
        return {**found, "y": target}

    _parquet(path, rows, 2**17, made)


def _panel(path: Path, rows: int) -> None:
    """Workers of ten rows each, one after the other, who move between firms now and then, over ten years."""
    workers, firms = rows // 10 + 1, rows // 250 + 1

    def made(start: int, m: int) -> dict[str, Any]:
        rng = np.random.default_rng(start)
        worker = np.arange(start, start + m) // 10
        home = np.random.default_rng(workers).integers(0, firms, workers)[worker]
        firm = np.where(rng.random(m) < 0.05, rng.integers(0, firms, m), home)
        x = rng.normal(size=(6, m)) + 0.1 * (worker % 7)
        found: dict[str, Any] = {f"x{k}": x[k] for k in range(6)}
        return {
            **found,
            "y": x.sum(axis=0) + worker % 5 + firm % 3 + rng.normal(size=m),
            "worker": worker,
            "firm": firm,
            "year": rng.integers(0, 10, m),
        }

    _parquet(path, rows, 2**17, made)


_OURS = "import streamreg as sr, streamreg.models.linear, streamreg.sources.arrow.open"
_FORMULA = f"{_OURS}, streamreg.models.absorbed, streamreg.scans.formulas, formulaic, scipy.sparse.linalg"
_PYFIXEST = "import warnings; warnings.simplefilter('ignore'); import pandas, pyfixest as pf, pyarrow.parquet as pq"
_STREAM = "from hdfe_stream import feols_stream"
_STREAMED = "feols_stream('y ~ {} | {}', path, fixef_rm='none', save_resid=False, verbose=False)"


def _decoded(texts: list[str]) -> Action:
    """Return how two threads decode a file, each of which owns row groups."""
    imports = (
        "import threading, pyarrow.parquet as pq\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "local = threading.local()\n"
        "def group(metadata, k):\n"
        "    if not hasattr(local, 'file'):\n"
        f"        local.file = pq.ParquetFile(path, metadata=metadata, read_dictionary={texts!r})\n"
        "    return local.file.read_row_group(k, use_threads=False).num_rows\n"
        "def decode():\n"
        "    metadata = pq.read_metadata(path)\n"
        "    with ThreadPoolExecutor(2) as pool:\n"
        "        return sum(pool.map(lambda k: group(metadata, k), range(metadata.num_row_groups)))"
    )
    return Action(imports, "decode()")


def _feols(formula: str, text: bool = False) -> Action:
    """Return pyfixest's fit by the faster of its solvers, from a file, with text as codes."""
    lines = ["frame = pq.read_table(path).to_pandas()"]
    if text:
        lines += [
            "frame['t'] = frame['t'].astype('int64').astype(float)",
            f"for name in {[*TEXTS]!r}: frame[name] = frame[name].astype('category').cat.codes",
        ]
    options = "store_data=False, copy_data=False, lean=True, fixef_rm='none', demeaner=pf.LsmrDemeaner()"
    return Action(_PYFIXEST, "\n".join([*lines, f"pf.feols({formula!r}, frame, {options})"]), "pyfixest", warm=True)


_SIX = " + ".join(f"x{k}" for k in range(6))
_MIXED = " + ".join([*FLOATS, "i0", "i1", "t"])

CASES: dict[str, Case] = {
    "csv": Case(
        1_000_000,
        ".csv",
        _csv,
        {
            "streamreg, whole fit": Action(
                "import streamreg as sr, streamreg.models.linear, streamreg.sources.csv.open",
                "sr.Linear().fit(sr.open(path, target='y'))",
            ),
            "pyarrow.csv.read_csv": Action("import pyarrow.csv as pc", "pc.read_csv(path)"),
            "polars scan_csv, batches": Action(
                "import polars as pl",
                "sum(len(b) for b in pl.scan_csv(path).collect_batches(chunk_size=65536))",
                "polars",
            ),
        },
    ),
    "wide": Case(
        1_000_000,
        ".parquet",
        _wide,
        {
            "streamreg, whole fit": Action(_OURS, "sr.Linear().fit(sr.open(path, target='y'))"),
            "decode, two pyarrow threads": _decoded([]),
            "polars.read_parquet": Action("import polars as pl", "pl.read_parquet(path)", "polars"),
        },
    ),
    "giant": Case(
        1_000_000,
        ".parquet",
        _giant,
        {
            "streamreg, whole fit": Action(_OURS, "sr.Linear().fit(sr.open(path, target='y'))"),
            "decode, pyarrow batches": Action(
                "import pyarrow.parquet as pq",
                "sum(map(len, pq.ParquetFile(path, pre_buffer=False, buffer_size=65536).iter_batches(16384)))",
            ),
            "polars.read_parquet": Action("import polars as pl", "pl.read_parquet(path)", "polars"),
        },
    ),
    "mixed": Case(
        5_000_000,
        ".parquet",
        _mixed,
        {
            "streamreg, whole fit": Action(
                _FORMULA,
                f"sr.Linear(formula='y ~ {_MIXED} | carrier + zone + plane', missing='drop').fit(path)",
            ),
            "decode, two pyarrow threads": _decoded([*TEXTS]),
            "pyfixest, LSMR, with reading": _feols(f"y ~ {_MIXED} | carrier + zone + plane", text=True),
        },
    ),
    **{
        name: Case(
            5_000_000,
            ".parquet",
            _panel,
            {
                "streamreg, whole fit": Action(_FORMULA, f"sr.Linear(formula='y ~ {_SIX} | {factors}').fit(path)"),
                "hdfe-stream": Action(_STREAM, _STREAMED.format(_SIX, factors), "hdfe_stream", warm=True),
                "pyfixest, LSMR, with reading": _feols(f"y ~ {_SIX} | {factors}"),
            },
        )
        for name, factors in (("panel2", "worker + firm"), ("panel3", "worker + firm + year"))
    },
}
