"""The extender by bundles: it sees what the simulator sees, prefers what the policy prefers, and never needs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.cluster.spec import Network, NodeGroup
from hpcai.errors import InputError
from hpcai.live.cluster.placement import count, features_of
from hpcai.live.cluster.preemption import features_of as victim_features
from hpcai.live.cluster.preemption import with_victims
from hpcai.live.kubernetes.commands import _learned
from hpcai.live.kubernetes.extender import extender_app
from hpcai.live.kubernetes.learned import Learned, LivePlacement, LivePreemption, marks_of
from hpcai.live.kubernetes.metrics import ExtenderMetrics
from hpcai.live.kubernetes.objects import CHECKPOINT, SAVES, SPEED, Keys, pod_of
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.kubernetes.view import ClusterView
from hpcai.live.kubernetes.warm_up import warm_up_learned
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline
from hpcai.scheduling.gpu_cluster.state import RUNNING, make_cluster
from hpcai.scheduling.gpu_cluster.victims import victim_feature
from hpcai.scheduling.gpu_cluster.work import make_workload
from hpcai.scheduling.placement import PLACE, make_nodes, make_pods, take
from hpcai.scheduling.placement.nodes import gpu_kinds
from hpcai.simulation.gpu_cluster.clock import run_until
from tests.live.kubernetes_objects import gang, node, pod
from tests.live.learned_bundles import PLACEMENT, VICTIMS, exported

KIND = "nvidia.com/gpu.product"
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z, when the pods of kubernetes_objects start
HOUR = 3600.0


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Learned:
    folder = tmp_path_factory.mktemp("bundles")
    return Learned(
        LivePlacement(exported(folder, "placement", PLACEMENT)),
        LivePreemption(exported(folder, "victims", VICTIMS), now=lambda: NOW + 4 * HOUR),
    )


def view_of(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> ClusterView:
    view = ClusterView(Keys())
    view.replace_nodes(nodes)
    view.replace_pods(pods)
    view.lost = dict.fromkeys(view.lost, float("inf"))
    return view


def ask(view: ClusterView, verb: str, content: Any, learned: Learned, metrics: ExtenderMetrics | None = None) -> Any:
    app = extender_app(view, SCORES["topology"], metrics or ExtenderMetrics(), learned=learned)

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post(f"/{verb}", content=json.dumps(content).encode())

    reply = asyncio.run(post())
    assert reply.status_code == 200
    return reply.json()


def scores(view: ClusterView, item: dict[str, Any], learned: Learned, metrics: ExtenderMetrics | None = None) -> Any:
    asked = {"Pod": item, "Nodes": None, "NodeNames": list(view.nodes)}
    return {each["Host"]: each["Score"] for each in ask(view, "prioritize", asked, learned, metrics)}


# What the policies see.

MACHINE = Machine(
    name="two kinds",
    groups=(
        NodeGroup(name="a", count=4, cpus=64, memory_gib=512, gpus=8, gpu_kind="A", gpu_speed=2.0),
        NodeGroup(name="b", count=6, cpus=32, memory_gib=512, gpus=4, gpu_kind="B", gpu_speed=1.0),
    ),
    network=Network(topology="fat-tree", nodes_per_switch=3),
)


def like_machine() -> list[dict[str, Any]]:
    """The nodes of MACHINE as objects; racks are its leaf switches."""
    items = []
    for group in MACHINE.groups:
        for _ in range(group.count):
            i = len(items)
            item = node(f"n{i}", group.gpus, cpus=group.cpus, rack=f"r{i // 3}")
            item["metadata"]["labels"] |= {KIND: group.gpu_kind, SPEED: str(group.gpu_speed)}
            items.append(item)
    return items


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("size", "placed"), [(1, 0), (5, 0), (6, 2)])
def test_nodes_are_seen_as_in_the_simulator(learned: Learned, seed: int, size: int, placed: int) -> None:
    """The same pods on the same nodes: the same features, number for number, and the same node first."""
    rng = np.random.default_rng(seed)
    at = rng.integers(0, 10, 14).tolist()
    gpus = [int(rng.choice([0, 1, 2])) for _ in at]
    kinds = [str(rng.choice(["", "A"])) if g and n < 4 else "" for g, n in zip(gpus, at, strict=True)]
    placed_on = rng.choice(10, placed).tolist() if placed else []
    specs = [{"nodeSelector": {KIND: kind}} if kind else {} for kind in kinds]
    pods = [
        pod(f"p{i}", g, node=f"n{n}", spec=spec) for i, (g, n, spec) in enumerate(zip(gpus, at, specs, strict=True))
    ]
    members = gang("g", size, 1)
    for member, n in zip(members, placed_on, strict=False):
        member["spec"]["nodeName"] = f"n{n}"
    view = view_of(like_machine(), pods + members)
    assert learned.placement is not None
    seen, step = learned.placement.features(view, pod_of(members[-1], view.keys), np.ones(10, dtype=bool))

    table = pd.DataFrame({"cpu": 1000, "memory": 0, "gpu": [1000 * g for g in gpus] + [1000] * size})
    types = make_pods(table.assign(gpu_kind=kinds + [""] * size), gpu_kinds(MACHINE))
    nodes, held = make_nodes(MACHINE), np.zeros(1, dtype=PLACE)
    everywhere = [*zip(types.type, at, strict=False), *((types.type[-1], n) for n in placed_on)]
    for kind, n in everywhere:
        wanted, mask = types.types[kind], 0
        for g in range(int(nodes.gpus[n])):
            if nodes.gpu[n, g] == 1000 and mask.bit_count() < wanted["gpu"] // 1000:
                mask |= 1 << g
        take(nodes, n, wanted, mask, held[0])
    asked = types.types[types.type[-1:]]
    count(nodes, asked, size)
    assert step[:2] == (size - placed, placed)
    assert not placed or step.leaf in nodes.leaf[placed_on]
    expected = features_of(nodes, asked, types.types, step)
    np.testing.assert_allclose(seen, expected, rtol=1e-12, atol=1e-12)
    costs = learned.placement.policy.costs(expected, step)
    marks = scores(view, members[-1], learned)
    assert {int(name[1:]) for name, mark in marks.items() if mark == 10} == set(
        np.flatnonzero(costs <= costs.min() + 1e-9).tolist()
    )


def test_victims_are_seen_as_in_the_simulator(learned: Learned) -> None:
    """Three jobs run, one of them on two nodes, when a fourth asks for more than is free."""
    machine = Machine(name="m", groups=(NodeGroup(name="n", count=4, cpus=64, memory_gib=512, gpus=8),))
    jobs = empty_jobs(4)
    fields = {
        "submit": [0.0, 0.0, HOUR, 4 * HOUR], "gpus": [16.0, 4.0, 8.0, 12.0], "processors": [2, 1, 1, 1],
        "nodes": [2, 1, 1, 2], "run_time": [10 * HOUR] * 4, "requested_time": [10 * HOUR, 6 * HOUR, 10 * HOUR, HOUR],
        "qos": ["normal", "preemptible", "normal", "normal"], "on_signal": [0, 1, 0, 0], "tenant": ["t"] * 4,
        "checkpoint_interval": [1.5 * HOUR, 1e9, 1e9, 1e9],
    }  # fmt: skip
    for name, values in fields.items():
        jobs[name] = values
    discipline = Discipline(preemption="none", restart=120.0, elastic=False)
    cluster = make_cluster(make_workload(jobs, machine, discipline), machine, discipline)
    run_until(cluster, 4 * HOUR + 1)
    run, work = cluster.run, cluster.work
    assert run["status"][:3].tolist() == [RUNNING] * 3
    begun = {v: float(run["begun"][v]) for v in range(3)}
    assert begun == {0: 0.0, 1: 0.0, 2: HOUR}
    now = float(cluster.at["now"][0])
    expected = np.array([[victim_feature(cluster, 3, v, k) for k in range(len(VICTIM_FEATURES))] for v in range(3)])

    items: list[dict[str, Any]] = []
    for v, classes in enumerate(["normal", "preemptible", ""]):
        first, tasks = int(work["entries"][v]), int(run["tasks"][v])
        limit = {"hpcai/requested-time": str(work["estimate"][v])}
        members = gang(f"j{v}", tasks, int(work["gpu"][v] // 1000), spec={"priorityClassName": classes})
        for i, member in enumerate(members):
            member["spec"]["nodeName"] = f"n{cluster.places['node'][first + i]}"
            member["metadata"]["annotations"] |= limit
            member["status"] = {"phase": "Running", "startTime": moment(begun[v])}
        items += members
    for member in items[:2]:  # the first one's latest checkpoint; the second saves when told to
        member["metadata"]["annotations"][CHECKPOINT] = moment(3 * HOUR)
    items[2]["metadata"]["annotations"][SAVES] = "true"
    asking = gang("j3", 2, 6)
    view = view_of([node(f"n{i}") for i in range(4)], items + asking)
    assert learned.preemption is not None
    policy, seen = learned.preemption.policy, []
    original = policy.costs
    try:
        policy.costs = lambda victims, need: seen.append((victims, need)) or original(victims, need)  # type: ignore
        learned.preemption._now = lambda: NOW + now
        victims = {"n0": ["uid-j0-0"], "n2": ["uid-j1-0"], "n3": ["uid-j2-0"]}
        learned.preemption.costs(view, pod_of(asking[0], view.keys), victims)
    finally:
        policy.costs = original  # type: ignore
        learned.preemption._now = lambda: NOW + 4 * HOUR
    got = victim_features(with_victims(policy.empty, *seen[0]))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def moment(seconds: float) -> str:
    return pd.Timestamp(NOW + seconds, unit="s").isoformat() + "Z"


def test_daemons_leave_a_node_empty_and_lone_labels_are_neutral(learned: Learned) -> None:
    daemon = pod("d", node="n0") | {}
    daemon["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "d"}]
    view = view_of([node(f"n{i}") for i in range(3)], [daemon, pod("x", 1, node="n1")])
    assert learned.placement is not None
    seen, _ = learned.placement.features(view, pod_of(pod("p", 1), view.keys), np.ones(3, dtype=bool))
    assert seen[:, 7].tolist() == [1.0, 0.0, 1.0]
    assert (seen[:, 8:] == 0).all()  # speed, kinds and traffic: nothing is known
    for i in range(3):  # pods come and go
        view.change_pod("ADDED", pod("y", 1, node="n2"))
        view.change_pod("DELETED", pod("y", 1, node="n2"))
        assert view.held.tolist() == [0.0, 1.0, 0.0], i


# What the extender says.


def test_a_gang_goes_on_under_its_leaf_and_one_without_gpus_by_the_score(learned: Learned) -> None:
    members = gang("g", 2, 8)
    members[0]["spec"]["nodeName"] = "n2"
    view = view_of([node(f"n{i}", rack=f"r{i // 2}") for i in range(4)], members)
    marks = scores(view, members[1], learned)
    assert marks["n3"] == 10
    assert max(marks["n0"], marks["n1"]) < 10
    assert marks["n2"] == 0  # full
    assert scores(view, pod("c"), learned) == scores(view, pod("c"), Learned())


def test_marks_keep_the_order_and_the_best_is_alone() -> None:
    costs = np.array([3.0, 1.0, np.inf, 1.01, 2.0, 1.0])
    marks = marks_of(costs)
    assert marks.tolist() == [1, 10, 0, 8, 5, 10]
    many = np.sort(np.random.default_rng(0).normal(size=50))
    assert (np.diff(marks_of(many)) <= 0).all()
    assert (marks_of(many) == 10).sum() == 1


def victims_of(*pods: dict[str, Any]) -> dict[str, Any]:
    return {
        item["spec"]["nodeName"]: {"Pods": [{"UID": item["metadata"]["uid"]}], "NumPDBViolations": 0} for item in pods
    }


def test_of_victims_that_break_as_many_gangs_those_that_lose_least_are_kept(learned: Learned) -> None:
    old = pod("old", 8, node="n0")
    saved = pod("saved", 8, node="n1", annotations={CHECKPOINT: "2026-01-01T03:59:00Z"})
    whole = gang("g", 2, 4, node="n2")
    view = view_of([node(f"n{i}") for i in range(3)], [old, saved, *whole])
    asked = {"Pod": pod("p", 8), "NodeNameToMetaVictims": victims_of(old, saved)}
    asked["NodeNameToMetaVictims"]["n2"] = {"Pods": [{"UID": w["metadata"]["uid"]} for w in whole]}
    assert set(ask(view, "preempt", asked, Learned())["NodeNameToMetaVictims"]) == {"n0", "n1", "n2"}
    kept = ask(view, "preempt", asked, learned)["NodeNameToMetaVictims"]
    assert kept == {"n1": asked["NodeNameToMetaVictims"]["n1"]}


def test_what_a_policy_does_wrong_falls_back_and_is_counted(learned: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("no")

    assert learned.placement is not None
    old, new = pod("old", 8, node="n0"), pod("new", 8, node="n1")
    view, metrics = view_of([node(f"n{i}") for i in range(3)], [old, new]), ExtenderMetrics()
    asked = {"Pod": pod("p", 8), "NodeNameToMetaVictims": victims_of(old, new)}
    asked["NodeNameToMetaVictims"]["n1"]["Pods"] += [{"UID": "nobody"}]
    asked["NodeNameToMetaVictims"]["n0"]["Pods"] += [{"UID": "nobody"}]
    assert set(ask(view, "preempt", asked, learned, metrics)["NodeNameToMetaVictims"]) == {"n0", "n1"}
    monkeypatch.setattr(learned.placement.policy.weighted, "costs", fail)
    assert scores(view, pod("p", 4), learned, metrics) == scores(view, pod("p", 4), Learned())
    counted = {
        sample.labels["verb"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "hpcai_extender_fallbacks_total"
    }
    assert counted == {"prioritize": 1.0, "preempt": 1.0}


def test_absurd_annotations_are_none() -> None:
    for text in ("yesterday", "", 3, None, "9" * 400, "0001-01-01T00:00:00+23:59"):
        found = pod_of(pod("p", 1, annotations={CHECKPOINT: text, SAVES: text}), Keys())
        assert not found.saves
        assert np.isnan(found.checkpoint) or found.checkpoint < 0


def test_warming_up_asks_both_without_a_word(learned: Learned, caplog: pytest.LogCaptureFixture) -> None:
    warm_up_learned(learned)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_bundles_are_taken_by_domain_and_digest(tmp_path: Path) -> None:
    bundle = exported(tmp_path, "placement", PLACEMENT)
    path = Path(bundle.where)
    assert _learned(path, bundle.digest, None, None).placement is not None
    with pytest.raises(InputError, match="expected digest 00"):
        _learned(path, "00", None, None)
    with pytest.raises(InputError, match="expected the domain preemption, found placement"):
        _learned(None, None, path, None)
