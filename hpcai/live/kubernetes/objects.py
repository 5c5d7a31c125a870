"""Pods and nodes of a Kubernetes cluster, as far as a scheduler has to know them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from hpcai.records.readers.kubernetes import GPU_MODEL_KEYS, QUEUE_LABEL, effective_requests, gpu_kind, quantity

NOT_UNDERSTOOD: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What the functions here raise when an object is not what Kubernetes describes."""

CHECKPOINT: Final = "hpcai.io/last-checkpoint"
SAVES: Final = "hpcai.io/saves-on-signal"
"""Annotations of a pod: when it last wrote a checkpoint (ISO 8601), and 'true' if it writes one when told to stop."""
SPEED: Final = "hpcai.io/gpu-speed"
"""Label of a node: speed of its GPUs, in any unit that all nodes share."""

_MOST: Final = 2.0**53  # no amount beyond this is meant, nor exact in float64
_FINISHED: Final = ("Succeeded", "Failed")
_JOB_NAMES: Final = ("batch.kubernetes.io/job-name", "job-name")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Keys:
    """Which resources, labels and annotations of a cluster mean what."""

    gpus: tuple[str, ...] = ("nvidia.com/gpu",)  # resources that are counted as GPUs
    gang: str = "scheduling.x-k8s.io/pod-group"  # label: pods that start together
    gang_size: str = "scheduling.x-k8s.io/pod-group-min-member"  # annotation or label: with how many at least
    requested_time: str = "hpcai/requested-time"  # annotation: s, where activeDeadlineSeconds is not set
    user: str = "user"  # label
    domains: tuple[str, ...] = ("topology.kubernetes.io/rack", "topology.kubernetes.io/zone")  # of nodes, nearest first


@dataclass(frozen=True)
class Needs:
    """What a pod asks of its node beside amounts; equal needs are met by the same nodes."""

    selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...] = ()  # any of these; (label, operator, values)
    tolerations: tuple[tuple[str, str, str, str], ...] = ()  # (key, operator, value, effect)


@dataclass(frozen=True)
class Pod:
    """One pod; times are Unix seconds, ``amounts`` as in :func:`amounts_of`."""

    namespace: str
    name: str
    uid: str
    node: str  # '' until it is bound
    amounts: Mapping[str, float]
    gang: str  # namespace/name of the gang, '' without one
    gang_size: int  # pods that it needs to start; 0: not said
    priority: int
    created: float
    started: float  # nan until the kubelet took it
    limit: float  # s it asked for; nan without
    scheduler: str
    finished: bool
    held: bool  # is being deleted, or waits for a scheduling gate
    needs: Needs
    unmet: str  # what it asks for that the queue controller does not know; '' if nothing
    gpu_kind: str
    user: str
    queue: str
    qos: str
    checkpoint: float  # when it last wrote one; nan if it does not say
    saves: bool  # writes a checkpoint when told to stop
    restarts: int  # of the container that restarted most
    daemon: bool  # of a DaemonSet: on every node, whoever works there


@dataclass(frozen=True)
class Node:
    """One node; ``capacity`` is what pods may take of it."""

    name: str
    capacity: Mapping[str, float]
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]  # (key, value, effect) of those that keep pods away
    open: bool  # takes pods
    gpu_kind: str
    gpu_speed: float  # nan if it does not say


def amounts_of(quantities: Mapping[str, float]) -> dict[str, float]:
    """Return whole amounts of each resource, rounded up, CPUs in thousandths.

    Raises ValueError or OverflowError if one is negative or absurd.
    """
    whole = {}
    for name, amount in quantities.items():
        value = math.ceil(amount * 1000 - 1e-6) if name == "cpu" else math.ceil(amount)
        if not 0 <= value <= _MOST:
            raise ValueError(f"{name}: {amount}")
        whole[name] = float(value)
    return whole


