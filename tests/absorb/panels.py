"""Rows of several factors, and their answers from outside."""

from fractions import Fraction

import numpy as np
import pandas as pd

import streamreg as sr
from streamreg.sources.base import Source

FEATURES = ("a", "b", "c")


def panel(n: int = 4000, seed: int = 0, levels: tuple[int, ...] = (300, 40, 12)) -> pd.DataFrame:
    """Return features that differ between levels, factors f0, f1, ..., clusters, weights, and a target."""
    random = np.random.default_rng(seed)
    codes = [random.integers(0, k, n) for k in levels]
    x = random.normal(size=(n, 3)) + 0.4 * random.normal(size=(levels[0], 3))[codes[0]]
    y = x @ [1.0, -2.0, 3.0] + random.normal(size=n) * (1 + np.abs(x[:, 0]))
    for k, code in zip(levels, codes, strict=True):
        y += random.normal(size=k)[code]
    frame = pd.DataFrame(x, columns=list(FEATURES)).assign(y=y)
    for k, code in enumerate(codes):
        frame[f"f{k}"] = code * 7 - 50
    return frame.assign(w=random.random(n) + 0.2, group=random.integers(0, 50, n), above=codes[0] // 10)


def source(frame: pd.DataFrame, weights: str | None = None) -> Source:
    """Return the columns of a frame as they are."""
    return sr.open({name: frame[name].to_numpy() for name in frame}, target="y", weights=weights)


def with_dummies(frame: pd.DataFrame, factors: tuple[str, ...], features: tuple[str, ...] = FEATURES) -> sr.FitResult:
    """Fit with indicator columns written out, all but one level of each factor."""
    parts, names = [frame[list(features)].to_numpy(dtype=float)], list(features)
    for factor in factors:
        levels = np.unique(frame[factor])[1:]
        parts.append((frame[factor].to_numpy()[:, None] == levels).astype(float))
        names += [f"{factor}={level}" for level in levels]
    x = np.column_stack([*parts, frame["y"]])
    return sr.Linear(singular="drop").fit(sr.open(x, columns=[*names, "y"], target="y"))


def exact_slopes(frame: pd.DataFrame, factors: tuple[str, ...], features: tuple[str, ...]) -> list[float]:
    """Return the slopes as the exact solution of the normal equations with indicator columns, in rational numbers."""
    columns = [[Fraction(float(v)) for v in frame[name]] for name in features]
    for k, factor in enumerate(factors):
        for level in np.unique(frame[factor])[int(k > 0) :]:
            columns.append([Fraction(int(v == level)) for v in frame[factor]])
    y = [Fraction(float(v)) for v in frame["y"]]
    rows = [[sum(p * q for p, q in zip(u, v, strict=True)) for v in (*columns, y)] for u in columns]
    for i in range(len(rows)):
        pivot = next((k for k in range(i, len(rows)) if rows[k][i]), None)
        assert pivot is not None, "the reference needs a design of full rank"
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i]:
                rows[k] = [u - rows[k][i] * v for u, v in zip(rows[k], rows[i], strict=True)]
    return [float(rows[k][-1]) for k in range(len(features))]
