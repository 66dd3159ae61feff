"""YAML files, read so that every value knows its line.

Plain data only: no tags that make objects. Words and numbers are those of YAML 1.2, so `no`, `on` and `2020-01-01` are
texts and `1e-5` is a number.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamreg.errors import ConfigError, nearest


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as the library has it

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:  # the library's own, for !!int abc or 5000 digits
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(None, None, f"this is no {kind} that can be read", node.start_mark) from error


_WORDS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    "merge": (r"<<", ["<"]),
    "float": (r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", list("-+.0123456789")),
}
for _type, (_pattern, _first) in _WORDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says, and where it says it."""

    path: Path
    values: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]

    def where(self, path: tuple[str | int, ...]) -> str:
        """Return the place of the value at `path`, or of what would hold it: ``"job.yaml, line 7"``."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.path}, line {self.lines[path]}"


def read(path: Path) -> Document:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    ConfigError
        No such file, not YAML, not a mapping, or a key that stands twice; says the line.
    """
    if path.is_dir():
        inside = ", ".join(sorted(p.name for p in path.glob("*.y*ml"))[:8])
        raise ConfigError(f"{path}: is a folder; name one job file" + f" in it: {inside}" * bool(inside))
    if not path.is_file():
        others = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file{nearest(path.name, others)}")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}, line 1: a job is a mapping that begins with 'data:' and 'fits:'")
        lines: dict[tuple[str | int, ...], int] = {(): node.start_mark.line + 1}
        _locate(node, (), lines, path, set())
        return Document(path, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{place}: not readable as YAML ({error.problem}); check indentation and quotes"
        ) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line}: not readable as YAML ({error.reason}); save it as UTF-8 text"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not readable as YAML ({error})") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply; a job has few levels") from None


def _locate(
    node: yaml.Node,
    path: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    file: Path,
    seen: set[int],
) -> None:
    """Note the line of every value below `node`; refuse keys that stand twice."""
    if id(node) in seen:  # an alias: its lines were noted where it was written out
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[*path, i] = item.start_mark.line + 1
            _locate(item, (*path, i), lines, file, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name, line = key.value, key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{file}, line {line}: a key must be a plain word")
            if (*path, name) in lines:
                first = lines[*path, name]
                raise ConfigError(f"{file}, line {line}: {name!r} stands here and on line {first}; keep one of them")
            lines[*path, name] = line
            _locate(value, (*path, name), lines, file, seen)
