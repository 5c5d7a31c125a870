"""Lists of pods and of nodes without times, as openb has them: what a study of placement alone works on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.errors import FormatError
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

_POD: Final = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
_NODE: Final = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_MIB: Final = 2**20


def read_pods(path: str | Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the pods in a list, and the SHA-256 of the file by name.

    Columns: ``cpu`` and ``gpu`` (thousandths, int64; several GPUs are whole ones), ``memory`` (bytes, int64),
    ``gpu_kind`` (kinds allowed separated by '|', '' for any). Raises InputError if it cannot be read, FormatError if
    it is no list of pods or a row of it is wrong.
    """
    source, bad = load(Path(path)), BadRows()
    data = text_lines(source, bad)
    if not has_columns(data, _POD):
        raise FormatError(f"{path}: expected a list of pods with the columns {', '.join(_POD)}")
    table = read_table(Path(path), data, bad, required=_POD)
    each = np.stack([table.number(name) for name in _POD[1:]])
    if bad.total or np.isnan(each).any() or (each < 0).any() or (each[3] > 1000).any():
        raise FormatError(f"{path}: expected numbers of at least 0, gpu_milli at most 1000, in every row")
    if ((each[2] > 1) & (each[3] < 1000)).any():
        raise FormatError(f"{path}: found a share of several GPUs, expected whole ones (gpu_milli 1000)")
    cpu, memory, gpus, milli = each.astype(np.int64)
    kinds = [str(kind) for kind in table.known("gpu_spec")] if "gpu_spec" in table else [""] * len(cpu)
    return pd.DataFrame({"cpu": cpu, "memory": memory * _MIB, "gpu": gpus * milli, "gpu_kind": kinds}), source.sha256


def read_nodes(path: str | Path) -> tuple[Machine, dict[str, str]]:
    """Return the machine of the nodes in a list, and the SHA-256 of the file by name.

    Nodes keep their order, which decides between places of like cost: a group is a run of like nodes. Raises
    InputError if the list cannot be read, FormatError if it is no list of nodes or a row of it is wrong.
    """
    source, bad = load(Path(path)), BadRows()
    data = text_lines(source, bad)
    if not has_columns(data, _NODE):
        raise FormatError(f"{path}: expected a list of nodes with the columns {', '.join(_NODE)}")
    table = read_table(Path(path), data, bad, required=_NODE)
    cpus, memory, gpus = (table.number(name) for name in _NODE[1:4])
    whole = np.floor(cpus / 1000.0)
    if bad.total or not ((whole > 0) & (memory > 0) & (gpus >= 0)).all():
        raise FormatError(f"{path}: expected CPUs, memory and the number of GPUs of a node in every row")
    rows = zip(whole.astype(int), memory, gpus.astype(int), table.known("model"), strict=True)
    groups = tuple(
        NodeGroup(
            name=f"{kind or 'cpu'}-{i + 1}",
            count=len(list(run)),
            cpus=n_cpus,
            memory_gib=size / 1024,
            gpus=n_gpus,
            gpu_kind=kind if n_gpus else "",
        )
        for i, ((n_cpus, size, n_gpus, kind), run) in enumerate(itertools.groupby(rows))
    )
    return Machine(name=source.name, groups=groups), source.sha256
