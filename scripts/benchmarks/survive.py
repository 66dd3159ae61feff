"""Kill processes at random moments, let them go on, and compare the bits; and what checkpoints cost."""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import record

PRELOAD = ["streamreg.jobs.run", "streamreg.models.glm", "streamreg.models.robust", "streamreg.scans.scan"]

JOB = """\
data: {path: table.npy, target: x20}
fits:
  robust: {kind: linear, errors: HC1}
  counts: {kind: glm, family: binomial, target: x19}
output: {folder: out}
"""


def work(folder: str, kind: str, kept: str | None, threads: int, pipe: Any) -> None:
    """Do the work of one process, and send its numbers, in hexadecimal; first say that it begins."""
    import streamreg as sr
    from streamreg import jobs
    from streamreg.scans import checkpoint

    checkpoint.Checkpoint.__init__.__defaults__ = (0.0,)  # often, so that there is something to go on from
    os.chdir(folder)
    if kind == "keras":
        sr.Keras(epochs=1).fit((np.eye(3), np.ones(3)))  # loads the library
    pipe.send("ready")
    data = sr.open("table.npy", target="x20")
    options: dict[str, Any] = {"threads": threads, "checkpoint": kept}
    if kind == "scan":
        fits = [sr.Linear().fit(sr.scan(data, **options))]
    elif kind == "exact":
        fits = [sr.Linear(precision="exact", errors="HC3").fit(data, **options)]
    elif kind == "glm":
        fits = [sr.Glm(family="binomial", target="x19").fit(data, **options)]
    elif kind == "folds":
        fits = [sr.Linear().fit(part) for part in sr.folds(sr.scan(data, folds=10, **options)).values()]
    elif kind == "job":
        made = jobs.run_job("job.yaml", threads=threads, resume=kept is not None)
        assert not made.failures, made.failures
        fits = list(made.fits.values())
    else:
        spec = sr.Keras(epochs=2, batch_size=512, tolerance=1e-12)
        fits = [spec.fit(data, checkpoint=kept, resume=kept is not None, checkpoint_seconds=0.02)]
    numbers = [(fit.intercept, *fit.coef, *(() if kind == "keras" else fit.std_errors)) for fit in fits]
    pipe.send([float(v).hex() for row in numbers for v in row])


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    make(folder, arguments.rows)
    chance = random.Random(arguments.seed)
    kinds = [kind for kind in arguments.kinds if kind != "keras" or find_spec("keras")]
    whole = {kind: finished(folder, kind, None, 2) for kind in kinds}
    same, killed, figures = 0, 0, {kind: {"runs": 0, "killed": 0, "same bits": 0} for kind in kinds}
    for number in range(arguments.kills):
        kind = kinds[number % len(kinds)]
        expected, seconds = whole[kind]
        kept = f"kept-{number}"
        lives = ends(folder, kind, kept, chance, seconds)
        found, _ = finished(folder, kind, kept, chance.choice((1, 2, 3)))
        figures[kind]["runs"] += 1
        figures[kind]["killed"] += lives
        figures[kind]["same bits"] += found == expected
        same, killed = same + (found == expected), killed + lives
        shutil.rmtree(folder / kept, ignore_errors=True)
        print(f"\r{number + 1} of {arguments.kills}: {same} with the same bits, {killed} killed", end="", flush=True)
    body = [[kind, *(str(n) for n in found.values())] for kind, found in figures.items()]
    print("\n\n" + record.table(["SIGKILL, then go on", "runs", "killed", "same bits"], body))
    lost = workers(folder, arguments.workers, chance) if arguments.workers and find_spec("distributed") else {}
    cost = price(folder, arguments.cost_rows, arguments.pairs) if arguments.cost_rows else {}
    print(f"written to {record.keep('survive', {'kills': figures, 'workers': lost, 'cost': cost})}")


def ends(folder: Path, kind: str, kept: str, chance: random.Random, seconds: float) -> int:
    """Kill one process at a random moment of its work; return how many were killed: one, or none if it was faster."""
    process, pipe = start(folder, kind, kept, 2)
    pipe.recv()
    time.sleep(chance.uniform(0.0, seconds))
    process.kill()  # SIGKILL
    process.join()
    return int(process.exitcode == -signal.SIGKILL)


