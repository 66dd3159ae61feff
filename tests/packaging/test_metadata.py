"""What the package says of itself, and what it says where an optional part is missing."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import streamreg as sr

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_versions_of_python_agree():
    assert PROJECT["requires-python"] == ">=3.11"
    assert PROJECT["version"] == sr.__version__
    named = {int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))}
    assert min(named) == 11


def test_the_source_is_that_of_the_oldest_python():
    for path in (ROOT / "streamreg").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 11))


def test_messages_name_the_extra_that_is_missing():
    extras = set(PROJECT["optional-dependencies"])
    for path in (ROOT / "streamreg").rglob("*.py"):
        for named in re.findall(r"streamreg\[(\w+)\]", path.read_text(encoding="utf-8")):
            assert named in extras, path


def test_without_extras_the_core_works_and_says_what_is_missing(tmp_path):
    """In a process to which optional packages are not there."""
    code = """
import sys
for name in ("pandas", "polars", "pyarrow", "duckdb", "formulaic", "sklearn", "distributed", "hdf5plugin", "keras"):
    sys.modules[name] = None
import numpy as np, streamreg as sr
x = np.random.default_rng(0).normal(size=(50, 2))
fit = sr.Linear().fit((x, x @ [1.0, 2.0]))
np.testing.assert_allclose(fit.coef, [1.0, 2.0])
print(sr.table([fit], "md")[:1], len(fit.summary()) > 100)
open("a.csv", "w").write("a,b\\n1,2\\n3,5\\n4,4\\n")
def fails(call):
    try:
        call()
    except sr.StreamregError as error:
        print(error)
fails(lambda: sr.open("a.csv"))
fails(lambda: fit.to_frame())
fails(lambda: sr.Linear("y ~ x").fit(sr.open({"x": x[:, 0], "y": x[:, 1]})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "| True"
    assert len(lines) == 4
    assert all("pip install" in line for line in lines[1:])