def pod_of(item: Object, keys: Keys) -> Pod:
    """Return the pod that an API object describes. Raises one of NOT_UNDERSTOOD."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    namespace = str(meta.get("namespace") or "default")
    gang = labels.get(keys.gang) or next((labels[name] for name in _JOB_NAMES if name in labels), "")
    return Pod(
        namespace=namespace,
        name=str(meta["name"]),
        uid=str(meta.get("uid", "")),
        node=str(spec.get("nodeName") or ""),
        amounts=amounts_of(effective_requests(spec)) | {"pods": 1.0},
        gang=f"{namespace}/{gang}" if gang else "",
        gang_size=_count(notes.get(keys.gang_size) or labels.get(keys.gang_size)),
        priority=int(spec.get("priority") or 0),
        created=unix_time(meta.get("creationTimestamp")),
        started=unix_time(status.get("startTime")),
        limit=_limit(spec.get("activeDeadlineSeconds") or notes.get(keys.requested_time)),
        scheduler=str(spec.get("schedulerName") or ""),
        finished=status.get("phase") in _FINISHED,
        held=bool(meta.get("deletionTimestamp") or spec.get("schedulingGates")),
        needs=_needs(spec),
        unmet=_unmet(spec),
        gpu_kind=gpu_kind(spec),
        user=str(labels.get(keys.user, "")),
        queue=str(labels.get(QUEUE_LABEL, "")),
        qos=str(spec.get("priorityClassName") or ""),
        checkpoint=_moment(notes.get(CHECKPOINT)),
        saves=notes.get(SAVES) == "true",
        restarts=max((_count(s.get("restartCount")) for s in status.get("containerStatuses") or []), default=0),
        daemon=any(owner.get("kind") == "DaemonSet" for owner in meta.get("ownerReferences") or []),
    )


def node_of(item: Object) -> Node:
    """Return the node that an API object describes. Raises one of NOT_UNDERSTOOD."""
    meta, spec, status = item["metadata"], item.get("spec") or {}, item["status"]
    labels = {str(key): str(value) for key, value in (meta.get("labels") or {}).items()}
    found = status.get("allocatable") or status.get("capacity") or {}
    taints = tuple(
        (str(taint["key"]), str(taint.get("value") or ""), str(taint["effect"]))
        for taint in spec.get("taints") or []
        if taint["effect"] != "PreferNoSchedule"
    )
    return Node(
        name=str(meta["name"]),
        capacity=amounts_of({str(key): quantity(amount) for key, amount in found.items()}),
        labels=labels,
        taints=taints,
        open=not spec.get("unschedulable"),
        gpu_kind=next((labels[key] for key in GPU_MODEL_KEYS if key in labels), ""),
        gpu_speed=_speed(labels.get(SPEED)),
    )


def gpus_in(amounts: Mapping[str, float], keys: Keys) -> float:
    """Return the number of GPUs among ``amounts``."""
    return sum(amounts.get(name, 0.0) for name in keys.gpus)


def understood(items: Iterable[Any], read: Any) -> list[Any]:
    """Return what ``read`` makes of each item, less those that it does not understand."""
    found = []
    for item in items:
        try:
            found.append(read(item))
        except NOT_UNDERSTOOD:
            continue
    return found


def unix_time(text: Any) -> float:
    """Return a timestamp of the API as Unix seconds, nan for None."""
    return math.nan if text is None else datetime.fromisoformat(text).timestamp()


def _limit(text: Any) -> float:
    """Return seconds; what is no time is none, for an annotation is anybody's."""
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        return math.nan
    return seconds if 0 < seconds < _MOST else math.nan


def _moment(text: Any) -> float:
    """Return a time as Unix seconds, without a zone UTC; what is no time is none, for an annotation is anybody's."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _speed(text: Any) -> float:
    """Return a speed; what is none is not known."""
    try:
        speed = float(text)
    except (TypeError, ValueError):
        return math.nan
    return speed if 0 < speed < _MOST else math.nan


def _count(text: Any) -> int:
    return int(text) if str(text).isdecimal() and len(str(text)) < 10 else 0


def _needs(spec: Object) -> Needs:
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return Needs(
        selector=tuple(sorted((str(k), str(v)) for k, v in (spec.get("nodeSelector") or {}).items())),
        terms=tuple(_term(term) for term in required.get("nodeSelectorTerms") or []),
        tolerations=tuple(
            (_text(t, "key"), _text(t, "operator") or "Equal", _text(t, "value"), _text(t, "effect"))
            for t in spec.get("tolerations") or []
        ),
    )


def _text(item: Object, key: str) -> str:
    return str(item.get(key) or "")


def _term(term: Object) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the rules of a node selector term; a rule on fields is one on 'metadata.name'."""
    rules = [*(term.get("matchExpressions") or []), *(term.get("matchFields") or [])]
    return tuple((str(r["key"]), str(r["operator"]), tuple(map(str, r.get("values") or []))) for r in rules)


def _unmet(spec: Object) -> str:
    affinity = spec.get("affinity") or {}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if any((affinity.get(kind) or {}).get(required) for kind in ("podAffinity", "podAntiAffinity")):
        return "pod affinity"
    if any(rule.get("whenUnsatisfiable") != "ScheduleAnyway" for rule in spec.get("topologySpreadConstraints") or []):
        return "topology spread"
    if any(port.get("hostPort") for container in spec["containers"] for port in container.get("ports") or []):
        return "host ports"
    if spec.get("resourceClaims"):
        return "resource claims"
    return ""
