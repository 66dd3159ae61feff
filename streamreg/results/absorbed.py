"""Effects of absorbed factors, as a result holds them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, NotFound, UsageError, nearest, typed
from streamreg.inference.statistics import r_squared
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Effects(Final, Mapping[Any, float]):
    """The effect of each level of a factor: a mapping, and arrays in the order of the levels.

    The mean of the effects over the rows, with their weights, is zero; the constant is the fit's intercept. Where no
    row connects some sets of levels of two factors, effects of different sets cannot be compared.

    Attributes
    ----------
    levels : ndarray of shape (L,)
        Whole numbers, or texts.
    effects : ndarray of shape (L,)
    rows : int64 ndarray of shape (L,)
        Rows of each level.
    """

    KIND: ClassVar[str] = "effects"

    levels: NDArray[Any]
    effects: Float
    rows: Int

    def __post_init__(self) -> None:
        order = np.argsort(self.levels, kind="stable")
        for name in ("levels", "effects", "rows"):
            object.__setattr__(self, name, getattr(self, name)[order])

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.levels.tolist())

    def __getitem__(self, level: Any) -> float:
        if isinstance(level, str) != (self.levels.dtype.kind == "U"):
            raise KeyError(level)
        at = int(np.searchsorted(self.levels, level))
        if at == len(self.levels) or self.levels[at] != level:
            raise KeyError(level)
        return float(self.effects[at])

    def __repr__(self) -> str:
        return f"<Effects of {len(self):,} levels>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a table with a line for each level, or for the first `rows` of them."""
        notes = [f"... and {len(self) - rows:,} more levels"] if rows is not None and rows < len(self) else []
        columns = [
            Column.of("level", self.levels[:rows].tolist()),
            Column.of("effect", self.effects[:rows], lambda v: f"{v:.6g}"),
            Column.of("rows", self.rows[:rows], lambda v: f"{v:,}"),
        ]
        return Table("Effects of an absorbed factor", [("levels", f"{len(self):,}")], columns, notes)

    def _sense(self) -> None:
        if not len(self.levels) == len(self.effects) == len(self.rows):
            raise ValueError("levels, effects and rows are not of one length")


