"""A job file to begin with, made from the columns of a file."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from streamreg.errors import NotFound, UsageError, nearest

_LISTED = 60  # columns that are named


def draft(path: Path, source: Any, target: str, folder: Path) -> str:
    """Return the text of a job that explains a column by all others, with comments on what else it can say.

    Text columns are categories, in a formula. Dates, and what is neither number nor text, are left out.

    Parameters
    ----------
    path : Path
        The file, as the job shall name it.
    source : Source
        The same file, opened.
    target : str
    folder : Path
        Where results go, relative to the folder of the job file.

    Raises
    ------
    NotFound
        The file has no such column.
    UsageError
        No other column can explain it.
    """
    kinds = {name: _kind(dtype) for name, dtype in zip(source.schema.names, source.schema.dtypes, strict=True)}
    if target not in kinds:
        raise NotFound(f"{path}: no column {target!r}{nearest(target, kinds)}")
    used = [name for name, kind in kinds.items() if kind != "other" and name != target]
    if not used:
        raise UsageError(f"{path}: no column is there to explain {target!r} by; name a file that has some")
    others = [name for name, kind in kinds.items() if kind == "other"]
    text = any(kinds[name] == "text" for name in used)
    lines = [
        f"# Explains {target} of {path.name}. Run it:  streamreg run THIS_FILE   (--dry-run says what would be done)",
        "# Keys are explained in docs/reference/jobs.md. To have an editor check and complete them: streamreg schema >",
        "# job.schema.json, and a first line here:  # yaml-language-server: $schema=job.schema.json",
        "",
        "data:",
        "  # A relative path starts from the folder of this file.",
        f"  path: {_quoted(str(path))}",
        "  # The column to explain.",
        f"  target: {_quoted(target)}",
        *_comment(f"There are: {_listed(list(kinds))}"),
        *(
            _comment(
                f"Left out, as they are dates or hold no numbers: {_listed(others)}. In a formula, year(d) is a number."
            )
            if others
            else []
        ),
        '  # where: "year >= 2015"    use the rows of which this is true',
        "  # held_out: 0.2           keep a fifth of the rows out of all fits, to score on",
        "",
        "fits:",
        "  line:",
        "    # Least squares. Others: logistic, glm (counts, rates), penalised (lasso), subsets, constrained, keras.",
        "    kind: linear",
        *_terms(target, used, text),
        "    # What to do with missing values: error, drop, mean or indicator.",
        "    missing: error",
        "    # What the standard errors allow for: classical, HC1, {cluster: column}, ...",
        "    errors: classical",
        "  # Another one, to compare with:",
        "  # short: {kind: linear, features: [...]}",
        "",
        "# compare:",
        "#   - [line, short]",
        "# predictions:",
        "#   - {fit: line, to: predicted.parquet, append: true, interval: prediction}",
        "",
        "output:",
        "  # line.npz, which sr.load and streamreg predict read, and report.json.",
        f"  folder: {_quoted(str(folder))}",
        "",
    ]
    return "\n".join(lines)


def _terms(target: str, used: Sequence[str], text: bool) -> list[str]:
    if text:
        terms = " + ".join(map(_term, used))
        note = "    # What is explained by what; text columns are categories. Also log(x), x * z, poly(x, 3), C(k)."
        return [note, f"    formula: {_quoted(f'{_term(target)} ~ {terms}')}"]
    names = ", ".join(map(_quoted, used))
    return ["    # The columns to explain it by. Without this line: all others.", f"    features: [{names}]"]


def _kind(dtype: Any) -> str:
    kind = getattr(dtype, "kind", "T")
    return "other" if kind in "mMO" else "number" if kind in "fiub" else "text"


def _term(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _quoted(text: str) -> str:
    """Return a text as YAML has it: in quotes, unless it is a plain word."""
    plain = text.replace("_", "a").replace(".", "a").replace("/", "a").replace("-", "a")
    words = ("null", "true", "false", "yes", "no", "on", "off", "n", "y", "nan", "inf")
    if plain.isalnum() and plain.isascii() and text[0].isalpha() and text.lower() not in words:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(names: Sequence[str]) -> str:
    more = f", ... {len(names):,} in all" if len(names) > _LISTED else ""
    return ", ".join(" ".join(name.split()) for name in names[:_LISTED]) + more


def _comment(text: str) -> list[str]:
    return [f"  # {line}" for line in wrap(text, 100)]
