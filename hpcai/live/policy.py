"""A policy as it can be kept on a live cluster, where nobody knows the future."""

from __future__ import annotations

from hpcai.scheduling.policy import Policy


def without_hindsight(policy: Policy) -> dict[str, str]:
    """Return what ``policy`` has to set otherwise so that it reads no run time before a job has ended.

    A policy that learned with run times known reads the requested times instead.
    """
    changed = {}
    if policy.estimate == "actual":
        changed["estimate"] = "requested"
    if policy.predictor == "actual":
        changed["predictor"] = "none"
    return changed
