"""One list of faults. Each ends in one line that names the file, soon, with exit code 2 or 3, and nothing is left."""

import ctypes
import gzip
import io
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import CorruptError
from streamreg.scans import partitions

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = np.random.default_rng(0).normal(size=(20_000, 4))
ROWS[:, 3] += ROWS[:, 0]
SECONDS = 5.0


def npy(folder: Path) -> Path:
    np.save(folder / "a.npy", ROWS)
    return folder / "a.npy"


def hdf5(folder: Path, **options: Any) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("X", data=ROWS, chunks=(1000, 4), **options)
    return folder / "a.h5"


def zarr_store(folder: Path, codec: Any = None) -> Path:
    group = zarr.open_group(folder / "a.zarr", mode="w")
    group.create_array("X", data=ROWS, chunks=(1000, 4), compressors=codec)
    return folder / "a.zarr"


def parquet(folder: Path, **options: Any) -> Path:
    table = pa.table({f"x{k}": ROWS[:, k] for k in range(4)})
    options = {"compression": "zstd", "write_page_checksum": True, **options}
    pq.write_table(table, folder / "a.parquet", row_group_size=4096, use_dictionary=False, **options)
    return folder / "a.parquet"


def csv(folder: Path, compressed: bool = False) -> Path:
    text = "x0,x1,x2,x3\n" + "".join(",".join(map(repr, row)) + "\n" for row in ROWS.tolist())
    path = folder / ("a.csv.gz" if compressed else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    os.truncate(path, int(share * path.stat().st_size))
    return path


def flipped(path: Path, at: int) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0x40]))
    return path


