"""Hashes of the results of every model on every storage: what a change that is meant to change no number must keep.

    python tests/golden/golden.py write before.json      # at the commit before
    python tests/golden/golden.py check before.json      # at the commit after: names what differs, exit code 1

The bits depend on the processor and on its BLAS, so the file is made anew for each comparison, on one machine. Once
with each kernel: STREAMREG_KERNEL=portable, STREAMREG_KERNEL=blas, and without.
"""

import dataclasses
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "sources"), str(Path(__file__).parents[2])]

from storages import MAKERS, table  # noqa: E402

import streamreg as sr  # noqa: E402

SKIPPED = ("seconds", "source", "provenance", "data", "target", "model", "geometry", "training")

ROWS = {
    "linear": lambda d: sr.Linear().fit(d),
    "no intercept": lambda d: sr.Linear(intercept=False).fit(d),
    "exact": lambda d: sr.Linear(precision="exact").fit(d),
    "ridge": lambda d: sr.Linear(ridge=3.0).fit(d),
    "powers": lambda d: sr.Linear(features=("x0", "x1"), powers={"x0": 3}).fit(d),
    "HC3": lambda d: sr.Linear(errors="HC3").fit(d),
    "Newey-West": lambda d: sr.Linear(errors={"newey_west": 3}).fit(d),
    "constrained": lambda d: sr.Constrained(restrictions="x0 = x1").fit(d),
    "logistic": lambda d: sr.Logistic(features=("x0", "x1")).fit(labelled(d)),
    "predictions": lambda d: sr.Linear().fit(d).predict(d),
    "score": lambda d: sr.score({"line": sr.Linear().fit(d)}, d),
}

MOMENTS = {
    "linear": lambda m: sr.Linear().fit(m),
    "lasso": lambda m: sr.Penalised(alphas=7).fit(m),
    "ridge path": lambda m: sr.Penalised(alphas=7, l1_ratio=0.0).fit(m),
    "forward": lambda m: sr.Subsets(method="forward").fit(m),
    "best": lambda m: sr.Subsets(features=("x0", "x1", "x2", "x3")).fit(m),
    "wald": lambda m: sr.wald_test(sr.Linear().fit(m), "x0 = x1, x2 = 0"),
    "conditioning": lambda m: sr.Linear().fit(m).conditioning(),
}


def labelled(data: Any) -> Any:
    """Return the rows with a target of zeros and ones."""
    fit = sr.Linear(features=("x0",)).fit(data)
    rows = fit.predict(data)
    x = np.column_stack([np.cos(np.arange(len(rows)) * k) for k in (1.0, 2.0)])
    return sr.open((x, (np.sin(np.arange(len(rows)) ** 2) + 0.3 * x[:, 0] > 0) * 1.0))


def digest(result: Any) -> str:
    """Return a hash of all numbers of a result."""
    if isinstance(result, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest()[:16]
    values = result.to_dict() if hasattr(result, "to_dict") else dataclasses.asdict(result)
    kept = {k: v for k, v in values.items() if k not in SKIPPED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=repr).encode()).hexdigest()[:16]


def hashes() -> dict[str, str]:
    """Return the hash of each result, by storage and model."""
    found: dict[str, str] = {}

    def note(name: str, make: Callable[[], Any]) -> None:
        try:
            found[name] = digest(make())
        except sr.StreamregError as error:
            found[name] = type(error).__name__

    x, y = table("f8")
    for storage, maker in MAKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            data = maker(Path(folder), x, y)
            for model, fit in ROWS.items():
                note(f"{storage}: {model}", lambda fit=fit, data=data: fit(data))
    data = sr.open((x, y))
    for kind, options in {"float64": {}, "exact": {"precision": "exact"}}.items():
        moments = sr.scan(data, **options)
        for model, fit in MOMENTS.items():
            note(f"moments {kind}: {model}", lambda fit=fit, moments=moments: fit(moments))
    folds = sr.scan(data, folds=5)
    note("lasso by folds", lambda: sr.Penalised(alphas=7).cross_validate(folds))
    note("best subset by folds", lambda: sr.Subsets(method="forward").cross_validate(folds))
    keyed = sr.open((np.column_stack([x[:, :4], np.arange(len(y)) % 7]), y))
    note("by group", lambda: sr.fit_by(sr.Linear(), keyed, by="x4").chow())
    note("cluster", lambda: sr.Linear(features=("x0", "x1"), errors={"cluster": "x4"}).fit(keyed))
    blocks = sr.scan(data, blocks=20)
    note("jackknife", lambda: sr.jackknife(sr.Linear(), blocks).std_errors)
    note("bootstrap", lambda: sr.bootstrap(sr.Linear(), blocks, replicates=50).std_errors)
    return found


def main() -> int:
    """Write or check."""
    verb, path = sys.argv[1], Path(sys.argv[2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = hashes()
    if verb == "write":
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} hashes written to {path}")
        return 0
    before = json.loads(path.read_text())
    changed = [name for name in before | found if before.get(name) != found.get(name)]
    print(*changed, f"{len(changed)} of {len(found)} differ", sep="\n")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
