"""Compiling before the first cycle, which would otherwise go by the order of creation for want of an answer in time."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import numpy as np

from hpcai.live.guards import UnlikeTrainingError
from hpcai.live.kubernetes.cluster_state import live_state
from hpcai.live.kubernetes.jobs import queue_of
from hpcai.live.kubernetes.learned import Learned
from hpcai.live.kubernetes.objects import Keys, node_of, pod_of
from hpcai.live.kubernetes.view import ClusterView
from hpcai.live.state import LiveState, Ranker

_NODE: Final = {
    "metadata": {"name": "n"},
    "status": {"allocatable": {"cpu": "8", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "4"}},
}

_log = logging.getLogger(__name__)


def warm_up(ranker: Ranker) -> None:
    """Ask a ranker once about a cluster of one node; an error is logged, for real queues may yet fare better."""
    begun = time.perf_counter()
    try:
        ranker.rank(_one_node())
    except UnlikeTrainingError:  # no matter: it was asked
        pass
    except Exception as error:  # whatever a policy does wrong
        _log.warning("the policy failed on a queue of two pods: %s: %s", type(error).__name__, error)
    _log.info("the policy was ready after %.1f s", time.perf_counter() - begun)


def warm_up_learned(learned: Learned) -> None:
    """Ask what the extender goes by once about a cluster of one node; an error is logged."""
    begun, view = time.perf_counter(), ClusterView(Keys())
    view.replace_nodes([_NODE])
    view.replace_pods([_pod("a", "n")])
    pod = pod_of(_pod("b", ""), view.keys)
    try:
        if learned.placement is not None:
            learned.placement.costs(view, pod, np.ones(1, dtype=bool))
        if learned.preemption is not None:
            learned.preemption.costs(view, pod, {"n": ["a"]})
    except Exception as error:  # whatever a policy does wrong
        _log.warning("a policy failed on a cluster of one node: %s: %s", type(error).__name__, error)
    _log.info("the policies were ready after %.1f s", time.perf_counter() - begun)


def _one_node() -> LiveState:
    keys, now = Keys(), time.time()
    node = node_of(_NODE)
    pods = [pod_of(_pod(name, place), keys) for name, place in (("a", "n"), ("b", ""), ("c", ""))]
    jobs = queue_of(pods[1:], pods[:1]).jobs
    return live_state(jobs, pods[:1], [node], keys, now, 3600.0)


def _pod(name: str, node: str) -> dict[str, Any]:
    resources = {"requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"resources": resources}], "nodeName": node},
    }
