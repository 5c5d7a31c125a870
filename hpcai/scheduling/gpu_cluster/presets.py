"""Schedulers of the field as named disciplines, and disciplines that change some settings of one.

What a discipline costs (restart, grace, storage) belongs to the site and is the same for all, but where the cost is
the scheduler's own point, as with Gandiva's quick switches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.static_order import formula_of
from hpcai.scheduling.placement import POLICIES

ACROSS_LEVELS: Final = 5e9  # half of what is between two levels of las: order within a level stops nobody
_RIGID: Final[dict[str, Any]] = {"elastic": False}
_RUN_TO_END: Final = _RIGID | {"preemption": "none"}
_SUSPENDED: Final = _RIGID | {"preemption": "order", "saves": "all"}  # these schedulers stop jobs by checkpoints

PRESETS: Final[dict[str, dict[str, Any]]] = {
    # First come first served; whoever is first holds up all others of its class and below.
    "fifo": _RUN_TO_END | {"order": "fifo", "queueing": "strict"},
    "sjf": _RUN_TO_END | {"order": "sjf"},
    # Ghodsi et al., Dominant resource fairness (NSDI 2011).
    "drf": _RUN_TO_END | {"order": "drf"},
    # Schrage, A proof of the optimality of the shortest remaining processing time discipline (1968).
    "srtf": _SUSPENDED | {"order": "srtf"},
    # Gu et al., Tiresias (NSDI 2019): few levels of GPU-seconds attained, first come first served within a level.
    "tiresias": _SUSPENDED | {"order": "las", "margin": ACROSS_LEVELS, "tick": 60.0},
    # Xiao et al., Gandiva (OSDI 2018): time slices of a minute, two jobs on a GPU, grown into what is idle.
    "gandiva": _SUSPENDED
    | {
        "order": "round-robin",
        "quantum": 60.0,
        "tick": 60.0,
        "requeue": "back",
        "restart": 1.0,
        "share_gpus": True,
        "elastic": True,
    },
    # Mahajan et al., Themis (NSDI 2020): finish-time fairness, GPUs leased for 20 minutes.
    "themis": _SUSPENDED | {"order": "themis", "quantum": 1200.0, "tick": 300.0},
    # Slurm with priority/multifactor and preempt/qos in mode REQUEUE.
    "slurm-preempt": _RIGID
    | {"order": "multifactor", "preemption": "class", "victims": "lowest-priority", "tick": 60.0, "patience": 86400.0},
    # kube-scheduler: by priority, then age; LeastAllocated is its default, no reservation for who does not fit.
    "kubernetes": _RIGID | {"order": "fifo", "placement": "spread", "preemption": "class", "requeue": "back"},
    "kubernetes-most": _RIGID | {"order": "fifo", "placement": "pack", "preemption": "class", "requeue": "back"},
    # Kueue with BestEffortFIFO and reclaimWithinCohort; the quotas are the site's.
    "kueue": _RIGID | {"order": "fifo", "preemption": "class", "reclaim": True},
}


def discipline_of(fields: Mapping[str, Any], where: str, common: Mapping[str, Any] | None = None) -> Discipline:
    """Return the discipline that ``fields`` describe: those of the preset ``base``, then ``common``, then its own.

    Raises InputError, which names ``where``, if a key, a value or a name is wrong.
    """
    own = dict(fields)
    base = own.pop("base", None)
    if base is not None and base not in PRESETS:
        raise InputError(f"{where}: base {base!r}: expected one of {', '.join(PRESETS)}")
    preset = PRESETS[base] if base is not None else {}
    discipline = validated(Discipline, preset | dict(common or {}) | own, where)
    if discipline.placement not in POLICIES:
        raise InputError(f"{where}: placement {discipline.placement!r}: expected one of {', '.join(POLICIES)}")
    try:
        formula_of(discipline)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return discipline


def preset(name: str, **settings: Any) -> Discipline:
    """Return a named discipline with some settings changed. Raises InputError if there is none of that name."""
    return discipline_of({"base": name, **settings}, f"discipline {name}")
