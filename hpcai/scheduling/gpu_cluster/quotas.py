"""What tenants may have: in all, or of each GPU kind.

A quota is by flavour, as in Kueue. Where quotas are by GPU kind there is a flavour for each kind of the machine, a job
has all its pods of one, the first of those it may have, in the machine's order, that its quota allows and that has
room; flavour 0 is any kind, for who has no quota. Where they are not there is flavour 0 alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.nodes import gpu_kinds

TENANT = np.dtype(
    [
        ("cohort", "i8"),
        ("gpu", "i8"),  # thousandths of GPUs on the books
        ("cpu", "i8"),
        ("memory", "i8"),
        ("usage", "f8"),  # decayed GPU-s up to `since`
        ("since", "f8"),
        ("share", "f8"),
    ],
    align=True,
)
QUOTA = np.dtype(
    [
        ("nominal", "i8"),  # thousandths of GPUs guaranteed
        ("limit", "i8"),  # the most that a tenant may have
        ("used", "i8"),  # on the books, and counted against it
    ],
    align=True,
)
BORROW_ALL: Final = 2**62


def flavours_of(machine: Machine, discipline: Discipline) -> list[str]:
    """Return the GPU kinds behind the flavours, the first of them ''. Raises InputError if a quota names another."""
    kinds = gpu_kinds(machine)
    for name, quota in discipline.quotas.items():
        unknown = sorted(quota.kinds - set(kinds))
        if unknown:
            raise InputError(f"quotas: {name}: no GPU kind {unknown[0]!r}; {machine.name} has {', '.join(kinds)}")
    return ["", *kinds] if discipline.quotas_by_kind else [""]


def flavoured(
    types: NDArray[np.void], machine: Machine, discipline: Discipline
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Return ``types`` (POD) and behind them those for one GPU kind alone, and which type each is of each flavour.

    -1 stands for a kind that a type may not have; pods without GPUs stay what they are.
    """
    kinds = len(flavours_of(machine, discipline)) - 1
    variants, found = [types], np.empty((len(types), kinds + 1), dtype=np.int64)
    found[:, 0] = np.arange(len(types))
    for k in range(kinds):
        own = types.copy()
        own["kinds"] &= 1 << k
        own["weight"] = 0.0
        variants.append(own)
        numbers = np.arange(len(types)) + (k + 1) * len(types)
        found[:, k + 1] = np.where(types["gpu"] == 0, found[:, 0], np.where(own["kinds"] != 0, numbers, -1))
    return np.concatenate(variants), found


def make_quotas(
    names: tuple[str, ...], machine: Machine, discipline: Discipline
) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
    """Return the tenants, TENANT (K,), their quotas, QUOTA (K, F), and the sums of each cohort, QUOTA (C, F)."""
    flavours = flavours_of(machine, discipline)
    own = [discipline.quotas.get(name, discipline.default_quota) for name in names]
    # What is guaranteed to tenants without a job here can be borrowed, too.
    absent = [quota for name, quota in discipline.quotas.items() if name not in names]
    cohorts = list(dict.fromkeys(quota.cohort for quota in (*own, *absent)))
    tenants = np.zeros(len(names), dtype=TENANT)
    tenants["share"] = [discipline.shares.get(name, 1.0) for name in names]
    tenants["cohort"] = [cohorts.index(quota.cohort) for quota in own]
    quotas = np.zeros((len(names), len(flavours)), dtype=QUOTA)
    sums = np.zeros((max(len(cohorts), 1), len(flavours)), dtype=QUOTA)
    for f, kind in enumerate(flavours):
        for k, quota in enumerate(own):
            quotas[k, f]["nominal"], quotas[k, f]["limit"] = _bounds(quota, kind)
        for quota in (*own, *absent):
            sums[cohorts.index(quota.cohort), f]["nominal"] += _bounds(quota, kind)[0]
    return tenants, quotas, sums


def _bounds(quota: Quota, kind: str) -> tuple[int, int]:
    """Return what is guaranteed of a GPU kind and the most that there may be, in thousandths of GPUs."""
    gpus, borrow = quota.of(kind)
    return round(gpus * MILLI), BORROW_ALL if np.isinf(borrow) else round((gpus + borrow) * MILLI)
