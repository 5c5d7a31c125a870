"""A real kube-scheduler places pods by the extender, and the controller binds a queue through a real API server."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from hpcai.learning.bundling.export import export_policy
from hpcai.live.kubernetes.api import Api
from hpcai.live.kubernetes.binding import BindingQueue
from hpcai.live.kubernetes.controller import JobQueue
from hpcai.live.kubernetes.guards import Guards, Outcome
from hpcai.live.kubernetes.kueue import KueueQueue
from hpcai.live.kubernetes.objects import Keys
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.state import LiveState, Ranker
from tests.live.kubernetes_cluster import Cluster, cluster, free_ports, missing, running, wait_until
from tests.live.kubernetes_objects import gang, node, pod

pytestmark = pytest.mark.long

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
COMMAND = "from hpcai.live.kubernetes.commands import kubernetes_app; kubernetes_app()"
OPEN = Guards()
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(f"no Kubernetes: {reason}")
    with cluster(tmp_path_factory.mktemp("kubernetes")) as made:
        for i in range(16):
            made.add_node(node(f"gpu-{i:02d}", 8, rack=f"rack-{i // 4}"))
        yield made


@pytest.fixture
def empty(control_plane: Cluster) -> Iterator[Cluster]:
    """The control plane, whose pods are gone afterwards."""
    yield control_plane
    for name in control_plane.places():
        control_plane.client.request("DELETE", f"{PODS}/{name}", params={"gracePeriodSeconds": "0"})
    wait_until(lambda: not control_plane.places())


def _create(plane: Cluster, item: dict[str, Any], scheduler: str) -> None:
    meta = {key: value for key, value in item["metadata"].items() if key in ("name", "labels", "annotations")}
    spec = {key: value for key, value in item["spec"].items() if key != "priority"} | {"schedulerName": scheduler}
    amounts = spec["containers"][0]["resources"]["requests"]
    spec["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
    plane.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=extender"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def extender(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The extender's own command, TLS and token in use, and a kube-scheduler that asks it; its port for health."""
    folder = tmp_path_factory.mktemp("extender")
    certificate, key = _certificate(folder)
    secret = folder / "secret"
    secret.write_text(secrets.token_hex(16))
    port, health = free_ports(2)
    options = {
        "--server": control_plane.url,
        "--token-file": control_plane.token_file,
        "--certificate-authority": control_plane.authority,
        "--auth-token-file": secret,
        "--tls-certificate": certificate,
        "--tls-key": key,
        "--host": "127.0.0.1",
        "--port": port,
        "--health-port": health,
    }
    flags = [str(part) for pair in options.items() for part in pair]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "extender.log").open("wb"))
        stack.enter_context(running([sys.executable, "-c", COMMAND, "extender", "--bind", *flags], log))
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{health}/readyz").status_code == 200)
        (said,) = yaml.safe_load((DEPLOY / "scheduler-config.yaml").read_text())["extenders"]
        control_plane.schedule(
            {
                **said,
                "urlPrefix": f"https://scheduler:{secret.read_text()}@127.0.0.1:{port}",
                "bindVerb": "bind",
                "tlsConfig": {"caFile": str(certificate)},
            }
        )
        yield health
        print((folder / "extender.log").read_text()[-4000:])


