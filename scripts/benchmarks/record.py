"""Where figures go: a table on standard output, and JSON for the record."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PEERS = (
    "numpy",
    "scipy",
    "statsmodels",
    "scikit-learn",
    "scikit-learn-intelex",
    "h5py",
    "zarr",
    "pyarrow",
    "polars",
    "pyfixest",
    "hdfe-stream",
    "glum",
    "streamreg",
)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; the first column is aligned left."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def keep(name: str, figures: object) -> Path:
    """Write figures with versions and machine to results/bench-NAME.json."""
    path = Path("results") / f"bench-{name}.json"
    path.parent.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "system": platform.system(), "processor": processor()}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"when": when, "versions": versions(), **machine, "figures": figures}, indent=1) + "\n")
    return path


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def into_figures(marker: str, text: str) -> None:
    """Replace what stands between ``<!-- marker -->`` and ``<!-- /marker -->`` in docs/figures.md."""
    path = Path("docs/figures.md")
    whole = path.read_text()
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before, rest = whole.split(begin, 1)
    _, after = rest.split(end, 1)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
