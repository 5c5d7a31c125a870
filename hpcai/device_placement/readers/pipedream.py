"""Profiles of PipeDream (graph.txt): the layers of a PyTorch model with their measured times.

Source: Narayanan et al., PipeDream: Generalized Pipeline Parallelism for DNN Training, SOSP 2019;
https://github.com/msr-fiddle/pipedream (graph/graph.py writes them, profiler/ measures). A line of a layer is::

    node2 -- Conv2d(3, 64, ...) -- forward_compute_time=1.2, backward_compute_time=3.4, activation_size=..., ...

with milliseconds and bytes, a line of an edge ``node2 -- node3`` after a tab.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.graph import OperatorGraph
from hpcai.errors import InputError
from hpcai.records.readers._source import read_text, stem

_KINDS: Final = {  # layer of PyTorch to the class of operator
    "Conv2d": "conv",
    "Linear": "matmul",
    "Classifier": "matmul",
    "LSTM": "recurrent",
    "EmuBidirLSTM": "recurrent",
    "RecurrentAttention": "recurrent",
    "BatchNorm2d": "normalization",
    "ReLU": "elementwise",
    "Dropout": "elementwise",
    "Add": "elementwise",
    "MaxPool2d": "pool",
    "AvgPool2d": "pool",
    "Embedding": "embedding",
    "Concat": "copy",
    "View": "view",
    "Size": "view",
    "__getitem__": "view",
    "hidden": "view",
    "Input": "input",
}
_FIELDS: Final = ("forward_compute_time", "backward_compute_time", "activation_size", "parameter_size")
_FIELD: Final = re.compile(r"(\w+)=(\[[^\]]*\]|[^,\s]+)")


def matches(head: bytes) -> bool:
    """Whether a line has the times of a layer as PipeDream writes them."""
    return b" -- forward_compute_time=" in head


def read(path: Path, *, device: str = "V100", training: bool = True, loading: bool = False) -> OperatorGraph:
    """Return the graph in a profile.

    The times are those of one kind of device. The profiles that PipeDream publishes do not say which; the paper
    measures on V100 with 16 GB, in single precision.

    Args:
        path: the profile.
        device: the kind of device that it was measured on.
        training: whether to take the backward times; without, the graph is of inference.
        loading: whether the input's time, that of loading a batch on the host, counts as time of its operator.

    Raises:
        InputError: path and line, if it cannot be read or is no profile; see ``assemble``.
    """
    text, _ = read_text(path, "a profile of PipeDream")
    rows, edges = [], []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.strip().split(" -- ")
        if line.startswith("\t") and len(parts) == 2:
            edges.append((parts[0], parts[1]))
        elif len(parts) == 3:
            rows.append(_row(f"{path}: line {number}", parts, training, loading))
        elif line.strip():
            raise InputError(f"{path}: line {number}: expected a layer or an edge of PipeDream, found {line[:60]!r}")
    return assemble(str(path), stem(path).removesuffix(".graph"), [device], rows, edges)


def _row(where: str, parts: list[str], training: bool, loading: bool) -> Row:
    name, layer, fields = parts
    given = dict(_FIELD.findall(fields))
    if missing := [field for field in _FIELDS if field not in given]:
        raise InputError(f"{where}: {name}: {missing[0]}: required, not given")
    forward, backward, output, weights = (_number(where, field, given[field]) for field in _FIELDS)
    kind = kind_of(layer)
    in_place = kind == "view" or "inplace" in layer  # keeps nothing beside what its input keeps
    return Row(
        name,
        kind,
        forward=[0.0 if kind == "input" and not loading else forward / 1000],
        backward=[backward / 1000 if training else 0.0],
        weights=weights,
        activations=0.0 if in_place else output,
        output=output,
    )


def kind_of(layer: str) -> str:
    """Return the class of operator of a layer such as ``Conv2d(3, 64, ...)``; inputs are numbered: Input0."""
    found = re.match(r"\w+", layer)
    name = found[0] if found else ""
    return _KINDS.get(name) or _KINDS.get(name.rstrip("0123456789"), "unknown")


def _number(where: str, field: str, text: str) -> float:
    """Return a number, or the sum of a list such as ``[6291456.0; 131072.0]`` (a layer with several outputs)."""
    try:
        return sum(float(part) for part in text.strip("[]").split(";"))
    except ValueError as error:
        raise InputError(f"{where}: {field}: expected a number, found {text[:40]!r}") from error
