"""Kubernetes pods and nodes, as ``kubectl get pods -A -o json`` and ``kubectl get nodes -o json`` list them.

Source: Kubernetes API reference, core/v1 Pod and Node, https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError
from hpcai.records.readers._delimited import unix_seconds
from hpcai.records.readers._json import load_json
from hpcai.records.readers._nodes import machine_listed
from hpcai.records.readers._source import companion, load
from hpcai.records.readers._table import finish, rebase
from hpcai.records.schema import Trace

NOT_A_POD: Final = "not a pod as Kubernetes describes one"

_KIND: Final = re.compile(rb'"kind"\s*:\s*"(PodList|Pod|List)"')
_QUANTITY: Final = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([numkMGTPE]?|[KMGTPE]i)")
_SUFFIX: Final = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    **{f"{prefix}i": 1024.0 ** (i + 1) for i, prefix in enumerate("KMGTPE")},
}
GPU_MODEL_KEYS: Final = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "accelerator",
)
_PHASE: Final = {"Succeeded": "completed", "Failed": "failed", "Running": "running", "Pending": "pending"}
_REASON: Final = {
    "OOMKilled": "out_of_memory",
    "DeadlineExceeded": "timeout",
    "Evicted": "preempted",
    "Preempted": "preempted",
    "Preempting": "preempted",
    "NodeLost": "node_fail",
    "NodeShutdown": "node_fail",
    "Terminated": "node_fail",  # by a node that shuts down
}
_SERVES: Final = ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "Notebook")
_INDEX: Final = "batch.kubernetes.io/job-completion-index"  # of a pod of an indexed Job
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"


def matches(head: bytes) -> bool:
    """Whether it is a JSON object that names pods, or a list, as its kind."""
    return head.lstrip()[:1] == b"{" and _KIND.search(head) is not None


def read(path: Path, *, nodes: Path | str | None = None, gang: str | None = None) -> Trace:
    """Return the trace in a list of pods.

    Args:
        path: the pods; Node items in the same list describe the machine.
        nodes: the nodes, where they are another file.
        gang: what makes several pods one job: 'owner' (a Job, a StatefulSet, ...) or the name of a label.
            By default each pod is a job.
    """
    source = load(path)
    trace = Trace.new(source.name, "kubernetes", source.sha256)
    items = _items(path, load_json(source))
    machines = [item for item in items if _kind(item) == "Node"]
    if (node_file := companion(path, nodes)) is not None:
        node_source = load(node_file)
        trace.sha256 |= node_source.sha256
        machines = _items(node_file, load_json(node_source))
    trace.machine = _machine(trace, machines)
    pods, records = [], []
    for number, item in enumerate(items, start=1):
        if _kind(item) == "Node":
            continue
        try:
            pods.append(_pod(item, gang))
            records.append(number)
        except (AttributeError, KeyError, TypeError, ValueError):
            trace.bad_rows.add(NOT_A_POD, [number])
    if not pods:
        raise FormatError(f"{path}: found no pod, expected a list of pods (kubectl get pods -A -o json)")
    _fill(trace, *_gangs(pods, records))
    return trace


def _items(path: Path, document: Any) -> list[Any]:
    items = document.get("items", [document]) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"{path}: found JSON without a list 'items', expected a Kubernetes list")
    return items


def _kind(item: Any) -> str:
    return str(item.get("kind", "Pod")) if isinstance(item, dict) else ""


def quantity(text: Any) -> float:
    """Return the number that a quantity such as '500m' or '64Gi' is; ValueError if it is not one."""
    found = _QUANTITY.fullmatch(str(text))
    if not found:
        raise ValueError(text)
    return float(found[1]) * _SUFFIX[found[2]]


def _pod(item: dict[str, Any], gang: str | None) -> dict[str, Any]:
    meta, spec, status = item["metadata"], item["spec"], item.get("status", {})
    labels = meta.get("labels") or {}
    amounts = effective_requests(spec)
    start, end = _start_and_end(status)
    phase = str(status.get("phase", ""))
    name = f"{meta['namespace']}/{_gang_of(meta, gang) or meta['name']}"
    return {
        "job_id": name,
        "submit": _second(meta["creationTimestamp"]),
        "start": start,
        "end": end,
        "processors": np.ceil(amounts.get("cpu", 0.0) - 1e-9),
        "gpus": sum(amount for key, amount in amounts.items() if _is_gpu(key)),
        "memory": amounts.get("memory", np.nan),
        "gpu_kind": gpu_kind(spec),
        "tenant": str(meta["namespace"]),
        "user": str(labels.get("user", "")),
        "group": str(spec.get("serviceAccountName", "")),
        "queue": str(labels.get(QUEUE_LABEL, "")),
        "kind": _kind_of_job(meta),
        "qos": str(spec.get("priorityClassName") or status.get("qosClass", "")),
        "status": _status(phase, status),
    }


def _is_gpu(resource: str) -> bool:
    return resource.endswith("/gpu") or resource.startswith("gpu.")


def effective_requests(spec: dict[str, Any]) -> dict[str, float]:
    """Return what a pod takes: the sum over its containers, or more if an init container needs more; and its overhead.

    An init container that restarts always (a sidecar) runs beside all that start after it.
    Raises AttributeError, KeyError, TypeError or ValueError if ``spec`` is not a pod's.
    """
    total: dict[str, float] = {}
    peak: dict[str, float] = {}
    beside: dict[str, float] = {}
    for container in spec["containers"]:
        _add(total, _requests(container))
    for container in spec.get("initContainers") or []:
        wanted = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(beside, wanted)
            wanted = {}
        for key in {*wanted, *beside}:
            peak[key] = max(peak.get(key, 0.0), wanted.get(key, 0.0) + beside.get(key, 0.0))
    _add(total, beside)
    for key, amount in peak.items():
        total[key] = max(total.get(key, 0.0), amount)
    _add(total, {key: quantity(amount) for key, amount in (spec.get("overhead") or {}).items()})
    return total


def _add(total: dict[str, float], amounts: dict[str, float]) -> None:
    for key, amount in amounts.items():
        total[key] = total.get(key, 0.0) + amount


def _requests(container: dict[str, Any]) -> dict[str, float]:
    """Return the requests of a container; a limit stands in for a request that is not there."""
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {key: quantity(amount) for key, amount in wanted.items()}


def _start_and_end(status: dict[str, Any]) -> tuple[float, float]:
    """Return when the first container started (else the kubelet took the pod) and the last one finished."""
    states = [container.get("state") or {} for container in status.get("containerStatuses") or []]
    started = [
        _second(state[name]["startedAt"])
        for state in states
        for name in ("running", "terminated")
        if (state.get(name) or {}).get("startedAt")
    ]
    finished = [_second(state["terminated"]["finishedAt"]) for state in states if state.get("terminated")]
    start = min(started, default=_second(status.get("startTime")))
    over = finished and len(finished) == len(states)
    return start, max(finished) if over else np.nan


def _second(text: Any) -> float:
    """Return a timestamp as Unix seconds, nan if there is none; ValueError if it is not one."""
    if text is None:
        return np.nan
    seconds, wrong = unix_seconds([str(text)])
    if wrong[0]:
        raise ValueError(text)
    return float(seconds[0])


def _status(phase: str, status: dict[str, Any]) -> str:
    reasons = [str(status.get("reason", ""))]
    for container in status.get("containerStatuses") or []:
        terminated = (container.get("state") or {}).get("terminated") or {}
        reasons.append(str(terminated.get("reason", "")))
    known = [_REASON[reason] for reason in reasons if reason in _REASON]
    return known[0] if phase == "Failed" and known else _PHASE.get(phase, "unknown")


def gpu_kind(spec: dict[str, Any]) -> str:
    """Return the GPU models that a pod asks its node to have, by selector or required affinity."""
    selector = spec.get("nodeSelector") or {}
    kinds = {str(selector[key]) for key in GPU_MODEL_KEYS if key in selector}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or []:
        for rule in term.get("matchExpressions") or []:
            if rule.get("key") in GPU_MODEL_KEYS and rule.get("operator") == "In":
                kinds.update(map(str, rule.get("values") or []))
    return "|".join(sorted(kinds))


def _gang_of(meta: dict[str, Any], gang: str | None) -> str | None:
    if gang is None:
        return None
    if gang == "owner":
        owners = meta.get("ownerReferences") or []
        return f"{owners[0]['kind']}/{owners[0]['name']}" if owners else None
    label = (meta.get("labels") or {}).get(gang)
    return None if label is None else str(label)


def _kind_of_job(meta: dict[str, Any]) -> str:
    """Return the kind of job that the owner of a pod makes of it; '' where the owner does not say."""
    owner = str(((meta.get("ownerReferences") or [{}])[0]).get("kind", ""))
    if owner in _SERVES:
        return "service"
    if owner != "Job":
        return ""
    indexed = _INDEX in (meta.get("annotations") or {}) or _INDEX in (meta.get("labels") or {})
    return "array" if indexed else "batch"


def _gangs(pods: list[dict[str, Any]], records: list[int]) -> tuple[list[dict[str, Any]], list[int]]:
    """Return one entry per job: pods of one name together, which wait, start and end as one."""
    jobs: dict[str, dict[str, Any]] = {}
    first: dict[str, int] = {}
    for pod, record in zip(pods, records, strict=True):
        name = pod["job_id"]
        if name not in jobs:
            jobs[name], first[name] = {**pod, "nodes": 1.0, "pods": 1.0}, record
            continue
        job = jobs[name]
        job["nodes"] += 1.0
        job["pods"] += 1.0
        job["kind"] = job["kind"] if job["kind"] == "service" else "gang"
        for key in ("processors", "gpus", "memory"):
            job[key] += pod[key]
        job["submit"] = min(job["submit"], pod["submit"])
        job["start"] = max(job["start"], pod["start"])  # a gang runs once all of it runs; nan if one never did
        job["end"] = max(job["end"], pod["end"])
        job["status"] = pod["status"] if job["status"] == "completed" else job["status"]
    return list(jobs.values()), list(first.values())


def _fill(trace: Trace, jobs: Iterable[dict[str, Any]], records: list[int]) -> None:
    rows = list(jobs)
    columns: dict[str, Any] = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        columns[key] = np.array(values, dtype=object if isinstance(values[0], str) else np.float64)
    trace.origin, submit, (start, end) = rebase(columns["submit"], columns["start"], columns["end"])
    if open_ended := int(np.sum(np.isfinite(start) & np.isnan(end))):
        trace.notes.append(f"{open_ended} jobs had started but not ended: their run time is unknown")
    columns |= {
        "submit": submit,
        "start": start,
        "end": end,
        "run_time": end - start,
        "requested_processors": columns["processors"],
    }
    trace.notes.append("CPUs are rounded up to whole ones")
    trace.jobs = finish(columns, lines=np.array(records, dtype=np.int64), bad=trace.bad_rows, machine=trace.machine)


def _machine(trace: Trace, items: list[Any]) -> Machine | None:
    cpus, memory, gpus, kinds = [], [], [], []
    for item in items:
        try:
            status = item["status"]
            amounts = {k: quantity(v) for k, v in (status.get("allocatable") or status["capacity"]).items()}
            labels = item["metadata"].get("labels") or {}
        except (AttributeError, KeyError, TypeError, ValueError):
            trace.notes.append("a node could not be understood and is not part of the machine")
            continue
        cpus.append(amounts.get("cpu", 0.0))
        memory.append(amounts.get("memory", 0.0))
        gpus.append(sum(amount for key, amount in amounts.items() if _is_gpu(key)))
        kinds.append(next((str(labels[key]) for key in GPU_MODEL_KEYS if key in labels), ""))
    if not cpus:
        return None
    return machine_listed(trace.name, np.array(cpus), np.array(memory), np.array(gpus, dtype=np.float64), kinds)