def in_chunk(path: Path, number: int = 7) -> Path:
    with h5py.File(path) as file:
        chunk = file["X"].id.get_chunk_info(number)
    return flipped(path, chunk.byte_offset + chunk.size // 2)


def in_page(path: Path) -> Path:
    column = pq.read_metadata(path).row_group(2).column(1)
    return flipped(path, column.data_page_offset + column.total_compressed_size // 2)


def in_zarr(path: Path) -> Path:
    chunk = path / "X/c/7/0"
    flipped(chunk, chunk.stat().st_size // 2)
    return path


def without_chunk(path: Path) -> Path:
    (path / "X/c/7/0").unlink()
    return path


def shard(folder: Path) -> Path:
    group = zarr.open_group(folder / "a.zarr", mode="w")
    group.create_array("X", data=ROWS, chunks=(1000, 4), shards=(5000, 4))
    return cut(folder / "a.zarr/X/c/1/0", 0.5).parents[4] / "a.zarr"


def lying_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("X", shape=(10**12, 4), chunks=(1024, 4), dtype="f8")[:1024] = 1.0
    return folder / "a.h5"


def lying_npy(folder: Path) -> Path:
    with (folder / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file,
            {"descr": "<f8", "fortran_order": False, "shape": (10**13, 4)},  # type: ignore[arg-type]
        )
        file.write(ROWS.tobytes())
    return folder / "a.npy"


def lying_zarr(folder: Path) -> Path:
    path = zarr_store(folder)
    meta = path / "X/zarr.json"
    meta.write_text(meta.read_text().replace("20000", "20000000000000"))
    return path


def lying_parquet(folder: Path) -> Path:
    """Its footer says that it is longer than the file."""
    path = parquet(folder)
    data = bytearray(path.read_bytes())
    data[-8:-4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def pickled(folder: Path) -> Path:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "made"),)

    np.save(folder / "a.npy", np.array([[Hostile()]], object), allow_pickle=True)
    return folder / "a.npy"


def archive(folder: Path, name: str, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / name, "w", method) as file:
        for member, data in members.items():
            file.writestr(member, data)
    return folder / name


def header(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


def saved(folder: Path, change: Callable[[Path], dict[str, bytes]], name: str = "fit.npz") -> Path:
    npy(folder)
    if name.endswith(".moments"):
        sr.scan(folder / "a.npy", target="x3").save(folder / name)
    else:
        sr.Linear(target="x3").fit(folder / "a.npy").save(folder / name)
    with zipfile.ZipFile(folder / name) as file:
        members = {member: file.read(member) for member in file.namelist()}
    members |= change(folder)
    return archive(folder, name, members, zipfile.ZIP_DEFLATED if "bomb" in members else zipfile.ZIP_STORED)


def with_pickle(folder: Path) -> dict[str, bytes]:
    return {"coef.npy": pickled(folder).read_bytes()}


def with_huge_header(folder: Path) -> dict[str, bytes]:
    return {"coef.npy": header((2**40,), b"\0" * 64), "state.mean.npy": header((2**40,), b"\0" * 64)}


def with_bomb(folder: Path) -> dict[str, bytes]:
    return {"bomb": b"", "coef.npy": header((2**19,), bytes(2**22)), "state.sums.npy": header((2**19,), bytes(2**22))}


FIT = ["fit", "{path}", "--target", "x3", "--save", "{out}.npz"]
SCAN = ["scan", "{path}", "--target", "x3", "-o", "{out}.moments"]
PREDICT = ["predict", "{path}", "a.npy", "{out}.npy"]

# What is made, what is asked for, the exit code, and words of the one line.
FILES: dict[str, tuple[Callable[[Path], Path], list[str], int, str]] = {
    "truncated npy": (lambda f: cut(npy(f)), FIT, 3, "truncated"),
    "truncated HDF5": (lambda f: cut(hdf5(f)), FIT, 3, "cut short"),
    "truncated HDF5, chunks at the end": (lambda f: cut(hdf5(f, compression="gzip"), 0.9), FIT, 3, "cut short"),
    "truncated Parquet": (lambda f: cut(parquet(f)), FIT, 3, "damaged or cut short"),
    "truncated shard of Zarr": (shard, FIT, 3, "a.zarr"),
    "truncated chunk of Zarr": (
        lambda f: cut(zarr_store(f) / "X/c/7/0", 0.5).parents[3],
        FIT,
        3,
        "rows 7,000-7,999",
    ),
    "truncated CSV in gzip": (lambda f: cut(csv(f, compressed=True)), FIT, 3, "a.csv.gz"),
    "empty npy": (lambda f: cut(npy(f), 0.0), FIT, 3, "a.npy"),
    "empty HDF5": (lambda f: cut(hdf5(f), 0.0), FIT, 3, "a.h5"),
    "empty Parquet": (lambda f: cut(parquet(f), 0.0), FIT, 3, "a.parquet"),
    "flipped byte under gzip": (lambda f: in_chunk(hdf5(f, compression="gzip")), FIT, 3, "rows 7,000-7,999"),
    "flipped byte under fletcher32": (lambda f: in_chunk(hdf5(f, fletcher32=True)), FIT, 3, "rows 7,000-7,999"),
    "flipped byte under zstd with a checksum": (
        lambda f: in_zarr(zarr_store(f, zarr.codecs.ZstdCodec(checksum=True))),
        FIT,
        3,
        "rows 7,000-7,999",
    ),
    "flipped byte under crc32c": (
        lambda f: in_zarr(zarr_store(f, zarr.codecs.Crc32cCodec())),
        FIT,
        3,
        "rows 7,000-7,999",
    ),
    "flipped byte in the header of blosc": (
        lambda f: flipped(zarr_store(f, zarr.codecs.BloscCodec()) / "X/c/7/0", 4).parents[3],
        FIT,
        3,
        "rows 7,000-7,999",
    ),
    "flipped byte in a page of Parquet": (lambda f: in_page(parquet(f)), FIT, 3, "row groups"),
    "flipped byte in a page under gzip": (lambda f: in_page(parquet(f, compression="gzip")), FIT, 3, "row groups"),
    "deleted chunk": (lambda f: without_chunk(zarr_store(f)), FIT, 3, "rows 7,000-7,999"),
    "HDF5 that claims 1e12 rows": (lying_hdf5, FIT, 3, "976,562,499 of 976,562,500 chunks"),
    "HDF5 that claims 1e12 rows, filled": (
        lying_hdf5,
        [*FIT, "--missing-chunks", "fill"],
        3,
        "claims 1,000,000,000,000",
    ),
    "npy that claims 1e13 rows": (lying_npy, FIT, 3, "truncated"),
    "Zarr that claims 2e13 rows": (lying_zarr, FIT, 3, "a.zarr"),
    "Zarr that claims 2e13 rows, filled": (
        lying_zarr,
        [*FIT, "--missing-chunks", "fill"],
        3,
        "claims 20,000,000,000,000",
    ),
    "HDF5 that claims 1e12 rows, skipped": (lying_hdf5, [*FIT, "--on-fault", "skip"], 3, "976,562,499 of 976,562,500"),
    "Zarr that claims 2e13 rows, skipped": (
        lying_zarr,
        [*FIT, "--on-fault", "skip"],
        3,
        "claims 20,000,000,000,000",
    ),
    "Parquet with too long a footer": (lying_parquet, FIT, 3, "not a readable Parquet file"),
    "pickled objects in npy": (pickled, FIT, 3, "Python objects"),
    "pickled objects in a saved fit": (lambda f: saved(f, with_pickle), PREDICT, 3, "fit.npz"),
    "huge shape in a saved fit": (lambda f: saved(f, with_huge_header), PREDICT, 3, "fit.npz"),
    "bomb in a saved fit": (lambda f: saved(f, with_bomb), PREDICT, 3, "unpack to more bytes"),
    "huge shape in moments": (
        lambda f: saved(f, with_huge_header, "a.moments"),
        ["fit", "{path}", "--target", "x3"],
        3,
        "a.moments",
    ),
    "bomb in moments": (
        lambda f: saved(f, with_bomb, "a.moments"),
        ["fit", "{path}", "--target", "x3"],
        3,
        "unpack to more bytes",
    ),
    "pipe that nobody writes to": (
        lambda f: os.mkfifo(f / "a.npy") or f / "a.npy",
        FIT,
        3,
        "neither a file nor a folder",
    ),  # type: ignore[func-returns-value]
    "pipe of CSV": (lambda f: os.mkfifo(f / "a.csv") or f / "a.csv", FIT, 3, "neither a file nor a folder"),  # type: ignore[func-returns-value]
    "pipe of Parquet": (lambda f: os.mkfifo(f / "a.parquet") or f / "a.parquet", FIT, 3, "neither a file nor a folder"),  # type: ignore[func-returns-value]
    "no such file": (lambda f: f / "a.npy", FIT, 3, "no such file"),
    "folder in place of a file": (lambda f: (f / "a.npy").mkdir() or f / "a.npy", FIT, 3, "is a folder"),  # type: ignore[func-returns-value]
}


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def ends_well(arguments: list[str], path: Path, code: int, words: str, capsys: Any) -> None:
    """Run a command, and look at its exit code, its line, how long it took, and what it left."""
    before, began = everything(path.parent), time.monotonic()
    found = main([part.format(path=path.name, out="out") for part in arguments])
    seconds, said = time.monotonic() - began, capsys.readouterr()
    assert found == code, said.err
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert everything(path.parent) <= before  # a file may have been removed on purpose
    assert seconds < SECONDS


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path, monkeypatch, capsys):
    make, arguments, code, words = FILES[name]
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path)
    ends_well(arguments, path, code, words, capsys)


def test_archives_raise_the_same_from_python(tmp_path):
    for change in (with_pickle, with_huge_header, with_bomb):
        with pytest.raises(CorruptError):
            sr.FitResult.load(saved(tmp_path, change))
        with pytest.raises(CorruptError):
            sr.load(saved(tmp_path, change, "a.moments"))
    assert not (tmp_path / "made").exists()


# What happens in mid-scan, after the first part was read.


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("other" + path.suffix)
    other.write_bytes(path.read_bytes())
    other.replace(path)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(ROWS.tobytes())


def shortened(path: Path) -> None:
    cut(path, 0.5)


def forbidden(path: Path) -> None:
    path.chmod(0)


EVENTS = {"removed": removed, "replaced": replaced, "grown": grown, "shortened": shortened, "forbidden": forbidden}
MAKERS = {"npy": npy, "hdf5": lambda f: hdf5(f, compression="gzip"), "parquet": parquet, "csv": csv}


@pytest.fixture
def nobody():
    """Have no more rights than others, for whom permissions count: the superuser may read and write everything."""
    if os.geteuid() != 0:
        yield
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "capset"):
        pytest.skip("the superuser, on a system without capabilities")
    head, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert library.capget(head, held) == 0
    less = (ctypes.c_uint32 * 6)(*held)
    less[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert library.capset(head, less) == 0
    yield
    assert library.capset(head, held) == 0


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("event", EVENTS)
def test_amid_a_scan(event, kind, tmp_path, nobody, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streamreg.sources.stored.table.row_ranges", lambda n, *_: _cuts(n))
    monkeypatch.setattr("streamreg.sources.csv.source.row_ranges", lambda n, *_: _cuts(n))
    monkeypatch.setattr("streamreg.sources.arrow.source.PART_BYTES", 2**15)
    if (event, kind) == ("forbidden", "parquet"):
        pytest.skip("one reader has the file open from the first row to the last, and so keeps its right to read it")
    path, real, seen = MAKERS[kind](tmp_path), partitions.fold_rows, []

    def disturbed(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            EVENTS[event](path)
        return real(*arguments)

    monkeypatch.setattr(partitions, "fold_rows", disturbed)
    ends_well([*SCAN, "--threads", "1"], path, 3, path.name, capsys)
    assert len(seen) > 1


def _cuts(n: int) -> list[tuple[int, int]]:
    return [(a, min(a + 5000, n)) for a in range(0, n, 5000)]


# Outputs that cannot be written.


def out_folder(folder: Path) -> Path:
    """A folder with an old result in it."""
    npy(folder)
    (folder / "out").mkdir()
    sr.Linear(target="x3", features=("x0",)).fit(folder / "a.npy").save(folder / "out/a.npz")
    return folder / "out"


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "a.npy", "--target", "x3", "--save", "out/b.npz"],
        ["scan", "a.npy", "--target", "x3", "-o", "out/b.moments"],
        ["predict", "out/a.npz", "a.npy", "out/b.npy"],
        ["generate", "out/b.npy", "--rows", "1000", "--columns", "3"],
        ["generate", "out/b.zarr", "--rows", "1000", "--columns", "3"],
        ["run", "job.yaml"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_read_only_output_folder(arguments, tmp_path, nobody, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = out_folder(tmp_path)
    (tmp_path / "job.yaml").write_text(
        "data: {path: a.npy, target: x3}\nfits: {a: {kind: linear}}\noutput: {folder: out}\n"
    )
    folder.chmod(0o555)
    ends_well(arguments, tmp_path / "a.npy", 3, "cannot be written", capsys)
    folder.chmod(0o755)


LIMITED = """
import resource, sys
from streamreg.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
codes = [main(arguments.split()) for arguments in sys.argv[1:]]
print(*codes)
"""


def test_full_disk_leaves_the_old_result(tmp_path):
    """A bound on the size of files stands for a disk that is full."""
    table = np.random.default_rng(0).normal(size=(2000, 60))
    np.save(tmp_path / "a.npy", table)
    (tmp_path / "job.yaml").write_text(
        "data: {path: a.npy, target: x3}\nfits: {a: {kind: linear}}\noutput: {folder: out}\n"
    )
    (tmp_path / "out").mkdir()
    for name in ("out/a.npz", "out/report.json", "b.npz", "b.moments", "p.npy"):
        (tmp_path / name).write_text("old")
    sr.Linear(target="x3").fit(tmp_path / "a.npy").save(tmp_path / "fit.npz")
    commands = [
        "fit a.npy --target x3 --save b.npz --force",
        "scan a.npy --target x3 -o b.moments --force",
        "predict fit.npz a.npy p.npy --force",
        "generate g.npy --rows 2000 --columns 60",
        "generate g.h5 --rows 2000 --columns 60",
        "generate g.zarr --rows 2000 --columns 60",
        "seal a.npy --target x3",
        "run job.yaml",
        "scan a.npy --target x3 -o b.moments --force --checkpoint kept",
    ]
    before = everything(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *commands], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stderr.splitlines()
    codes = done.stdout.split()
    assert codes == ["3"] * len(commands), (codes, lines)
    assert len(lines) == len(commands), lines
    for line in lines:
        assert line.startswith("error: ")
        assert "cannot be written" in line
    assert everything(tmp_path) == before
    assert (tmp_path / "b.npz").read_text() == (tmp_path / "out/report.json").read_text() == "old"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096  # that of the other process alone


def test_full_standard_output(tmp_path):
    npy(tmp_path)
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamreg", "fit", "a.npy", "--target", "x3"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (3, "error: standard output: No space left on device\n")
