"""Pods, nodes and requests as Kubernetes writes them, for tests and benchmarks."""

from __future__ import annotations

from typing import Any

SECOND = "2026-01-01T00:00:{:02d}Z"


def pod(name: str, gpus: int = 0, *, cpu: str = "1", second: int = 0, node: str = "", **meta: Any) -> dict[str, Any]:
    """A pod; ``meta`` are labels, annotations, namespace; 'spec' adds to its specification."""
    spec = meta.pop("spec", {})
    amounts = {"cpu": cpu, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": SECOND.format(second),
            "resourceVersion": "1",
            **meta,
        },
        "spec": {
            "containers": [{"name": "c", "image": "x", "resources": {"requests": amounts}}],
            "schedulerName": "hpcai",
            "priority": 0,
            **({"nodeName": node} if node else {}),
            **spec,
        },
        "status": {"phase": "Running", "startTime": SECOND.format(second)} if node else {"phase": "Pending"},
    }


def gang(name: str, size: int, gpus: int, **more: Any) -> list[dict[str, Any]]:
    """The pods of one gang."""
    key = "scheduling.x-k8s.io/pod-group"
    notes = {f"{key}-min-member": str(size)}
    return [pod(f"{name}-{i}", gpus, labels={key: name}, annotations=notes, **more) for i in range(size)]


def node(name: str, gpus: int = 8, *, cpus: int = 64, rack: str = "", **spec: Any) -> dict[str, Any]:
    """A node; ``spec`` are keys of its specification."""
    amounts = {"cpu": str(cpus), "memory": "512Gi", "pods": "110", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    labels = {"kubernetes.io/hostname": name, **({"topology.kubernetes.io/rack": rack} if rack else {})}
    return {
        "metadata": {"name": name, "labels": labels, "resourceVersion": "1"},
        "spec": spec,
        "status": {"allocatable": amounts},
    }
