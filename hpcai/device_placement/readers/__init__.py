"""One reader per format of graph; :func:`read_graph` tells the format by the content."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from hpcai.device_placement.graph import OperatorGraph
from hpcai.errors import FormatError, InputError
from hpcai.records.readers._source import head

FORMATS: Final = {  # name, which is that of the reader's module, to what it is; guessed in this order
    "native": "own JSON",
    "pipedream": "PipeDream profile (graph.txt)",
    "dnn_partitioning": "JSON of dnn-partitioning",
    "onnx": "ONNX",
}


def read_graph(path: str | Path, **options: Any) -> OperatorGraph:
    """Return the graph of operators in a file, whatever its format.

    Args:
        path: the file.
        options: what the format's reader takes besides, such as ``device=`` or ``training=``.

    Raises:
        InputError: the file cannot be read, is in none of :data:`FORMATS`, is not a graph of operators (a cycle, a
            missing, negative or undefined cost, two operators of a name, an edge to none), or the format does not take
            an option.
    """
    path = Path(path)
    start = head(path)
    for name in FORMATS:
        reader = import_module(f"hpcai.device_placement.readers.{name}")
        if reader.matches(start):
            _check_options(path, name, reader.read, options)
            graph: OperatorGraph = reader.read(path, **options)
            return graph
    if not start.strip():
        raise FormatError(f"{path}: the file is empty, expected a graph of operators")
    if start.startswith(b"PK\x03\x04"):
        raise FormatError(
            f"{path}: found a zip archive; PyTorch's are not read, since they hold pickles: export the module to ONNX, "
            "or give it to read_module of hpcai.device_placement.readers.torch_module"
        )
    first = start[:4096].decode("utf-8", "backslashreplace").strip().split("\n")[0]
    raise FormatError(f"{path}: found {first[:60]!r}, expected a graph of operators: {', '.join(FORMATS.values())}")


def _check_options(path: Path, name: str, read: Any, options: dict[str, Any]) -> None:
    known = [option for option in inspect.signature(read).parameters if option != "path"]
    for option in options:
        if option not in known:
            raise InputError(f"{path}: option {option!r} is not one of format {name} (it takes: {', '.join(known)})")
