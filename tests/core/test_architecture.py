"""The house: imports point down, heavy libraries have one owner, and importing streamreg is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamreg

ROOT = Path(streamreg.__file__).parent

# Lower rooms first; a module may import from its own room and from rooms of a lower rank.
RANK = {
    "errors": 0, "progress": 0, "tables": 0, "distributions": 0, "inference": 0.5, "problem": 0, "geometry": 0,
    "files": 0.5, "validation": 0.5, "backend": 0.5, "stored": 0.8, "sinks": 0.8,
    "kernels": 1, "families": 1,
    "sources": 2, "solve": 2,
    "terms": 2.5, "design": 3,
    "stats": 4, "engines": 4,
    "ledger": 4.5, "fold": 5, "system": 5, "scans": 5.5, "merging": 5.6, "generation": 5, "inspection": 5,
    "result": 6, "crossvalidation": 6,
    "agreement": 7, "summary": 7,
    "candidates": 7, "choices": 7.5, "hypotheses": 7, "prediction": 7,
    "models": 8, "neural": 8,
    "comparison": 9, "scoring": 9,
    "jobs": 10,
    "cli": 11, "__main__": 12, "__init__": 12,
}  # fmt: skip
STRANGERS = [("sources", "solve"), ("solve", "sources"), ("sources", "stats"), ("solve", "stats")]
OWNERS = {
    "tensorflow": {"backend"},
    "keras": {"backend"},
    "jax": {"backend"},
    "torch": {"backend"},
    "h5py": {"sources/hdf5.py", "sources/hdf5_access.py", "sources/hdf5_complete.py", "inspection.py", "sinks.py"},
    "zarr": {"sources/zarr.py", "inspection.py", "sinks.py"},
    "dask": {"sources/dask.py", "engines/dask.py"},
    "yaml": {"jobs"},
    "typer": {"cli"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path: Path):
    """Yield (module, at module level) for every import of a file."""
    tree = ast.parse(path.read_text())
    top = set(map(id, ast.iter_child_nodes(tree)))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "streamreg":
                for alias in node.names:
                    yield f"streamreg.{alias.name}", id(node) in top
            else:
                yield node.module, id(node) in top


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    assert here in RANK, f"give {here} a place in the house"
    for name, at_top in imports(path):
        if not name.startswith("streamreg."):
            continue
        there = name.split(".")[1]
        if there not in RANK:  # a public name of the package itself
            continue
        assert (here, there) not in STRANGERS
        if here == there:
            continue
        if at_top:
            assert RANK[there] < RANK[here], f"{path.name} imports {name}, which lies above it or beside it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_have_one_owner(path):
    where = {room(path), str(path.relative_to(ROOT))}
    for name, _ in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or owners & where, f"{path.name} imports {name}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


HEAVY = [
    *("tensorflow", "keras", "jax", "torch", "dask", "distributed", "pyarrow", "h5py", "zarr"),
    *("scipy", "pydantic", "rich", "yaml", "typer", "sklearn"),
]


def test_importing_streamreg_loads_nothing_heavy():
    assert run(f"import streamreg, sys; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


# What else a fit has no use for: masked arrays, dense algebra of SciPy, what other models and saved states need.
IDLE = [
    *("numpy.ma", "numcodecs", "isal", "scipy.linalg", "scipy.stats", "scipy.sparse"),
    *("streamreg.models.robust", "streamreg.models.glm", "streamreg.models.penalised", "streamreg.stats.saved"),
    *("streamreg.stats.integer_moments", "streamreg.sources.hdf5", "streamreg.sources.zarr", "streamreg.jobs"),
]


def test_a_fit_of_arrays_loads_what_it_needs():
    heavy = [m for m in HEAVY + IDLE if m not in ("pydantic", "numpy.ma")]  # arrays may be masked ones
    code = f"""
import numpy as np, sys, streamreg as sr
fit = sr.Linear().fit((np.random.rand(50, 3), np.random.rand(50)))
assert len(fit.std_errors) == 3
print([m for m in {heavy} if m in sys.modules])"""
    assert run(code) == "[]"


def test_the_command_fit_of_a_npy_file_loads_what_it_needs(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((50, 3)))
    needed = {"typer", "pydantic", "rich"}  # the last prints the table
    heavy = [m for m in HEAVY + IDLE if m not in needed]
    code = f"""
import os, sys
from streamreg.__main__ import main
sys.stdout, out = open(os.devnull, "w"), sys.stdout
assert main(["fit", {str(tmp_path / "a.npy")!r}, "--target", "x0"]) == 0
print([m for m in {heavy} if m in sys.modules], file=out)"""
    assert run(code) == "[]"


def test_names_are_imported_without_a_look_for_garbage_and_it_goes_on_after():
    assert run("import gc, streamreg; streamreg.Linear; print(gc.isenabled())") == "True"
    assert run("import gc, streamreg; gc.disable(); streamreg.Linear; print(gc.isenabled())") == "False"


def test_every_public_name_resolves():
    for name in streamreg.__all__:
        assert getattr(streamreg, name) is not None
    assert set(streamreg.__all__) <= set(dir(streamreg))
    with pytest.raises(AttributeError, match="nonsense"):
        streamreg.nonsense  # noqa: B018