def test_kube_scheduler_places_by_the_extender(empty: Cluster, extender: int) -> None:
    for name, gpus in (("a", 4), ("b", 4), ("c", 2), ("d", 6)):
        _create(empty, pod(name, gpus), "default-scheduler")
        wait_until(lambda name=name: bool(empty.places()[name]))
    places = empty.places()
    assert places["a"] == places["b"] != places["c"] == places["d"]  # filled one after the other
    members = gang("g", 8, 4)
    for member in members:
        _create(empty, member, "default-scheduler")
    wait_until(lambda: all(empty.places().values()))
    nodes = {place for name, place in empty.places().items() if name.startswith("g-")}
    assert len({int(name[4:]) // 4 for name in nodes}) == 1  # 8 x 4 GPUs are a rack, all of them in one
    text = httpx.get(f"http://127.0.0.1:{extender}/metrics").text
    assert 'hpcai_extender_requests_total{status="200",verb="bind"} 12.0' in text
    assert 'status="4' not in text
    assert 'status="5' not in text


def test_a_hundred_pods_by_the_extender(empty: Cluster, extender: int) -> None:
    begun = time.perf_counter()
    for i in range(100):
        _create(empty, pod(f"p{i:03d}", 1), "default-scheduler")
    created = time.perf_counter()
    wait_until(lambda: all(empty.places().values()), pause=0.02)
    print(f"\n100 pods: created in {created - begun:.2f} s, placed {time.perf_counter() - created:.2f} s after")
    used = set(empty.places().values())
    assert len(used) <= 14  # 13 would hold them; a pod may be placed before the one in front of it is bound


def test_higher_priority_preempts_beside_the_extender(empty: Cluster, extender: int) -> None:
    """kube-scheduler 1.20.2 does not pass extenders on to its preemption, so `preempt` is not asked here."""
    priority = {"metadata": {"name": "urgent"}, "value": 1000}
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    empty.create("/apis/scheduling.k8s.io/v1/priorityclasses", kind | priority)
    for i in range(16):
        _create(empty, pod(f"low-{i:02d}", 8, spec={"terminationGracePeriodSeconds": 0}), "default-scheduler")
    wait_until(lambda: all(empty.places().values()))
    urgent = pod("urgent", 8)
    urgent["spec"]["priorityClassName"] = "urgent"
    _create(empty, urgent, "default-scheduler")
    wait_until(lambda: bool(empty.places()["urgent"]))
    assert len(empty.places()) == 16  # one had to go


class Backwards:
    """Ranks the last one submitted first; of one second, by name."""

    def rank(self, state: LiveState) -> np.ndarray:
        return np.lexsort([state.waiting["job_id"], state.waiting["submit"]])[::-1].astype(np.int64)


def _cycle(plane: Cluster, queue: Callable[[Api], JobQueue]) -> Outcome:
    """Run one cycle of a controller."""

    async def once() -> Outcome:
        headers = {"Authorization": f"Bearer {plane.token_file.read_text()}"}
        async with httpx.AsyncClient(base_url=plane.url, headers=headers, verify=False) as client:
            return await queue(Api(client)).cycle()

    return asyncio.run(once())


def _binding(plane: Cluster, ranker: Ranker | None = None, guards: Guards = OPEN) -> Outcome:
    return _cycle(plane, lambda api: BindingQueue(api, ranker, guards, Keys(), SCORES["best-fit"], "learned"))


def _bound_order(plane: Cluster) -> list[str]:
    """Return the pods in the order in which they were bound, which is that of their versions."""
    items = plane.client.get(PODS).json()["items"]
    bound = [item for item in items if item["spec"].get("nodeName")]
    return [
        item["metadata"]["name"] for item in sorted(bound, key=lambda item: int(item["metadata"]["resourceVersion"]))
    ]


def test_the_controller_binds_a_queue_as_the_ranker_says(empty: Cluster) -> None:
    for i in range(40):
        _create(empty, pod(f"q{i:02d}", 1), "learned")
    for member in gang("h", 4, 8):
        _create(empty, member, "learned")
    begun = time.perf_counter()
    first, second, third = (_binding(empty, Backwards(), Guards(most_writes=30)) for _ in range(3))
    print(f"\n3 cycles, 44 pods bound: {time.perf_counter() - begun:.2f} s")
    assert (first.written, second.written, third.written) == (30, 14, 0)
    assert first.ranked
    items = {item["metadata"]["name"]: item["metadata"] for item in empty.client.get(PODS).json()["items"]}
    singles = [name for name in _bound_order(empty) if name.startswith("q")]
    assert singles == sorted(singles, key=lambda name: (items[name]["creationTimestamp"], name), reverse=True)
    assert len({place for name, place in empty.places().items() if name.startswith("h")}) == 4


def test_a_gang_too_large_waits_and_those_behind_do_not_overtake_it(empty: Cluster) -> None:
    _create(empty, pod("blocker", 8), "learned")
    assert _binding(empty).written == 1
    for member in gang("all", 16, 8):
        _create(empty, member, "learned")
    time.sleep(1.1)  # timestamps have whole seconds
    for name in ("x", "y"):
        _create(empty, pod(name, 1), "learned")

    outcome = _binding(empty)
    assert (outcome.written, outcome.held) == (0, 1)
    empty.client.request("DELETE", f"{PODS}/blocker", params={"gracePeriodSeconds": "0"})
    assert _binding(empty).written == 16


def test_the_command_binds_a_queue_as_a_bundle_says(empty: Cluster, tmp_path: Path) -> None:
    """Smallest area first, from an exported bundle, by the controller's own command."""
    bundle = tmp_path / "saf.tar"
    export_policy(
        "saf", bundle, trace=["lublin-256.swf.gz"], estimate="requested", windows="2x64", states=20, quiet=True
    )
    minutes = [50, 10, 40, 20, 30]
    for i, each in enumerate(minutes):
        _create(empty, pod(f"m{i}", 8, spec={"activeDeadlineSeconds": 60 * each}), "learned")
    (health,) = free_ports(1)
    options = {
        "--bundle": bundle,
        "--scheduler-name": "learned",
        "--namespace": "default",
        "--max-writes": 3,
        "--interval": 0.5,
        "--server": empty.url,
        "--token-file": empty.token_file,
        "--certificate-authority": empty.authority,
        "--host": "127.0.0.1",
        "--health-port": health,
    }
    flags = [str(part) for pair in options.items() for part in pair]
    log = tmp_path / "controller.log"
    with log.open("wb") as out, running([sys.executable, "-c", COMMAND, "controller", "--verbose", *flags], out):
        wait_until(lambda: all(empty.places().values()))
        text = httpx.get(f"http://127.0.0.1:{health}/metrics").text
        assert httpx.get(f"http://127.0.0.1:{health}/readyz").status_code == 200
    assert "hpcai_controller_fallbacks_total 0.0" in text, log.read_text()
    assert _bound_order(empty) == [f"m{i}" for i in np.argsort(minutes)]


def test_priorities_of_workloads_are_set_and_given_back(empty: Cluster, tmp_path: Path) -> None:
    """Kueue's Workloads as the API server keeps them; Kueue itself is not there."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "workloads", "singular": "workload", "kind": "Workload", "listKind": "WorkloadList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workloads.kueue.x-k8s.io"},
        "spec": {"group": "kueue.x-k8s.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    empty.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    where = "/apis/kueue.x-k8s.io/v1beta1/namespaces/default/workloads"
    wait_until(lambda: empty.client.get(where).status_code == 200)
    for i in range(5):
        template = {"spec": pod("w", 8)["spec"]}
        spec = {"queueName": "q", "priority": 3, "podSets": [{"name": "main", "count": 2, "template": template}]}
        item = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload", "metadata": {"name": f"w{i}"}, "spec": spec}
        empty.create(where, item)
    guards = Guards(queues=frozenset({"q"}), kill_switch=tmp_path / "stop")

    def now() -> dict[str, int]:
        items = empty.client.get(where).json()["items"]
        return {item["metadata"]["name"]: item["spec"]["priority"] for item in items}

    assert _cycle(empty, lambda api: KueueQueue(api, Backwards(), guards, Keys())).written == 4  # the last keeps its 3
    found = now()
    assert sorted(found, key=lambda name: -found[name]) == ["w4", "w3", "w2", "w1", "w0"]
    (tmp_path / "stop").touch()
    assert _cycle(empty, lambda api: KueueQueue(api, Backwards(), guards, Keys())).written == 4
    assert set(now().values()) == {3}


def test_the_manifests_are_taken_and_give_no_more_than_is_needed(empty: Cluster) -> None:
    for name in ("rbac.yaml", "extender.yaml", "controller.yaml"):
        for item in yaml.safe_load_all((DEPLOY / name).read_text()):
            empty.create(_path(item), item)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "hpcai-binder", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hpcai-binder"},
        "subjects": [{"kind": "ServiceAccount", "name": "hpcai-controller", "namespace": "hpcai"}],
    }
    empty.create(_path(binding), binding)
    asked = [
        (verb, resource, where)
        for verb in ("get", "list", "watch", "create", "patch", "delete")
        for resource in ("pods", "nodes", "secrets", "pods/binding")
        for where in ("default", "kube-system")
    ]
    everywhere = ("default", "kube-system")
    looks = {(verb, what, where) for verb in ("list", "watch") for what in ("pods", "nodes") for where in everywhere}
    assert {each for each in asked if _may(empty, "hpcai-extender", *each)} == looks
    lists = {each for each in looks if each[0] == "list"}
    assert {each for each in asked if _may(empty, "hpcai-controller", *each)} == lists | {
        ("create", "pods/binding", "default")
    }


def _path(item: dict[str, Any]) -> str:
    """Return where an object of the manifests is made."""
    version, kind = item["apiVersion"], item["kind"].lower()
    plural = kind + "s" if not kind.endswith("y") else kind[:-1] + "ies"
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = item["metadata"].get("namespace")
    return f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}"


def _may(plane: Cluster, account: str, verb: str, resource: str, namespace: str) -> bool:
    name, _, part = resource.partition("/")
    attributes = {"verb": verb, "resource": name, "subresource": part, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:hpcai:{account}", "resourceAttributes": attributes},
    }
    made = plane.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(made["status"]["allowed"])