def workers(folder: Path, count: int, chance: random.Random) -> dict[str, int]:
    """Kill one of two Dask workers at a random moment of a scan, and add another; return how often the bits stayed."""
    import streamreg as sr
    from streamreg.engines.dask import local

    data = sr.open(folder / "table.npy", target="x20")

    def scanned(engine: Any) -> dict[str, bytes]:
        state = sr.scan(data, folds=10, engine=engine)
        return {name: array.tobytes() for name, array in state.compact().to_arrays().items()}

    expected, found = scanned(None), {"scans": 0, "workers killed": 0, "workers added": 0, "same bits": 0}
    with local(2) as engine:
        cluster = engine.client.cluster
        began = time.monotonic()
        scanned(engine.client)
        seconds = time.monotonic() - began
        for _ in range(count):
            processes = list(engine.client.run(os.getpid, on_error="ignore").values())
            with ThreadPoolExecutor(1) as pool:
                scan = pool.submit(scanned, engine.client)
                time.sleep(chance.uniform(0.0, seconds))
                under_way = not scan.done()
                os.kill(chance.choice(processes), signal.SIGKILL)
                cluster.scale(len(cluster.workers) + 1)
                same = scan.result() == expected
            found["scans"] += 1
            found["workers killed"] += under_way
            found["workers added"] += under_way
            found["same bits"] += same
            cluster.scale(2)
            engine.client.wait_for_workers(2)
            print(f"\r{found['scans']} of {count}: {found['same bits']} with the same bits", end="", flush=True)
    print("\n\n" + record.table(["10 folds on two Dask workers", "count"], [[k, str(v)] for k, v in found.items()]))
    return found


def finished(folder: Path, kind: str, kept: str | None, threads: int) -> tuple[list[str], float]:
    """Return the numbers of a process that comes to its end, and the seconds of its work."""
    process, pipe = start(folder, kind, kept, threads)
    try:
        pipe.recv()
        began = time.monotonic()
        numbers = pipe.recv()
    except EOFError:
        raise SystemExit(f"{kind}: a process that should come to its end did not") from None
    seconds = time.monotonic() - began
    process.join()
    return numbers, seconds


def start(folder: Path, kind: str, kept: str | None, threads: int) -> tuple[Any, Any]:
    """Start a process; a server that has loaded the modules makes it, so that time goes to the work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(str(folder), kind, kept, threads, there))
    process.start()
    there.close()
    return process, here


def make(folder: Path, rows: int) -> None:
    (folder / "job.yaml").write_text(JOB)
    shutil.rmtree(folder / "out", ignore_errors=True)
    path = folder / "table.npy"
    if path.exists() and len(np.load(path, mmap_mode="r")) == rows:
        return
    rng = np.random.default_rng(1)
    table = rng.normal(size=(rows, 21))
    table[:, 19] = rng.random(rows) < 1 / (1 + np.exp(-table[:, 0]))
    table[:, 20] += table[:, :19].sum(axis=1)
    np.save(path, table)


COST = """
import sys, time
import streamreg as sr
data = sr.open("cost.npy", target="x99")
began, used = time.perf_counter(), time.process_time()
sr.scan(data, checkpoint=sys.argv[1] or None)
print(time.perf_counter() - began, time.process_time() - used)
"""


def price(folder: Path, rows: int, pairs: int) -> dict[str, float]:
    """Return seconds of a scan of `rows` x 100 with and without checkpoints, the least of each, taken in turn.

    Also those of the processors, which other work on the machine does not change.
    """
    path = folder / "cost.npy"
    if not path.exists() or len(np.load(path, mmap_mode="r")) != rows:
        table = np.lib.format.open_memmap(path, "w+", "f8", (rows, 100))
        rng = np.random.default_rng(2)
        for at in range(0, rows, 100_000):
            part = table[at : at + 100_000]
            part[...] = rng.normal(size=part.shape)
        table.flush()
        del table
    found: dict[str, list[list[float]]] = {"": [], "kept": []}
    for _ in range(pairs):
        for kept, seconds in found.items():
            done = subprocess.run(
                [sys.executable, "-c", COST, kept], cwd=folder, capture_output=True, text=True, check=True
            )
            seconds.append([float(word) for word in done.stdout.split()])
    figures: dict[str, float] = {"rows": rows}
    for k, what in enumerate(("seconds", "processor seconds")):
        plain, with_them = (min(each[k] for each in found[kept]) for kept in ("", "kept"))
        more = f"{with_them / plain - 1:+.1%}"
        print(f"\nscan of {rows:,} x 100: {plain:.2f} {what}, with checkpoints {with_them:.2f} ({more})")
        figures |= {what: plain, f"{what} with checkpoints": with_them}
    return figures


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=20, help="scans in which a Dask worker is killed; 0: none")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=["scan", "exact", "glm", "folds", "job", "keras"])
    parser.add_argument("--cost-rows", type=int, default=4_000_000, help="0: leave the cost of checkpoints out")
    parser.add_argument("--pairs", type=int, default=3, help="runs with and without checkpoints")
    parser.add_argument("--folder", default="data/bench-survive", help="where the files are made and kept")