@dataclass(frozen=True, slots=True)
class AbsorbedEffects:
    """Effects of absorbed factors, and what they took.

    Attributes
    ----------
    names : str ndarray of shape (F,)
        The factors.
    sizes : int64 ndarray of shape (F,)
        Levels of each.
    levels, rows : int64 ndarrays of shape (sum of sizes,)
        Levels of all factors, one after the other, each in order; and their rows. Texts are hashes here.
    texts : str ndarray of shape (sum of sizes,)
        The levels of factors of text; empty for others.
    values : ndarray of shape (sum of sizes,)
        Their effects, with mean zero over the rows for each factor.
    df : int
        Degrees of freedom of all effects together, the constant among them.
    exact : bool
        Whether there are no fewer.
    joined : int64 ndarray of shape (F, F)
        For two factors: how many sets of their levels no row connects. On the diagonal the levels.
    tss : float
        Sum of squares of the target less its effects.
    method : str
        How the effects of several factors were found; empty for one.
    products : int
        Products with their matrix that took.
    residual : float
        Greatest residual of their equations, relative to the columns.
    dropped : int
        Rows that were left out, as they were alone in a level.
    """

    names: NDArray[np.str_]
    sizes: Int
    levels: Int
    rows: Int
    texts: NDArray[np.str_]
    values: Float
    df: int
    exact: bool
    joined: Int
    tss: float
    method: str
    products: int
    residual: float
    dropped: int = 0

    def of(self, name: str) -> Effects:
        """Return the effects of one factor.

        Raises
        ------
        NotFound
            No such factor.
        """
        names = self.names.tolist()
        if name not in names:
            raise NotFound(f"no absorbed factor {name!r}{nearest(name, names)}; there are {', '.join(names)}")
        here = self._places(names.index(name))
        levels = self.texts[here] if (self.texts[here] != "").any() else self.levels[here]
        return Effects(levels, self.values[here], self.rows[here])

    def _places(self, f: int) -> slice:
        stop = int(self.sizes[: f + 1].sum())
        return slice(stop - int(self.sizes[f]), stop)

    @property
    def singletons(self) -> Int:
        """Levels with one row, for each factor: their effect is what that row's residual would be."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        return np.asarray(np.add.reduceat(self.rows == 1, starts, dtype=np.int64))

    @property
    def components(self) -> int:
        """Sets of levels, of the two factors with most of them, that no row connects."""
        if len(self.names) == 1:
            return int(self.sizes[0])
        f, g = np.argsort(-self.sizes, kind="stable")[:2]
        return int(self.joined[f, g])

    def df_of(self, factors: tuple[int, ...]) -> int:
        """Return the degrees of freedom of some of the factors, the constant among them: 1 for none."""
        if len(factors) == len(self.names):
            return self.df
        total = 1 if not factors else 0
        for k, f in enumerate(factors):
            total += int(self.sizes[f] - max((self.joined[g, f] for g in factors[:k]), default=0))
        return total

    def at(self, keys: Int, unseen: str, labels: tuple[dict[int, str], ...] = ()) -> Float:
        """Return what the effects add to each row, shape (m,), whose levels are `keys`, shape (m, F).

        `labels` are the names of keys that have one.

        Raises
        ------
        DataError
            A level was not there in fitting, and `unseen` is "error".
        UsageError
            There is no such `unseen`.
        """
        if unseen not in ("error", "reference", "own", "missing"):
            raise UsageError(f"predict: unseen is {unseen!r}; it can be 'error', 'reference', 'own' or 'missing'")
        total = np.zeros(len(keys))
        for f, name in enumerate(self.names.tolist()):
            here = self._places(f)
            levels = self.levels[here]
            at = np.minimum(np.searchsorted(levels, keys[:, f]), len(levels) - 1)
            known = levels[at] == keys[:, f]
            if unseen == "error" and not known.all():
                key = int(keys[int(np.argmin(known)), f])
                level = labels[f].get(key, key) if labels else key
                raise DataError(
                    f"level {level!r} of {name!r} has no effect, as no row of the fit had it; leave such rows out, or "
                    "ask for unseen='missing'"
                )
            total += np.where(known, self.values[here][at], 0.0 if unseen in ("reference", "own") else np.nan)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Return what the effects took, as plain values; for the effects themselves see `of`."""
        each = zip(self.names.tolist(), self.sizes.tolist(), self.singletons.tolist(), strict=True)
        return {
            "factors": {name: {"levels": levels, "singletons": single} for name, levels, single in each},
            "df": self.df,
            "df_exact": self.exact,
            "components": self.components,
            "method": self.method,
            "products": self.products,
            "residual": self.residual,
            "dropped": self.dropped,
        }

    def facts(self, rss: float) -> list[tuple[str, str]]:
        """Return what a table says of the effects."""
        sizes = ", ".join(f"{name} ({size:,} levels)" for name, size in zip(self.names, self.sizes, strict=True))
        sets = self.components if len(self.names) > 1 else 1
        joined = f", {sets:,} connected sets" if sets > 1 else ""
        within = r_squared(self.tss, rss)
        return [
            ("absorbed", sizes),
            ("absorbed df", f"{'' if self.exact else 'at most '}{self.df:,}{joined}"),
            ("R2 within", "-" if np.isnan(within) else f"{within:.6g}"),
        ]

    def notes(self) -> list[str]:
        """Return what else is to be said."""
        single = [(n, s) for n, s in zip(self.names.tolist(), self.singletons.tolist(), strict=True) if s]
        notes = [
            f"{count:,} level{'' if count == 1 else 's'} of {name} {'has' if count == 1 else 'have'} one row; such "
            "rows are kept, and say nothing about the slopes."
            for name, count in single
        ]
        if self.dropped:
            notes.append(f"{self.dropped:,} rows were left out, as they were alone in a level.")
        if "unfinished" in self.method:
            notes.append(
                f"The effects are not exact: after {self.products:,} steps a residual of {self.residual:.0e} is left."
            )
        return notes
