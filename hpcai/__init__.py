"""hpcai: replay recorded logs of a GPU cluster, compare and learn policies, prove them, export them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcai.cluster.spec import Machine, load_machine
    from hpcai.evaluation.evaluate import evaluate
    from hpcai.learning.sweeps.sweep import sweep
    from hpcai.records import Trace, generate, infer_machine, read_trace, write_trace
    from hpcai.scheduling.jobs import replayable
    from hpcai.scheduling.policy import Policy
    from hpcai.simulation import Schedule, replay

__version__ = "0.1.0"

_HOME = {
    "Machine": "cluster.spec",
    "Policy": "scheduling.policy",
    "Schedule": "simulation",
    "Trace": "records",
    "evaluate": "evaluation.evaluate",
    "generate": "records",
    "infer_machine": "records",
    "load_machine": "cluster.spec",
    "read_trace": "records",
    "replay": "simulation",
    "replayable": "scheduling.jobs",
    "sweep": "learning.sweeps.sweep",
    "write_trace": "records",
}

__all__ = [
    "Machine",
    "Policy",
    "Schedule",
    "Trace",
    "evaluate",
    "generate",
    "infer_machine",
    "load_machine",
    "read_trace",
    "replay",
    "replayable",
    "sweep",
    "write_trace",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: pandas and Numba take longer to load than a command line may."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
