"""What to do about missing values: one policy for all columns, or one for each."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from streamreg.errors import UsageError, nearest

Policy = Literal["error", "drop", "mean", "indicator"]
Missing: TypeAlias = Policy | dict[str, Policy]
"""One policy, or one for each column by its name, with ``"*"`` for all others; columns without one: "error"."""

REST = "*"
POLICIES: tuple[str, ...] = get_args(Policy)
FILLING = ("mean", "indicator")
"""Policies that put a number in place of a missing value."""


def policy_of(missing: Missing, name: str) -> Policy:
    """Return the policy of a column."""
    return missing if isinstance(missing, str) else missing.get(name, missing.get(REST, "error"))


def drops(missing: Any) -> bool:
    """Return whether rows may be left out."""
    return missing == "drop" or (isinstance(missing, Mapping) and "drop" in missing.values())


def fills(missing: Any) -> bool:
    """Return whether a number may be put in place of missing values."""
    return missing in FILLING if isinstance(missing, str) else any(missing.get(name) in FILLING for name in missing)


def checked(missing: Any) -> Any:
    """Return policies that there are. Raises `UsageError` if one is none."""
    for word in [missing] if isinstance(missing, str) else missing.values():
        if word not in POLICIES:
            raise UsageError(f"missing is {word!r}; it can be {', '.join(map(repr, POLICIES))}")
    return missing


def require_columns(missing: Missing, names: Iterable[str], label: str) -> None:
    """Raise `UsageError` if a policy is that of a column which is not there."""
    known = tuple(names)
    for name in () if isinstance(missing, str) else missing:
        if name != REST and name not in known:
            raise UsageError(f"{label}, missing: no column {name!r}{nearest(name, known)}")


def unfilled(missing: Missing) -> Missing:
    """Return the policies of columns whose missing values were filled where they could be: others raise."""
    if isinstance(missing, str):
        return {REST: "error"} if missing in FILLING else missing
    return {name: "error" if word in FILLING else word for name, word in missing.items()}
