"""A graphics card beside the processors: fits of the same files, and an epoch of training.

It runs on whatever library Keras does (KERAS_BACKEND=tensorflow, jax or torch). Double precision is what counts here,
and few cards are fast at it.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
import record
from speed import interleaved, made

import streamreg as sr


def apart(one: sr.FitResult, other: sr.FitResult) -> float:
    """Return the largest difference of two fits, as a share of what their promised digits allow."""
    digits = np.minimum(one.digits, other.digits)
    return float(np.max(np.abs(one.coef - other.coef) / (np.abs(other.coef) * 10.0**-digits)))


def run(arguments: argparse.Namespace) -> None:
    from streamreg import backend

    folder, device = Path(arguments.folder), arguments.device
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Keras on {backend.name()}, which sees {', '.join(backend.devices())}\n")
    figures: dict[str, object] = {"library": backend.name(), "devices": backend.devices()}
    body = []
    for columns in arguments.columns:
        rows = max(10_000, arguments.rows * 100 // columns)
        for dtype in ("float64", "float32"):
            data = sr.open(made(folder, f"{dtype}.npy", rows, columns, dtype=dtype), target="y")
            models = {
                "processors": sr.Linear(precision="float64"),
                "device": sr.Linear(precision="float64", device=device),
            }
            actions = {name: (lambda m=model, d=data: m.fit(d, progress=False)) for name, model in models.items()}
            times = interleaved(actions, arguments.repeats)
            here, there = (statistics.median(times[name]) for name in models)
            used = apart(*(model.fit(data, progress=False) for model in models.values()))
            figures[f"{columns} columns, {dtype}"] = times | {"share of the promised error": used}
            body.append(
                [f"{rows:,} x {columns} {dtype}", f"{here:.2f}", f"{there:.2f}", f"{there / here:.2f}", f"{used:.2g}"]
            )
            print(*body[-1], sep=" | ", flush=True)
    header = ["fit of a .npy file", "processors, s", f"{device}, s", "ratio", "difference / promised error"]
    print(f"\n{record.table(header, body)}\n")
    data = sr.open(made(folder, "float32.npy", arguments.rows, dtype="float32"), target="y")
    epochs = {}
    for where in ("cpu", device):
        for name, options in {"line": {}, "network 256-256": {"hidden": (256, 256), "epochs": 3}}.items():
            fit = sr.Keras(device=where, **options).fit(data, progress=False)
            curves = fit.training if name == "line" else fit.history
            epochs[f"{name}, {where}"] = statistics.median(curves["seconds"][1:])
            print(f"an epoch of a {name} on {where}: {epochs[f'{name}, {where}']:.2f} s", flush=True)
    print(f"written to {record.keep('device', figures | {'epoch_seconds': epochs})}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="gpu", help="gpu, gpu:1, ...")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of 100 columns; fewer of more columns")
    parser.add_argument("--columns", type=int, nargs="+", default=[100, 400, 1600])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
