"""Graphs in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpcai.errors import FormatError
from hpcai.records.readers._source import read_text


def load_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file; FormatError, with the line, if there is none."""
    text, _ = read_text(path, "a graph")
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise FormatError(f"{path}: found JSON nested too deep to be a graph") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from error
    except ValueError as error:
        raise FormatError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise FormatError(f"{path}: expected a mapping, found {type(data).__name__}")
    return data
