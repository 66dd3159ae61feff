"""Keras path: distance to the exact fit, seconds and peak memory, and an epoch against a first script.

The peers are ``model.fit(X, y)`` with 32 rows a batch, as in a first script, and with 1,024, which takes a tenth of the
time, on the same rows in memory, timed on a share of them and scaled up. What an epoch costs beyond its steps is seen
from the same steps on one batch that lies in memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import record

import streamreg as sr

CASES = [
    ("independent columns", 0.0, {}),
    ("AR(0.95) columns", 0.95, {}),
    ("AR(0.999) columns", 0.999, {}),
    ("independent, standardise", 0.0, {"conditioning": "standardise", "tolerance": 0.005}),
    ("independent, precision float64", 0.0, {"precision": "float64", "tolerance": 1e-6}),
]

MEASURE = """
import json, resource, sys, time
import streamreg as sr
from streamreg.backend import load
load()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
bare = peak()
path, options = sys.argv[1], json.loads(sys.argv[2])
began = time.perf_counter()
fit = sr.Keras(**options).fit(sr.open(path, target="y"), progress=False)
seconds, top = time.perf_counter() - began, peak()
exact = sr.Linear().fit(sr.open(path, target="y"), progress=False)
found = sr.compare(exact, fit, tolerance=0.01)
print(json.dumps({"status": fit.status, "passes": fit.passes, "seconds": seconds, "distance": found.max_distance,
                  "verdict": found.verdict, "memory": top - bare, "bare": bare}))
"""


def measure(path: Path, options: dict[str, object]) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, str(path), json.dumps(options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def made(folder: Path, rows: int, correlation: float) -> Path:
    path = folder / f"{rows}-ar{correlation:g}.npy"
    if not path.exists():
        sr.generate(path, rows=rows, columns=100, correlation=correlation)
    return path


PEERS = {32: 64_000, 1024: 512_000}
"""Batch sizes of Keras's own loop, and how many rows an epoch is timed on."""


def epochs(path: Path, repeats: int) -> dict[str, list[float]]:
    from streamreg.backend import load

    keras = load()
    table = np.load(path)
    x, y = np.ascontiguousarray(table[:, :-1]), table[:, -1].copy()
    del table
    model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for size in PEERS:
        model.fit(x[: 4 * size], y[: 4 * size], batch_size=size, verbose=0)
    data = sr.open((x, y))
    moments = sr.scan(data, progress=False)
    times: dict[str, list[float]] = {**{f"model.fit, {size}": [] for size in PEERS}, "streamreg": []}
    for _ in range(repeats):
        for size, share in PEERS.items():
            began = time.perf_counter()
            model.fit(x[:share], y[:share], batch_size=size, verbose=0)
            times[f"model.fit, {size}"].append((time.perf_counter() - began) * len(x) / min(share, len(x)))
        fit = sr.Keras().fit(data, moments=moments, progress=False)
        times["streamreg"].append(statistics.mean(fit.training["seconds"]))
    return times


NETWORKS = {"a line": (), "100-64-32-1": (64, 32), "100-256-128-1": (256, 128)}


MEMORY = {"from file": 128, "from memory": 2048}  # MB: the default, which 400 MB do not fit in, and enough


def outside(path: Path, hidden: tuple[int, ...], memory_mb: int, repeats: int) -> dict[str, list[float]]:
    """Return seconds of second mini-batch epochs, and of as many steps on one batch in memory."""
    from streamreg import backend
    from streamreg.neural import network
    from streamreg.neural.batches import Batch
    from streamreg.neural.losses import Loss
    from streamreg.neural.trainer import Trainer

    ops = backend.load().ops
    data = sr.open(path, target="y")
    moments = sr.scan(data, progress=False)
    p, n, size = len(moments.names) - 1, data.schema.n_rows, 1024 if hidden else 4096
    spec = sr.Keras(hidden=hidden, epochs=3, batch_size=size, memory_mb=memory_mb)
    model = network.build(spec, p, 0.0) if hidden else network.line(p, True, "float32")
    chosen = network.optimizer("adam" if hidden else "sgd", 1e-3)
    trainer = Trainer(model, Loss("squared_error"), chosen, size, np.dtype("float32"), None if hidden else "gradient")
    random = np.random.default_rng(0)
    batch = Batch(
        tuple(ops.convert_to_tensor(random.normal(size=s).astype("f4")) for s in ((size, p), (size,), (size,)))
    )
    times: dict[str, list[float]] = {"epoch": [], "steps": []}
    for _ in range(repeats):
        fit = spec.fit(data, moments=moments, progress=False)
        times["epoch"].append((fit.history if hidden else fit.training)["seconds"][1])
        trainer.begin()
        began = time.perf_counter()
        for _ in range(-(-n // size)):
            trainer.update(batch, average=not hidden)
        trainer.met()  # waits for a device to be done
        times["steps"].append(time.perf_counter() - began)
    return times


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {}
    body = []
    for rows in arguments.rows:
        for label, correlation, options in CASES if rows == arguments.rows[0] else CASES[:1]:
            found = measure(made(folder, rows, correlation), options)
            figures[f"{label}, {rows}"] = found
            cells = [
                f"{found['distance']:.2g}",
                str(found["passes"]),
                f"{found['seconds']:.1f}",
                f"{found['memory']:.0f}",
            ]
            body.append([f"{label}, {rows:,} rows", *cells])
            print(*body[-1], found["status"], sep=" | ", flush=True)
    header = ["", "SE from the exact fit", "passes", "seconds", "MB above TensorFlow"]
    print(f"\n{record.table(header, body)}\n")
    times = epochs(made(folder, arguments.rows[0], 0.0), arguments.repeats)
    middle = {label: statistics.median(seconds) for label, seconds in times.items()}
    for label, seconds in middle.items():
        print(f"an epoch: {label} {seconds:.2f} s, {seconds / middle['streamreg']:.1f} times streamreg's")
    shares = {}
    for label, hidden in NETWORKS.items():
        for whence, memory in MEMORY.items():
            found = outside(made(folder, arguments.rows[0], 0.0), hidden, memory, arguments.repeats)
            shares[f"{label}, {whence}"] = found
            epoch, steps = (statistics.median(found[k]) for k in ("epoch", "steps"))
            print(f"{label}: an epoch {whence} {epoch:.2f} s, its steps alone {steps:.2f} s, "
                  f"outside them {max(0.0, 1 - steps / epoch):.0%}", flush=True)  # fmt: skip
    print(f"written to {record.keep('training', {'cases': figures, 'epoch_seconds': times, 'outside': shares})}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
