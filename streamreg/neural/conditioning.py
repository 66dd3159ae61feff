"""What is done to the features and the target before training, and undone in the estimates.

All of it in float64, but for the product that whitens rows for a training in float32, where that loses nothing.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.gram import subtract
from streamreg.problem import Problem

Float: TypeAlias = NDArray[np.float64]
Kind = Literal["whiten", "standardise", "none"]

_GAIN = 4.0  # of rounding, at most, where rows are whitened in float32
_RANGE = 1e15  # of standard deviations there: what float32 holds, with room
_FLOOR = 16.0 * 2.0**-53  # eigenvalues below p times this, relative to the largest, are rounding


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Affine maps ``z = transform'(x - centre)`` and ``t = (y - target_centre) / target_scale``.

    Whitening is the symmetric one (ZCA): ``transform = D^-1 V L^-1/2 V'`` with D the standard deviations and V, L the
    eigenvectors and eigenvalues of the correlation matrix. It has p columns whatever the rank, each as close to its
    standardised feature as uncorrelated columns can be (Kessy, Lewin & Strimmer 2018, *The American Statistician* 72,
    section 3: ZCA-cor). Directions without variance are mapped to zero.

    Attributes
    ----------
    kind : {"whiten", "standardise", "none"}
    centre : ndarray of shape (p,)
    transform, inverse : ndarray of shape (p, p), or (p,) where it is diagonal
    target_centre, target_scale : float
    rank : int
        Directions that the conditioned features span.
    curvature : float
        Largest eigenvalue of the mean of ``(z, 1)(z, 1)'``: what bounds a learning rate.
    single : ndarray of shape (p, p), optional
        `transform` in float32: only of a whitening that enlarges rounding fourfold at most.
    """

    kind: Kind
    centre: Float
    transform: Float
    inverse: Float
    target_centre: float
    target_scale: float
    rank: int
    curvature: float
    single: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, problem: Problem, kind: Kind, rank: int, scale_target: bool) -> Self:
        """Read the maps off the moments of one scan.

        Parameters
        ----------
        problem : Problem
            Moments about the means, or about zero without intercept.
        kind : {"whiten", "standardise", "none"}
        rank : int
            Directions to keep when whitening.
        scale_target : bool
            Whether the target may be centred and scaled; not for labels and counts.
        """
        p = len(problem.names)
        exponent, weight = problem.exponent[:p], problem.weight
        norm = np.sqrt(np.maximum(np.diag(problem.cross), 0.0))
        scale = np.where(norm[:p] > 0, norm[:p], 1.0)
        gram = problem.cross[:p, :p] / scale[:, None] / scale
        deviation = np.where(norm[:p] > 0, np.ldexp(scale / np.sqrt(weight), exponent), 1.0)
        centre = problem.mean[0][:p] if problem.intercept else np.zeros(p)
        if kind == "none":
            ones = np.ones(p)
            return cls(kind, np.zeros(p), ones, ones, 0.0, 1.0, rank, _raw_curvature(problem, gram, deviation))
        target_centre, target_scale = 0.0, 1.0
        if scale_target:
            target_centre = float(problem.mean[0][p]) if problem.intercept else 0.0
            target_scale = float(np.ldexp(norm[p] / np.sqrt(weight), problem.exponent[p])) or 1.0
        values, vectors = np.linalg.eigh(gram)
        if kind == "standardise":
            live = norm[:p] > 0
            return cls(
                kind,
                centre,
                np.where(live, 1.0 / deviation, 0.0),
                np.where(live, deviation, 0.0),
                target_centre,
                target_scale,
                rank,
                max(float(values[-1]), 1.0),
            )
        keep = np.arange(p) >= p - rank
        keep &= values > _FLOOR * p * values[-1]
        root, vectors = np.sqrt(values[keep]), vectors[:, keep]
        transform = (vectors / root) @ vectors.T / deviation[:, None]
        gentle = _GAIN * np.min(root, initial=np.inf) >= 1.0
        gentle &= bool(np.all((deviation > 1.0 / _RANGE) & (deviation < _RANGE)))
        return cls(
            kind,
            centre,
            transform,
            (vectors * root) @ vectors.T * deviation,
            target_centre,
            target_scale,
            int(np.sum(keep)),
            1.0,
            transform.astype(np.float32) if gentle else None,
        )

    def second_moment(self, problem: Problem) -> Float:
        """Return the mean of ``zz'``, shape (p, p), from the moments of the rows."""
        p = len(problem.names)
        exponent = problem.exponent[:p]
        raw = np.ldexp(problem.cross[:p, :p] / problem.weight, exponent[:, None] + exponent)
        matrix = self.transform if self.transform.ndim == 2 else np.diag(self.transform)
        return np.asarray(matrix.T @ raw @ matrix)

    def features(self, x: NDArray[Any], scratch: Float, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return conditioned features of some rows, shape (m, p); `scratch` holds at least two numbers for each."""
        if self.single is not None and dtype == np.float32:
            narrow: Any = scratch.view(np.float32)[: x.size].reshape(x.shape)
            subtract(x, self.centre, narrow)  # in float64, and rounded as it is written
            return np.asarray(narrow @ self.single)
        rows = scratch[: x.size].reshape(x.shape)
        subtract(x, self.centre, rows)
        if self.transform.ndim == 2:
            out = scratch[x.size : 2 * x.size].reshape(x.shape)
            return np.matmul(rows, self.transform, out=out).astype(dtype)
        rows *= self.transform
        return rows.astype(dtype)

    def target(self, y: NDArray[Any]) -> Float:
        """Return the conditioned target of some rows, shape (m,)."""
        rows = np.empty(y.shape)
        subtract(y, np.asarray(self.target_centre), rows)
        rows /= self.target_scale
        return rows

    def slopes(self, theta: Float) -> Float:
        """Return slopes in the units of the data from those on conditioned features, shape (p,)."""
        return _apply(self.transform, theta) * self.target_scale

    def back(self, coef: Float) -> Float:
        """Return slopes on conditioned features from those in the units of the data, shape (p,)."""
        return _apply(self.inverse, coef / self.target_scale)

    def at_centre(self, bias: float) -> float:
        """Return the fitted value at `centre`, in the units of the target, from the bias of the trained line."""
        return self.target_centre + bias * self.target_scale


def _apply(matrix: Float, vector: Float) -> Float:
    return np.asarray(matrix @ vector if matrix.ndim == 2 else matrix * vector)


def _raw_curvature(problem: Problem, gram: Float, deviation: Float) -> float:
    """Return the largest eigenvalue of the mean of ``(x, 1)(x, 1)'``, or ``xx'`` without intercept."""
    second = gram * np.multiply.outer(deviation, deviation)
    if problem.intercept:
        mean = np.append(problem.mean[0][:-1], 1.0)
        second = np.pad(second, (0, 1)) + np.multiply.outer(mean, mean)
    return float(np.linalg.eigvalsh(second)[-1])
