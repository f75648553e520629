"""Profiles: files in profiles/ that hold only what differs from the params.yaml beside that folder.

`parammem profile apply` writes a profile into params.yaml. That file then begins with a line that names the profile,
and what the profile was laid over is kept, so that another profile is laid over the same.

A mapping is laid over a mapping key by key; any other value takes the place of what was there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from parammem.core.plain_yaml import plain_yaml
from parammem.errors import ConfigError

FOLDER = "profiles"
BASE = Path(".cache/params.base.yaml")
"""What the profile in params.yaml was laid over."""
APPLIED = re.compile(r"# Profile (\S+): ")
"""How params.yaml begins when a profile was applied to it."""

INDENT = 2
WIDEST = 10**6
BREAKS = frozenset("\x85\u2028\u2029")
"""Line breaks of Unicode that YAML folds."""


def read_raw(path: Path) -> Any:
    """Return the data of a params file; of a profile, laid over its params.yaml.

    Raises:
        ConfigError: it cannot be read.
    """
    if not is_profile(path):
        return _data(path, _text(path))
    base = _data(path.parent.parent / "params.yaml", base_text(path.parent.parent))
    changes = changes_of(path)
    return laid_over(base, changes) if isinstance(base, dict) else base


def is_profile(path: Path) -> bool:
    """Return whether a file is to be laid over a params.yaml."""
    folder = path.absolute().parent
    return folder.name == FOLDER and (folder.parent / "params.yaml").is_file()


def changes_of(path: Path) -> dict[str, Any]:
    """Return what a profile changes. Raises ConfigError as `read_raw`, also where it holds no settings."""
    found = _data(path, _text(path))
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no settings; write those that differ from params.yaml, section by section")
    return found


def base_text(root: Path) -> str:
    """Return the text that profiles are laid over: params.yaml, or what was there before a profile was applied.

    Raises:
        ConfigError: a profile was applied and that file is gone.
    """
    text = _text(root / "params.yaml")
    applied = APPLIED.match(text)
    if not applied:
        return text
    try:
        return (root / BASE).read_text(encoding="utf-8")
    except OSError:
        raise ConfigError(
            f"params.yaml is the profile {applied[1]}, and {BASE}, which it was laid over, is gone; bring params.yaml "
            "back first: git checkout params.yaml"
        ) from None


def applied_text(root: Path, path: Path) -> str:
    """Return the text of params.yaml after a profile is applied. Raises ConfigError as `read_raw`."""
    try:
        text = written_over(base_text(root), changes_of(path))
    except ValueError as error:
        raise ConfigError(f"{path} cannot be laid over params.yaml: {error}") from None
    return f"# Profile {path.stem}: {path.relative_to(root).as_posix()} laid over what is in {BASE.as_posix()}.\n{text}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no {path}: run from the project's folder, or copy one from there") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; give a params file") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not YAML: {error}; mend it and run again") from error


def _data(path: Path, text: str) -> Any:
    try:
        return plain_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not YAML: {error}; mend it and run again") from error


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it. Neither is changed."""
    out = dict(base)
    for key, value in changes.items():
        below = out.get(key)
        out[key] = laid_over(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return out


def written_over(text: str, changes: Mapping[str, Any]) -> str:
    """Return the YAML text with `changes` laid over it.

    Raises:
        ValueError: the text is no mapping that can be changed in place, e.g. because it uses aliases.
    """
    base = plain_yaml(text)
    if not isinstance(base, dict):
        raise ValueError("it is no mapping of settings")
    wanted = laid_over(base, changes)
    try:
        for path, value in list(_leaves(base, changes)):
            text = _with_value(text, path, value)
        if plain_yaml(text) == wanted:
            return text
    except (yaml.YAMLError, StopIteration, ValueError):
        pass
    raise ValueError("its settings cannot be changed in place; write them without anchors and aliases")


def _leaves(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of every change that is no mapping laid over a mapping."""
    for key, value in changes.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and below:
            for path, inner in _leaves(below, value):
                yield (key, *path), inner
        elif key not in base or value != below:
            yield (key,), value


def _with_value(text: str, path: tuple[str, ...], value: Any) -> str:
    """Return the text with another value at a place of it; the last part of the path may be new."""
    parent: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in path[:-1]:
        parent = next(inner for key, inner in parent.value if key.value == part)
    found = [(key, inner) for key, inner in parent.value if key.value == path[-1]]
    if parent.flow_style:  # short ones are written anew as a whole
        whole = plain_yaml(text[parent.start_mark.index : parent.end_mark.index]) | {path[-1]: value}
        return text[: parent.start_mark.index] + _flow(whole) + text[parent.end_mark.index :]
    column = parent.start_mark.column
    if not found:
        end = _line_end(text, _end(parent))
        return f"{text[:end]}\n{' ' * column}{_flow(path[-1])}:{_value(value, column)}{text[end:]}"
    key, old = found[0]
    written, start = _value(value, column), key.end_mark.index + 1
    if not written.startswith("\n"):
        return text[:start] + written + text[max(start, _end(old)) :]
    end = max(start, _end(old))
    line = _line_end(text, end)
    return text[:start] + text[end:line].rstrip() + written + text[line:]


class _Dumper(yaml.SafeDumper):
    """Writes text with line breaks of Unicode in double quotes: plain ones PyYAML would read as spaces."""


def _as_scalar(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if BREAKS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_scalar)


def _end(node: Any) -> int:
    """Return where the text of a node ends, without the comments and empty lines after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return node.end_mark.index


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _value(value: Any, column: int) -> str:
    """Return a value as it stands after the colon: on the same line, or as a block below it where it holds mappings."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    if not value or not any(isinstance(one, dict | list) for one in inner):
        return f" {_flow(value)}"
    block = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDEST, default_flow_style=False
    )
    return "".join(f"\n{' ' * (column + INDENT)}{line}" for line in block.splitlines())


def _flow(value: Any) -> str:
    """Return one line."""
    said = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDEST, default_flow_style=True)
    return said.removesuffix("\n").removesuffix("\n...").removesuffix("...\n").rstrip()
