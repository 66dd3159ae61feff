"""What the documents show works: their code is run, and what they say it prints is compared with what it prints."""

import contextlib
import io
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

import streamreg as sr
from streamreg.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r'(?:^<!-- (?P<note>[^\n]*?) -->\n+)?^```(?P<kind>\w+)(?: title="(?P<title>[^"\n]+)")?\n(?P<body>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
# What takes long in a document is run on fewer rows here.
SMALLER = {"1_000_000": "2_000", "1000000": "2000", "columns=100": "columns=10", "columns 100": "columns 10"}
NUMBER = r"[-+]?\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?"


@dataclass(frozen=True)
class Block:
    """A fenced block.

    The comment before it may say ``not run: why``, ``exits with 1``, ``not compared: why``, or ``figures vary``.
    """

    page: Path
    line: int
    kind: str
    title: str | None
    note: str
    body: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: m.start("body")].count("\n"), m["kind"], m["title"], m["note"] or "", m["body"])
        for m in FENCE.finditer(text)
    ]


def smaller(code: str) -> str:
    for long, short in SMALLER.items():
        code = code.replace(long, short)
    return code


def marks(page: Path) -> list[pytest.MarkDecorator]:
    trains = any("sr.Keras" in b.body or "kind: keras" in b.body for b in blocks(page) if "not run" not in b.note)
    return [pytest.mark.keras, pytest.mark.slow] if trains else []


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUN = [pytest.param(page, id=name(page), marks=marks(page)) for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", RUN)
def test_code_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        where = f"{name(block.page)}, line {block.line}"
        if block.title:
            Path(block.title).write_text(block.body, encoding="utf-8")
        if block.note.startswith("not run"):
            continue
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as out:
            if block.kind == "python":
                code = "\n" * block.line + smaller(block.body)
                exec(compile(code, name(block.page), "exec"), namespace)
            elif block.kind == "bash":
                run_commands(smaller(block.body), block.note, where)
            elif block.kind == "text" and not block.note.startswith("not compared"):
                compare(block.body, printed, block.note == "figures vary", where)
            out.flush()
            if block.kind in ("python", "bash"):
                printed = out.buffer.getvalue().decode()


def run_commands(body: str, note: str, where: str) -> None:
    commands = [words for line in body.splitlines() if (words := shlex.split(line, comments=True))]
    expected = [0] * len(commands)
    if note.startswith("exits with"):  # that is the last of them
        expected[-1] = int(note.removeprefix("exits with "))
    for words, wanted in zip(commands, expected, strict=True):
        assert words[0] == "streamreg", f"{where}: mark the block as not run"
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = main(words[1:])
        assert code == wanted, f"{where}: {shlex.join(words)} ended with {code}: {errors.getvalue()}"
        print(errors.getvalue(), end="")


def tokens(text: str) -> list[str]:
    """Return numbers and words; those of wall times, of memory and rules of tables are left out."""
    text = re.sub(rf"\bseconds +{NUMBER}", "seconds", text)
    text = re.sub(rf"{NUMBER} [kMG]B of memory", "memory", text)
    return re.findall(rf"{NUMBER}|[^\s\d─]+", text)


def compare(shown: str, printed: str, vary: bool, where: str) -> None:
    """Require the same words, and the same numbers up to rounding."""
    shown_tokens, printed_tokens = tokens(shown), tokens(printed)
    if vary:
        words = [sorted(t for t in found if not re.fullmatch(NUMBER, t)) for found in (shown_tokens, printed_tokens)]
        assert words[0] == words[1], where
        return
    assert len(shown_tokens) == len(printed_tokens), f"{where}: prints\n{printed}"
    for a, b in zip(shown_tokens, printed_tokens, strict=True):
        assert a == b or near(a, b), f"{where}: shows {a!r}, prints {b!r}:\n{printed}"


def near(a: str, b: str) -> bool:
    if not (re.fullmatch(NUMBER, a) and re.fullmatch(NUMBER, b)):
        return False
    x, y = (float(t.replace(",", "").replace("_", "")) for t in (a, b))
    return math.isclose(x, y, rel_tol=0.1)  # digits are predicted to about one in ten


def test_blocks_that_are_not_run_are_few():
    """One more is a decision: change the number."""
    kept = [(name(b.page), b.line, b.note) for page in PAGES for b in blocks(page) if b.note.startswith("not run")]
    assert len(kept) == 7, kept


def test_five_lines_begin_the_readme():
    first = next(block.body for block in blocks(ROOT / "README.md") if block.kind == "python")
    assert len([line for line in first.splitlines() if line]) <= 5


def test_every_public_name_has_one_place_in_the_reference():
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    places = re.findall(r"^::: streamreg\.(\w+)$", text, re.MULTILINE)
    assert sorted(places) == sorted(set(sr.__all__) - {"__version__"})


@pytest.mark.parametrize("page", PAGES[:2], ids=name)
def test_links_of_pages_outside_the_site_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in link or (ROOT / link).exists(), link


def test_every_room_is_on_the_map():
    rooms = {path.parent.name for path in Path(sr.__file__).parent.glob("*/__init__.py")}
    first_column = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {name for cell in first_column for name in re.findall(r"`(\w+)/`", cell)} == rooms
