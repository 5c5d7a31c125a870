"""The queue controller against a stand-in for the API server: who starts, where, and what it leaves alone."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.live.kubernetes.binding import BindingQueue
from hpcai.live.kubernetes.cluster_state import live_state, machine_of
from hpcai.live.kubernetes.commands import controller_command, extender_command
from hpcai.live.kubernetes.controller import Controller
from hpcai.live.kubernetes.eligibility import eligible
from hpcai.live.kubernetes.guards import Guards, Outcome
from hpcai.live.kubernetes.jobs import queue_of
from hpcai.live.kubernetes.kueue import ORIGINAL, KueueQueue, priorities
from hpcai.live.kubernetes.metrics import ControllerMetrics
from hpcai.live.kubernetes.objects import Keys, node_of, pod_of, unix_time
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.kubernetes.warm_up import warm_up
from hpcai.live.state import LiveState
from hpcai.records.readers.kubernetes import effective_requests
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import snapshot
from hpcai.scheduling.state import GPU
from tests.live.kubernetes_api import FakeApi
from tests.live.kubernetes_objects import SECOND, gang, node, pod

KEYS, OPEN = Keys(), Guards()


class ByName:
    """Ranks by name, last one first, and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[LiveState] = []

    def rank(self, state: LiveState) -> np.ndarray:
        self.seen.append(state)
        return np.argsort(state.waiting["job_id"].to_numpy())[::-1].astype(np.int64)


