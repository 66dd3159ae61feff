"""The models: one line each. The package's public names, job files and the command line read it.

Nothing is imported until it is used, and this module imports nothing but the standard library's loader.
"""

from importlib import import_module

TYPE_CHECKING = False  # as in the package itself, which reads these names when it is imported

if TYPE_CHECKING:
    from typing import Any

KINDS = {
    "linear": "streamreg.models.linear:Linear",
    "logistic": "streamreg.models.glm:Logistic",
    "glm": "streamreg.models.glm:Glm",
    "multinomial": "streamreg.models.classes:Multinomial",
    "ordered": "streamreg.models.classes:Ordered",
    "penalised": "streamreg.models.penalised:Penalised",
    "subsets": "streamreg.models.subsets:Subsets",
    "constrained": "streamreg.models.constrained:Constrained",
    "iv": "streamreg.models.instruments:IV",
    "keras": "streamreg.neural.model:Keras",
}
"""Models of the rows, by what job files and the command line call them."""

WRAPPERS = {
    "selected": "streamreg.models.selected:Selected",
    "by_group": "streamreg.models.by_group_spec:ByGroup",
}
"""Models that do something of their own with another one."""


def model(kind: str) -> "type[Any]":
    """Import the class of a kind, which must be one of `KINDS` or `WRAPPERS`."""
    module, _, name = (KINDS | WRAPPERS)[kind].partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found


def kind_of(model: "type[Any]") -> str:
    """Return what a class is called in job files."""
    place = f"{model.__module__}:{model.__qualname__}"
    return next((kind for kind, one in KINDS.items() if one == place), model.__name__.lower())


def public() -> "dict[str, str]":
    """Return the module of every model, by the name of its class."""
    places = (place.partition(":") for place in (KINDS | WRAPPERS).values())
    return {name: module for module, _, name in places}
