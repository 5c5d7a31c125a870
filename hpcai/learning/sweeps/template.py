"""Placeholders: ``{name}`` in the values of a configuration or the words of a command stands for a parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")
_LEFT_OUT: Final = object()


def names(template: Any) -> set[str]:
    """Return the names of all placeholders in nested mappings, lists and text."""
    if isinstance(template, str):
        return set(_PLACEHOLDER.findall(template))
    if isinstance(template, Mapping):
        return set().union(*(names(value) for value in template.values()))
    if isinstance(template, (list, tuple)):
        return set().union(*(names(value) for value in template))
    return set()


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return ``template`` with its placeholders filled in.

    Text that is one placeholder and nothing else becomes the value itself, a number as a number. A key or an item
    whose placeholder has no value is left out.
    """
    filled = _fill(template, values)
    return None if filled is _LEFT_OUT else filled


def _fill(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        if whole := _PLACEHOLDER.fullmatch(template):
            return values.get(whole[1], _LEFT_OUT)
        if names(template) - values.keys():
            return _LEFT_OUT
        return _PLACEHOLDER.sub(lambda found: as_text(values[found[1]]), template)
    if isinstance(template, Mapping):
        filled = {key: _fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not _LEFT_OUT}
    if isinstance(template, (list, tuple)):
        return [item for item in (_fill(item, values) for item in template) if item is not _LEFT_OUT]
    return template


def as_text(value: Any) -> str:
    """Return a value as a word of a command: numbers in full, truth in lower case as in JSON and YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)
