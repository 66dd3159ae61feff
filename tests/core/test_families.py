"""Laws of the families, and of where their names may be written."""

import ast
from pathlib import Path

import pytest

import streamreg
from streamreg.errors import UsageError
from streamreg.families import FAMILIES, family

ROOT = Path(streamreg.__file__).parent


def _compared(path: Path) -> list[str]:
    """Return where a module compares something with the name of a family."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Compare)]
    parts = [(node.lineno, part) for node in nodes for part in (node.left, *node.comparators)]
    if path.relative_to(ROOT).parts[0] == "neural":
        return []  # "poisson" is also the name of a loss there
    found = [line for line, part in parts if isinstance(part, ast.Constant) and part.value in FAMILIES]
    return [f"{path.relative_to(ROOT)}:{line}" for line in found]


def test_no_module_outside_the_families_asks_for_a_family_by_name():
    paths = [path for path in ROOT.rglob("*.py") if path.parent.name != "families"]
    assert [place for path in paths for place in _compared(path)] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_found_by_its_own_name(name):
    assert family(name).name == name
    assert family(name) is family(name)


def test_an_unknown_family_is_refused():
    with pytest.raises(UsageError, match=r"no family 'poison'.*poisson"):
        family("poison")
