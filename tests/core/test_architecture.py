"""The house: imports point down, heavy libraries have one owner, and importing streamreg is cheap."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import streamreg
from streamreg.families import FAMILIES

ROOT = Path(streamreg.__file__).parent

# The floors of the house: a module may import from its own room and from rooms on lower floors, lazily or not.
FLOORS = [
    {"_version", "errors", "progress", "problem"},
    {"backend", "families", "inference", "persist"},
    {"kernels", "reporting"},
    {"engines"},
    {"line", "sources", "solve"},
    {"design"},
    {"stats"},
    {"scans"},
    {"results"},
    {"models"},
    {"neural", "comparison", "scoring", "tools"},
    {"sklearn"},
    {"jobs"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}
LOOSE = 8
"""How many modules may lie outside the rooms, `__init__` counted."""

LONGEST = 300
"""Lines of a module."""

OWNERS = {
    "tensorflow": {"backend"},
    "keras": {"backend"},
    "jax": {"backend"},
    "torch": {"backend"},
    "h5py": {"sources/hdf5", "persist/table_writer.py", "tools/inspect.py"},
    "zarr": {"sources/zarr", "persist/table_writer.py", "tools/inspect.py"},
    "dask": {"sources/dask.py", "sources/arrow", "engines"},
    "pyarrow": {"sources/arrow", "sources/csv", "persist/columns.py", "persist/delimited.py"},
    "polars": {"sources/arrow", "reporting/frames.py"},
    "duckdb": {"sources/arrow"},
    "fsspec": {"sources/arrow"},
    "distributed": {"engines"},
    "yaml": {"jobs"},
    "typer": {"cli"},
    "sklearn": {"sklearn"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path: Path):
    """Yield (module, at module level) for every import of a file, those for type checkers too."""
    tree = ast.parse(path.read_text())
    top = set(map(id, ast.iter_child_nodes(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if _is_module(name)]
            yield from ((name, id(node) in top) for name in modules)
            if len(modules) < len(inner):
                yield node.module, id(node) in top


def _is_module(name: str) -> bool:
    path = ROOT.parent / name.replace(".", "/")
    return name.startswith("streamreg.") and (path.with_suffix(".py").is_file() or path.is_dir())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    assert here in FLOOR, f"give {here} a floor"
    for name, _ in imports(path):
        there = name.split(".")[1] if name.startswith("streamreg.") else "__init__" if name == "streamreg" else None
        if there is None or here == there:
            continue
        if there not in FLOOR:  # a public name of the package itself
            there = "__init__"
        assert FLOOR[there] < FLOOR[here], f"{path.name} imports {name}, which lies above it or beside it"


def test_no_module_imports_itself_by_way_of_others():
    names = {".".join(("streamreg", *p.relative_to(ROOT).with_suffix("").parts)): p for p in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    # Import of a name is one of its module; a package's own names stand for those of its modules.
    graph = {
        name: {near for near, _ in imports(path) if near in names and near != name} for name, path in names.items()
    }
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_few_modules_lie_outside_the_rooms_and_none_is_long():
    assert len([p for p in MODULES if p.parent == ROOT]) <= LOOSE
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in MODULES}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_have_one_owner(path):
    where = {str(path.relative_to(ROOT)), *map(str, path.relative_to(ROOT).parents), room(path)}
    for name, _ in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or owners & where, f"{path.name} imports {name}"


def test_no_module_asks_for_a_family_or_a_loss_by_its_name():
    """What differs between them is said by their classes."""
    losses = [name for place in FAMILIES.values() for name in getattr(*_home(place)).losses]
    names = {*FAMILIES, *losses, "huber"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())) if room(path) != "families" else ():
            asked = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            asked += node.keys if isinstance(node, ast.Dict) else []
            flat = [part for one in asked if one is not None for part in getattr(one, "elts", [one])]
            found = {part.value for part in flat if isinstance(part, ast.Constant)} & names
            assert not found, f"{path.name}, line {node.lineno}: {found}"


def _home(place: str):
    module, _, name = place.partition(":")
    return import_module(module), name


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
    *("streamreg.models.robust", "streamreg.models.glm", "streamreg.models.penalised", "streamreg.scans.moments_file"),
    *(
        "streamreg.stats.integer_moments",
        "streamreg.sources.hdf5.open",
        "streamreg.sources.zarr.open",
        "streamreg.jobs",
    ),
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
