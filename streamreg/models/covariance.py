"""Which standard errors are asked for, as a model's option says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from streamreg.errors import UsageError

Kind: TypeAlias = Literal["HC0", "HC1", "HC2", "HC3"]
Errors: TypeAlias = Kind | dict[Literal["cluster"], str | tuple[str, ...]] | dict[Literal["newey_west"], int]
"""What standard errors may allow for."""

MEMORY = 2**28
"""Bytes of sums of clusters, beyond which they go to temporary files, unless another bound is given."""


def clusters(errors: Any) -> tuple[str, ...]:
    """Return the columns that name clusters."""
    return () if errors == "classical" else Plan.of(errors).keys


@dataclass(frozen=True, slots=True)
class Plan:
    """Which covariance is asked for."""

    kind: str
    keys: tuple[str, ...] = ()
    lags: int = 0

    @classmethod
    def of(cls, errors: Any) -> Self:
        """Read the option.

        Raises
        ------
        UsageError
            It names no kind of errors.
        """
        if errors in ("HC0", "HC1", "HC2", "HC3"):
            return cls(str(errors))
        if isinstance(errors, Mapping) and len(errors) == 1:
            ((kind, value),) = errors.items()
            keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
            if kind == "cluster" and 1 <= len(keys) <= 2 and all(isinstance(key, str) for key in keys):
                return cls("cluster", keys)
            if kind == "newey_west" and isinstance(value, int) and value >= 0:
                return cls("Newey-West", lags=value)
        raise UsageError(
            f"{errors!r} is not a kind of errors; there are 'HC0' to 'HC3', {{'cluster': column}}, "
            "{'cluster': [column, column]} and {'newey_west': lags}"
        )

    def __str__(self) -> str:
        return " ".join([self.kind, ", ".join(self.keys), str(self.lags) if self.kind == "Newey-West" else ""]).strip()

    def spec(self) -> Any:
        """Return the plan as `Linear.errors` has it, in plain values."""
        if self.kind == "cluster":
            return {"cluster": self.keys[0] if len(self.keys) == 1 else list(self.keys)}
        return {"newey_west": self.lags} if self.kind == "Newey-West" else self.kind
