"""The JSON schema of job files, by which editors check and complete them."""

from typing import Annotated, Any

from pydantic import TypeAdapter

from streamreg.jobs.job import Written
from streamreg.models.flat import Option, options_of
from streamreg.models.registry import KINDS

_SHORT = {"Pair": "fits", "Scoring": "fits"}
"""Sections that may be written as one of their values alone."""

_NAMES = {"items": {"type": "string"}, "type": "array"}


def schema() -> dict[str, Any]:
    """Return the JSON schema of job files: every key with its type, and the words of its docstring."""
    found = Written.model_json_schema()
    definitions = found["$defs"]
    for name, key in _SHORT.items():
        whole = definitions[name]
        definitions[name] = {"anyOf": [whole, whole["properties"][key]]}
    found["properties"]["memory"] = {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "2GiB"}
    found["properties"]["fits"]["additionalProperties"] = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(KINDS), "description": "Model."}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": f"#/$defs/{kind}"}} for kind in KINDS
        ],
    }
    for kind in KINDS:
        options = {name: _option(option) for name, option in options_of(kind).items()}
        definitions[kind] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"kind": {"const": kind}, **options},
        }
    title = "Job of streamreg"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": title}


def _option(option: Option) -> dict[str, Any]:
    """Return the schema of an option of a model."""
    field, about = option
    # The None only makes it annotated where the field has nothing beside its type.
    kind: Any = Annotated[field.annotation, *field.metadata, None]
    shown: dict[str, Any] = TypeAdapter(kind).json_schema()
    if _NAMES in (shown, *shown.get("anyOf", ())):  # a single one may stand without brackets
        shown = {"anyOf": [*shown.get("anyOf", [shown]), {"type": "string"}]}
    if about:
        shown["description"] = about
    default = field.get_default(call_default_factory=True)
    if isinstance(default, str | int | float):
        shown["default"] = default
    return shown