class Wrong:
    """Gives whatever it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def rank(self, state: LiveState) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _cycle(api: FakeApi, ranker: Any = None, guards: Guards = OPEN, **more: Any) -> Outcome:
    queue = BindingQueue(api.api(), ranker, guards, KEYS, SCORES["best-fit"], **more)
    return asyncio.run(queue.cycle())


def _names(api: FakeApi) -> list[str]:
    return [name for name, _ in api.bound]


def test_pods_start_in_the_order_of_the_ranker_within_their_class() -> None:
    api = FakeApi([pod(name, 1, second=i) for i, name in enumerate("bacd")], [node("n0")])
    api.pods["a"]["spec"]["priority"] = 5
    outcome = _cycle(api, ByName())
    assert _names(api) == ["a", "d", "c", "b"]
    assert (outcome.written, outcome.waiting, outcome.ranked) == (4, 4, True)
    again = _cycle(api, ByName())
    assert (again.written, again.waiting) == (0, 0)
    api = FakeApi([pod(name, 1, second=i) for i, name in enumerate("bacd")], [node("n0")])
    api.pods["a"]["spec"]["priority"] = 5
    _cycle(api, ByName(), Guards(respect_priority=False))
    assert _names(api) == ["d", "c", "b", "a"]


def test_only_pods_that_name_the_scheduler_in_scope_and_are_free_to_start() -> None:
    pods = [
        pod("ours", 1),
        pod("elsewhere", 1, namespace="kube-system"),
        pod("others", 1, spec={"schedulerName": "default-scheduler"}),
        pod("gated", 1, spec={"schedulingGates": [{"name": "g"}]}),
        pod("leaving", 1, deletionTimestamp=SECOND.format(9)),
        pod(
            "apart", 1, spec={"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}
        ),
    ]
    api = FakeApi(pods, [node("n0")])
    outcome = _cycle(api, ByName(), Guards(namespaces=frozenset({"default"})))
    assert _names(api) == ["ours"]
    assert outcome.unmet == 1


def test_a_gang_starts_whole_or_not_at_all() -> None:
    api = FakeApi([*gang("g", 3, 8), pod("small", 1, second=1)], [node("n0"), node("n1")])
    _cycle(api)
    assert _names(api) == ["small"]  # three nodes would never be there: nothing is held for it
    api = FakeApi(gang("g", 2, 8), [node("n0"), node("n1")])
    del api.pods["g-1"]
    assert _cycle(api).waiting == 0  # the rest of it is not there yet
    api = FakeApi(gang("g", 2, 8), [node("n0"), node("n1")])
    _cycle(api)
    assert sorted(api.bound) == [("g-0", "n0"), ("g-1", "n1")]
    assert api.dry == 2


def test_pods_of_one_job_are_a_gang() -> None:
    label = {"batch.kubernetes.io/job-name": "train"}
    api = FakeApi([pod(f"t{i}", 8, labels=label) for i in range(2)], [node("n0")])
    _cycle(api)
    assert api.bound == []


def test_a_gang_of_which_one_is_refused_does_not_start() -> None:
    api = FakeApi([*gang("g", 2, 4), pod("small", 1, second=1)], [node("n0"), node("n1")])
    api.refuse = {"g-1"}
    outcome = _cycle(api)
    assert _names(api) == ["small"]
    assert outcome.refused == 1


def test_the_rest_of_a_gang_goes_first() -> None:
    pods = [pod("z", 1, second=0), *gang("g", 2, 1, second=5)]
    pods[1]["spec"]["nodeName"] = "n0"
    api = FakeApi(pods, [node("n0")])
    _cycle(api, ByName())
    assert _names(api) == ["g-1", "z"]


def test_room_is_held_for_a_gang_that_does_not_fit() -> None:
    """Two nodes, one of them in use without a limit: those behind the gang may not take the other."""
    running = pod("r", 8, node="n0")
    crowd = [pod(f"c{i}", 1, second=10 + i) for i in range(4)]
    api = FakeApi([running, *gang("g", 2, 8, second=1), *crowd], [node("n0"), node("n1")])
    outcome = _cycle(api)
    assert api.bound == []
    assert outcome.held == 1
    del api.pods["r"]
    _cycle(api)
    assert _names(api) == ["g-0", "g-1"]


def test_what_is_over_in_time_or_beside_the_reservation_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = unix_time(SECOND.format(0))
    monkeypatch.setattr("hpcai.live.kubernetes.binding.time.time", lambda: begun + 40.0)
    running = pod("r", 8, node="n0", spec={"activeDeadlineSeconds": 100})
    pods = [
        running,
        *gang("g", 2, 6, second=1),
        pod("long", 4, second=2, spec={"activeDeadlineSeconds": 61}),
        pod("unknown", 4, second=3),
        pod("short", 4, second=4, spec={"activeDeadlineSeconds": 60}),
        pod("beside", 2, second=5),
        pod("more", 2, second=6),
    ]
    api = FakeApi(pods, [node("n0"), node("n1")])
    _cycle(api)
    assert _names(api) == ["short", "beside"]


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("no model"), [0, 0, 1], [0, 1], [5, 6, 7], None, ["x", "y", "z"], np.array([0.5, np.nan, 2])],
)
def test_without_a_ranking_the_order_of_creation_holds(answer: Any) -> None:
    api = FakeApi([pod(name, 1, second=i) for i, name in enumerate("bac")], [node("n0")])
    outcome = _cycle(api, Wrong(answer))
    assert _names(api) == ["b", "a", "c"]
    assert not outcome.ranked


def test_a_ranker_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcai.live.kubernetes.ordering.PATIENCE", 0.05)
    over = threading.Event()

    class Slow:
        def rank(self, state: LiveState) -> np.ndarray:
            over.wait(10)
            return np.arange(len(state.waiting))

    api = FakeApi([pod("a", 1)], [node("n0")])
    outcome = _cycle(api, Slow())
    over.set()
    assert (outcome.written, outcome.ranked) == (1, False)


def test_a_ranker_is_asked_before_the_first_cycle(caplog: pytest.LogCaptureFixture) -> None:
    ranker = ByName()
    warm_up(ranker)
    assert len(ranker.seen[0].waiting) == 2
    assert len(ranker.seen[0].running) == 1
    warm_up(Wrong(RuntimeError("no model")))
    assert "no model" in caplog.text


def test_shadow_writes_nothing_and_says_what_it_would(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hpcai")
    api = FakeApi([pod("a", 1)], [node("n0")])
    assert _cycle(api, ByName(), Guards(shadow=True)).written == 0
    assert api.bound == []
    assert "would bind default/a to n0" in caplog.text


def test_at_most_so_many_writes_a_cycle_but_a_large_gang_starts() -> None:
    api = FakeApi([*gang("g", 3, 1), *(pod(f"p{i}", 1, second=1 + i) for i in range(3))], [node("n0")])
    assert _cycle(api, guards=Guards(most_writes=2)).written == 3
    assert _cycle(api, guards=Guards(most_writes=2)).written == 2


def test_the_kill_switch_silences_the_ranker(tmp_path: Path) -> None:
    switch = tmp_path / "stop"
    switch.touch()
    api = FakeApi([pod(name, 1, second=i) for i, name in enumerate("bac")], [node("n0")])
    ranker = ByName()
    _cycle(api, ranker, Guards(kill_switch=switch))
    assert _names(api) == ["b", "a", "c"]
    assert ranker.seen == []


def test_taints_selectors_and_affinity_keep_pods_away() -> None:
    taint = [{"key": "nvidia.com/gpu", "value": "yes", "effect": "NoSchedule"}]
    tainted, closed = node_of(node("n0", taints=taint)), node_of(node("n1", unschedulable=True))

    def fits(where: Any, **spec: Any) -> bool:
        return eligible(where, pod_of(pod("p", spec=spec), KEYS).needs)

    assert not fits(tainted)
    assert fits(tainted, tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    assert fits(tainted, tolerations=[{"key": "nvidia.com/gpu", "value": "yes", "effect": "NoSchedule"}])
    assert not fits(tainted, tolerations=[{"key": "nvidia.com/gpu", "value": "no"}])
    assert fits(tainted, tolerations=[{"operator": "Exists"}])
    assert not fits(closed)
    plain = node_of(node("n2", rack="r1"))
    assert fits(plain, nodeSelector={"topology.kubernetes.io/rack": "r1"})
    assert not fits(plain, nodeSelector={"topology.kubernetes.io/rack": "r2"})

    def rule(**content: Any) -> dict[str, Any]:
        terms = {"nodeSelectorTerms": [{"matchExpressions": [content]}]}
        return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    rack = "topology.kubernetes.io/rack"
    assert fits(plain, affinity=rule(key=rack, operator="In", values=["r0", "r1"]))
    assert not fits(plain, affinity=rule(key=rack, operator="NotIn", values=["r1"]))
    assert fits(plain, affinity=rule(key="other", operator="DoesNotExist"))
    assert not fits(plain, affinity=rule(key="other", operator="Exists"))
    assert not fits(plain, affinity=rule(key=rack, operator="Gt", values=["1"]))


def test_what_a_pod_takes_counts_sidecars_init_containers_and_overhead() -> None:
    def container(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("1"), container("1", restartPolicy="Always"), container("2")],
        "overhead": {"cpu": "250m"},
    }
    assert effective_requests(spec)["cpu"] == pytest.approx(3.25)  # the last init container beside the sidecar
    spec["initContainers"] = [container("1", restartPolicy="Always")]
    assert effective_requests(spec)["cpu"] == pytest.approx(2.75)


def test_the_state_is_one_that_policies_read() -> None:
    nodes = [node_of(node(f"n{i}", gpus, cpus=16)) for i, gpus in enumerate([8, 0, 8])]
    nodes.append(node_of(node("n3", 0, cpus=16, unschedulable=True)))
    machine, places = machine_of(nodes, KEYS)
    assert (machine.total_nodes, machine.total_gpus) == (4, 16)
    names = [machine.node_names[places[f"n{i}"]] for i in range(4)]
    gpus = {group.name: group.gpus for group in machine.groups}
    assert [gpus[name.rsplit("-", 1)[0]] for name in names] == [8, 0, 8, 0]
    running = [pod_of(pod(f"r{i}", 2, node="n2", second=i), KEYS) for i in range(3)]
    running.append(pod_of(pod("tiny", node="n0", cpu="100m"), KEYS))
    waiting = [pod_of(each, KEYS) for each in [*gang("g", 2, 4, second=8), pod("w", 1, second=7)]]
    jobs = queue_of(waiting, running).jobs
    now = unix_time(SECOND.format(30))
    state = live_state(jobs, running, nodes, KEYS, now, 3600.0)
    assert list(state.waiting["job_id"]) == ["default/w", "default/g"]
    assert list(state.waiting["gpus"]) == [1.0, 8.0]
    assert list(state.waiting["nodes"]) == [1, 2]
    assert state.waiting["requested_time"].eq(3600.0).all()
    assert [tasks[0] for tasks in state.tasks] == [
        (places["n2"], 0b11),
        (places["n2"], 0b1100),
        (places["n2"], 0b110000),
    ]
    assert state.machine.reservations[0].nodes == (machine.node_names[places["n3"]],)
    made = snapshot(state.waiting, state.running, state.machine, Policy(), state.now, state.tasks)
    assert (made.scalars["waiting"][0], made.scalars["running"][0]) == (2, 3)
    assert made.room[places["n2"], GPU] == 2 * MILLI


def _workload(
    name: str, second: int = 0, priority: int | None = 0, *, queue: str = "q", **status: Any
) -> dict[str, Any]:
    template = {"metadata": {"labels": {"user": "ann"}}, "spec": pod(name, 8)["spec"]}
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "creationTimestamp": SECOND.format(second),
            "resourceVersion": "1",
        },
        "spec": {
            "queueName": queue,
            "podSets": [{"name": "main", "count": 4, "template": template}],
            "maximumExecutionTimeSeconds": 600,
            **({} if priority is None else {"priority": priority}),
        },
        "status": {"conditions": [{"type": kind, "status": value} for kind, value in status.items()]},
    }


SCOPE = Guards(namespaces=frozenset({"team"}), queues=frozenset({"q"}))


def _kueue(api: FakeApi, ranker: Any, guards: Guards = SCOPE) -> Outcome:
    return asyncio.run(KueueQueue(api.api(), ranker, guards, KEYS).cycle())


def _order(api: FakeApi) -> list[str]:
    return sorted(api.workloads, key=lambda name: -(api.workloads[name]["spec"].get("priority") or 0))


def test_workloads_in_scope_get_the_order_of_the_ranker_and_keep_what_they_came_with() -> None:
    odd = _workload("odd")
    odd["status"] = {"conditions": 7}
    out = [
        odd,
        _workload("x", queue="other"),
        _workload("in", QuotaReserved="True"),
        _workload("done", Finished="True"),
    ]
    api = FakeApi(
        nodes=[node(f"n{i}") for i in range(4)], workloads=[_workload("a"), _workload("b", 1), _workload("c", 2), *out]
    )
    before = copy.deepcopy({each["metadata"]["name"]: each for each in out})
    ranker = ByName()
    assert _kueue(api, ranker).written == 3
    assert _order(api)[:3] == ["c", "b", "a"]
    assert {name: api.workloads[name] for name in before} == before
    assert api.workloads["a"]["metadata"]["annotations"][ORIGINAL] == "0"
    (state,) = ranker.seen
    assert list(state.waiting["gpus"]) == [32.0] * 3
    assert list(state.waiting["user"]) == ["ann"] * 3
    assert list(state.waiting["requested_time"]) == [600.0] * 3
    assert _kueue(api, ranker).written == 0  # nothing moves that need not


def test_a_newcomer_moves_nobody() -> None:
    api = FakeApi(nodes=[node("n0")], workloads=[_workload("a"), _workload("c"), _workload("e")])
    _kueue(api, ByName())
    api.patches.clear()
    api.workloads["d"] = _workload("d", 9)
    _kueue(api, ByName())
    assert [name for name, _ in api.patches] == ["d"]
    assert _order(api) == ["e", "d", "c", "a"]


def test_priorities_go_back_when_the_switch_is_thrown(tmp_path: Path) -> None:
    start = [_workload("a", priority=3), _workload("b", priority=None), _workload("c", priority=3)]
    api = FakeApi(nodes=[node("n0")], workloads=start)
    before = {name: each["spec"].get("priority") for name, each in api.workloads.items()}
    switch = tmp_path / "stop"
    guards = Guards(SCOPE.namespaces, SCOPE.queues, kill_switch=switch, most_writes=2)
    _kueue(api, ByName(), guards)
    assert len(api.patches) == 2
    _kueue(api, ByName(), guards)
    assert _order(api)[0] == "c"  # the class of the others goes first, as it did
    switch.touch()
    _kueue(api, ByName(), guards)
    assert {name: each["spec"].get("priority") for name, each in api.workloads.items()} == before
    assert all(ORIGINAL not in each["metadata"].get("annotations", {}) for each in api.workloads.values())
    api.patches.clear()
    _kueue(api, ByName(), guards)
    assert api.patches == []


def test_a_workload_that_changed_meanwhile_waits_for_the_next_cycle() -> None:
    api = FakeApi(nodes=[node("n0")], workloads=[_workload("a"), _workload("b")])
    inner = ByName()

    class Meanwhile:
        def rank(self, state: LiveState) -> np.ndarray:
            api.workloads["a"]["metadata"]["resourceVersion"] = "99"
            return inner.rank(state)

    outcome = _kueue(api, Meanwhile())
    assert (outcome.written, outcome.refused) == (1, 1)
    assert _kueue(api, inner).refused == 0
    assert _order(api) == ["b", "a"]


def test_shadow_leaves_workloads_alone() -> None:
    api = FakeApi(nodes=[node("n0")], workloads=[_workload("a"), _workload("b")])
    _kueue(api, ByName(), Guards(SCOPE.namespaces, SCOPE.queues, shadow=True))
    assert api.patches == []


@settings(deadline=None)
@given(st.lists(st.integers(-5, 60), max_size=7), st.integers(-3, 20))
def test_priorities_fall_and_as_few_change_as_can(now: list[int], base: int) -> None:
    found = priorities(now, base)
    assert len(found) == len(now)
    assert all(a > b for a, b in itertools.pairwise(found))
    assert all(each > base for each in found)

    def may_stay(places: tuple[int, ...]) -> bool:
        ends = [(len(now), base), *((i, now[i]) for i in reversed(places))]
        return all(b[1] - a[1] >= a[0] - b[0] for a, b in itertools.pairwise(ends))

    most = max(n for n in range(len(now) + 1) if any(map(may_stay, itertools.combinations(range(len(now)), n))))
    assert sum(a == b for a, b in zip(now, found, strict=True)) >= most


def test_a_failing_cycle_is_counted_and_the_next_one_runs() -> None:
    api, metrics = FakeApi([pod("a", 1)], [node("n0")]), ControllerMetrics()
    controller = Controller(BindingQueue(api.api(), None, Guards(), KEYS, SCORES["spread"]), metrics, 1.0)
    api.down = True
    asyncio.run(controller.step())
    assert not controller.ready
    api.down = False
    asyncio.run(controller.step())
    assert controller.ready
    assert _names(api) == ["a"]
    count = metrics.registry.get_sample_value
    assert count("hpcai_controller_cycles_total", {"result": "error"}) == 1
    assert count("hpcai_controller_cycles_total", {"result": "success"}) == 1
    assert count("hpcai_controller_writes_total", {"result": "written"}) == 1


def test_a_cluster_without_nodes_or_with_nonsense_is_no_error() -> None:
    assert _cycle(FakeApi([pod("a", 1)], []), ByName()).written == 0
    nonsense = [{"metadata": {"name": "x"}}, {"metadata": {"name": "y"}, "spec": 3, "status": None}]
    api = FakeApi([*nonsense, pod("a", 1)], [*nonsense, node("n0")])
    assert _cycle(api, ByName()).written == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "other"}, "--mode other"),
        ({"mode": "kueue"}, "expected --namespace or --queue"),
        ({"default_time": "soon"}, "--default-time soon"),
        ({"score": "best"}, "--score best"),
        ({}, "--server"),
        ({"server": "nowhere"}, "--server nowhere"),
        ({"server": "https://x", "token_file": Path("/nowhere")}, "/nowhere"),
        ({"server": "https://x", "certificate_authority": Path("/nowhere")}, "/nowhere"),
    ],
)
def test_options_that_cannot_be_used_are_told(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match=message):
        controller_command(**options)


def test_an_open_extender_has_to_be_asked_for() -> None:
    with pytest.raises(InputError, match="--insecure"):
        extender_command(server="https://x")
    with pytest.raises(InputError, match="--tls-key"):
        extender_command(server="https://x", insecure=True, tls_certificate=Path("c"))
    with pytest.raises(InputError, match="cannot be used"):
        extender_command(server="http://x", insecure=True, tls_certificate=Path("/c"), tls_key=Path("/k"))
    with pytest.raises(InputError, match="cannot listen"):
        extender_command(server="http://x", insecure=True, host="192.0.2.1")
