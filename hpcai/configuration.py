"""Configurations as data: read from YAML, checked by pydantic, wrong input told in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from hpcai.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def one_or_many(value: Any) -> Any:
    """Let a single value stand for a list of one."""
    return value if isinstance(value, (list, tuple)) else [value]


def _source(value: Any) -> Any:
    """Let paths, and machines given as a number of processors, pass for text."""
    return str(value) if isinstance(value, (Path, int)) and not isinstance(value, bool) else value


Source = Annotated[str, BeforeValidator(_source)]
"""A file, or what stands for one."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_in(text: str) -> float | None:
    """Return the seconds of a time such as '90s', '20m', '1.5h' or '2d'; None if ``text`` is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smhd])", text.strip())
    return float(match[1]) * _SECONDS[match[2]] if match else None


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises InputError if the file cannot be read, is not YAML, or holds something else than a mapping.
    """
    try:
        data = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping, found {type(data).__name__}")
    return data


def read_weights(path: str | Path) -> dict[str, float]:
    """Return the weights by name that a training wrote. Raises InputError if there are none."""
    try:
        weights = yaml.safe_load(Path(path).read_text("utf-8"))["weights"]
        return {str(name): float(weight) for name, weight in weights.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected 'weights' with numbers by name") from error


def _weights(value: Any) -> Any:
    """Let the file that a training wrote stand for its weights."""
    return read_weights(value) if isinstance(value, (str, Path)) else value


Weights = Annotated[dict[str, float], BeforeValidator(_weights)]
"""Weights by name, or the file that has them."""


def validated(
    model: type[Model], fields: Mapping[str, Any], where: str, expected: Mapping[str, str] | None = None
) -> Model:
    """Return the ``model`` that ``fields`` describe; ``where`` names their origin in errors.

    ``expected`` says in words what a key takes where pydantic would quote a pattern. Raises InputError, one
    line with the key, what was found and what was expected.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise InputError(f"{where}: {_first_problem(error, model, expected or {})}") from error


def _first_problem(error: ValidationError, model: type[BaseModel], expected: Mapping[str, str]) -> str:
    """Say the first thing that pydantic found wrong: key, expectation, what stood there."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, model.model_fields, n=1)
        return f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if first["type"] == "missing":
        return f"{key}: required, not given"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if key in expected:
        return f"{key}: expected {expected[key]}, found {first['input']!r}"
    return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}"
