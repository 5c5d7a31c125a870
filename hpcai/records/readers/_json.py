"""Logs in JSON."""

from __future__ import annotations

import json
from typing import Any

from hpcai.errors import FormatError
from hpcai.records.readers._source import Source


def load_json(source: Source) -> Any:
    """Return what ``source`` holds; FormatError, with the line, if it is not JSON or is cut short."""
    try:
        return json.loads(source.data)
    except RecursionError as error:
        raise FormatError(f"{source.path}: found JSON nested too deep to be a log") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{source.path}: line {error.lineno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{source.path}: not JSON: not UTF-8 text at byte {error.start}") from error
    except ValueError as error:
        raise FormatError(f"{source.path}: not JSON: {error}") from error
