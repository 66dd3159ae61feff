"""For the reference: types and defaults of parameters as they stand in docstring and code.

The parser of docstrings takes ``{"minimum-norm", "drop"}`` for an expression, the first choice for the default, and the
default of the first name for that of all names in a line.
"""

import ast
import re
from typing import Any

import griffe

_ITEM = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*) : (?P<type>.+)$", re.MULTILINE)


class AsWritten(griffe.Extension):
    """Put types and defaults right."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Go through all objects of a package that was loaded."""
        self._walk(pkg)

    def _walk(self, found: griffe.Object) -> None:
        if found.docstring:
            self._correct(found, found.docstring)
        for member in found.members.values():
            if isinstance(member, griffe.Object):
                self._walk(member)

    def _correct(self, found: griffe.Object, docstring: griffe.Docstring) -> None:
        types = {
            name: item["type"].removesuffix(", optional")
            for item in _ITEM.finditer(docstring.value)
            for name in item["names"].split(", ")
        }
        for section in docstring.parsed:
            if section.kind not in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
                continue
            for item in section.value:
                item.annotation = types.get(item.name)
                if section.kind is griffe.DocstringSectionKind.parameters:
                    item.value = _default(found, item.name)


def _default(found: griffe.Object, name: str) -> str | None:
    """Return the default of a function's parameter, or of a model's field."""
    if isinstance(found, griffe.Function):
        value = next((p.default for p in found.parameters if p.name == name.lstrip("*")), None)
    else:
        value = getattr(found.all_members.get(name), "value", None)
    if value is None:
        return None
    code = ast.parse(str(value), mode="eval").body
    if isinstance(code, ast.Call):  # Field(default=1, ...), or Field(default_factory=dict)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in code.keywords}
        return options.get("default", {"dict": "{}"}.get(options.get("default_factory", "")))
    if isinstance(code, ast.Name):  # a constant, such as MEMORY
        return str(getattr(found.modules_collection[found.resolve(code.id)], "value", value))
    return str(value)
