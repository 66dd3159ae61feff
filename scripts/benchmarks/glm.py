"""Logistic, Poisson and gamma fits beside scikit-learn and glum, each at its fastest: time, distance, memory."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import record

FAMILIES = ("binomial", "poisson", "gamma")
SHARED = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
path, family = sys.argv[1:3]
"""
MEMORY = """
x, y = np.load(path + "/x.npy"), np.load(path + f"/{family}.npy")
"""
ENDS = """
wall, cpu = time.perf_counter() - wall, sum(os.times()[:2]) - cpu
np.save(path + "/found.npy", coef)
print(wall, cpu, passes)
"""
STREAMREG = """
import streamreg as sr, streamreg.models.glm
from streamreg.families import family as known
known(family)
"""
CLOCK = "wall, cpu = time.perf_counter(), sum(os.times()[:2])\n"
FIT = CLOCK + "fit = sr.Glm(family=family).fit(data)\ncoef, passes = fit.coef, fit.passes\n"
EXACT = CLOCK + "fit = sr.Glm(family=family, tolerance=1e-12).fit(data)\ncoef, passes = fit.coef, fit.passes\n"
EXACT += "np.save(path + '/errors.npy', fit.std_errors)\n"
LINE = CLOCK + "fit = sr.Linear(precision='float64').fit(data)\ncoef, passes = fit.coef, fit.passes\n"
SKLEARN = """
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor
kinds = {"binomial": lambda **o: LogisticRegression(C=np.inf, **o),
         "poisson": lambda **o: PoissonRegressor(alpha=0, **o), "gamma": lambda **o: GammaRegressor(alpha=0, **o)}
"""
GLUM = """
from glum import GeneralizedLinearRegressor
x = np.asfortranarray(x)  # the layout that it asks for
"""
ACTIONS = {
    "streamreg, memory": STREAMREG + MEMORY + "data = (x, y)\n" + FIT,
    "streamreg, file": STREAMREG + "data = sr.open(path + f'/{family}.h5', target='y')\n" + FIT,
    "streamreg, a line, memory": STREAMREG + MEMORY + "data = (x, y)\n" + LINE,
    "newton-cholesky": SKLEARN
    + MEMORY
    + CLOCK
    + "coef, passes = kinds[family](solver='newton-cholesky').fit(x, y).coef_.ravel(), 'nan'\n",
    "lbfgs": SKLEARN + MEMORY + CLOCK + "coef, passes = kinds[family](solver='lbfgs').fit(x, y).coef_.ravel(), 'nan'\n",
    "glum": MEMORY
    + GLUM
    + CLOCK
    + "link = 'logit' if family == 'binomial' else 'log'\n"
    + "coef, passes = GeneralizedLinearRegressor(family=family, link=link, alpha=0).fit(x, y).coef_, 'nan'\n",
}
"""What runs in a fresh process. Imports and loading come before the clock; iterations are left to each."""

MAXIMUM = STREAMREG + "data = sr.open(path + f'/{family}.h5', target='y')\n" + EXACT
"""As near to the maximum as float64 goes."""


def written(folder: Path, rows: int, columns: int) -> None:
    """Write independent normal columns and a target of each family, as npy and as HDF5 in chunks."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns))
    eta = x @ (rng.standard_normal(columns) / np.sqrt(columns))
    targets = {
        "binomial": (rng.random(rows) < 1 / (1 + np.exp(-eta))) * 1.0,
        "poisson": rng.poisson(np.exp(eta / 2)) * 1.0,
        "gamma": rng.gamma(2.0, np.exp(eta / 2) / 2) + 1e-300,
    }
    np.save(folder / "x.npy", x)
    for name, y in targets.items():
        np.save(folder / f"{name}.npy", y)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("X", data=x, chunks=(min(8192, rows), columns))
            file["y"] = y


def once(label: str, folder: Path, family: str) -> tuple[float, float, float, float, np.ndarray]:
    """Run an action in a fresh process: seconds, processor seconds, passes, peak MB, and the coefficients."""
    command = [sys.executable, "-c", SHARED + (ACTIONS.get(label) or MAXIMUM) + ENDS, str(folder), family]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{label}: ended with {process.returncode}")
    wall, cpu, passes = map(float, output.split())
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return wall, cpu, passes, peak, np.load(folder / "found.npy")


def best(label: str, folder: Path, family: str, repeats: int) -> tuple[float, float, float, float, np.ndarray]:
    """Return the fastest of some runs; of each peer the faster of one BLAS thread and all of them."""
    found = []
    for _ in range(repeats):
        for threads in ("", "1") if not label.startswith("streamreg") else ("",):
            if threads:
                os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = threads
            found.append(once(label, folder, family))
            os.environ.pop("OMP_NUM_THREADS", None), os.environ.pop("OPENBLAS_NUM_THREADS", None)
    return min(found, key=lambda one: one[0])


def run(arguments: argparse.Namespace) -> None:
    # This process stays small: on Linux the peak of a new one begins at the size of the one that started it.
    folder = Path(arguments.folder).resolve() / f"glm-{arguments.rows}-{arguments.columns}"
    if not (folder / "gamma.h5").exists():
        code = f"import glm, pathlib; glm.written(pathlib.Path({str(folder)!r}), {arguments.rows}, {arguments.columns})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    body = []
    for family in arguments.family:
        exact = once("the maximum", folder, family)[-1]
        errors = np.load(folder / "errors.npy")
        figures[family] = {}
        for label in ACTIONS:
            began = time.perf_counter()
            wall, cpu, passes, peak, coef = best(label, folder, family, arguments.repeats)
            away = float(np.abs((coef - exact) / errors).max())
            away = away if "line" not in label else float("nan")
            figures[family][label] = {"s": wall, "cpu": cpu, "passes": passes, "mb": peak, "away": away}
            print(f"{family}, {label}: {wall:.2f} s ({time.perf_counter() - began:.0f} s in all)", flush=True)
        ours = figures[family]["streamreg, memory"]["s"]
        for label, one in figures[family].items():
            shown = [f"{one['s']:.2f}", f"{one['cpu']:.2f}", f"{ours / one['s']:.2f}", f"{one['away']:.1g}"]
            body.append([f"{family}, {label}", *shown, f"{one['passes']:.0f}", f"{one['mb']:.0f}"])
    header = ["fit", "s", "processor s", "streamreg (memory) / it", "SE from the maximum", "passes", "peak MB"]
    print(f"\n{record.table(header, body)}\n")
    print(f"written to {record.keep('glm', figures)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000, help="300000 is a quick run")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
