"""What kube-scheduler sends to the extender, what it gets back, and what others may send."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hpcai.live.kubernetes.api import Api, TokenFile
from hpcai.live.kubernetes.extender import Limits, extender_app
from hpcai.live.kubernetes.metrics import ExtenderMetrics
from hpcai.live.kubernetes.objects import Keys
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.kubernetes.server import Listen, QuietServer, health_app, server
from hpcai.live.kubernetes.view import ClusterView, keep
from tests.live.kubernetes_objects import gang, node, pod

NAMES = [f"n{i}" for i in range(4)]

# A request of kube-scheduler 1.20, as it came, shortened where nothing is read.
SAMPLE = {
    "Pod": {
        "metadata": {
            "name": "a",
            "namespace": "default",
            "uid": "903679b4-4194-438e-9930-8905277f7c2e",
            "resourceVersion": "206",
            "creationTimestamp": "2026-11-24T09:06:51Z",
            "managedFields": [
                {"manager": "client", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:spec": {}}}
            ],
        },
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "x",
                    "resources": {
                        "limits": {"nvidia.com/gpu": "4"},
                        "requests": {"cpu": "1", "nvidia.com/gpu": "4"},
                    },
                    "terminationMessagePath": "/dev/termination-log",
                    "imagePullPolicy": "Always",
                }
            ],
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
            ],
            "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    },
    "Nodes": None,
    "NodeNames": NAMES,
}


def _view(*pods: dict[str, Any], nodes: list[dict[str, Any]] | None = None) -> ClusterView:
    view = ClusterView(Keys())
    view.replace_nodes(nodes or [node(name, rack=f"r{i // 2}") for i, name in enumerate(NAMES)])
    view.replace_pods(pods)
    view.lost = {"nodes": float("inf"), "pods": float("inf")}
    return view


def _post(view: ClusterView, verb: str, content: Any, score: str = "best-fit", **given: Any) -> httpx.Response:
    headers = given.pop("headers", {})
    app = extender_app(view, SCORES[score], ExtenderMetrics(), **given)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            return await client.post(f"/{verb}", content=body, headers=headers)

    return asyncio.run(ask())


def _scores(view: ClusterView, content: Any, score: str = "best-fit") -> dict[str, int]:
    reply = _post(view, "prioritize", content, score)
    assert reply.status_code == 200
    return {each["Host"]: each["Score"] for each in reply.json()}


def _asks(item: dict[str, Any], names: list[str] = NAMES) -> dict[str, Any]:
    return {"Pod": item, "Nodes": None, "NodeNames": names}


def test_filter_keeps_what_has_room_and_says_why_not() -> None:
    view = _view(pod("x", 6, node="n0"), nodes=[node("n0"), node("n1"), node("n2", 2), node("n3", 0)])
    reply = _post(view, "filter", SAMPLE).json()
    assert reply["NodeNames"] == ["n1"]
    assert reply["Nodes"] is None
    assert set(reply["FailedNodes"]) == {"n0"}
    assert set(reply["FailedAndUnresolvableNodes"]) == {"n2", "n3"}
    assert reply["Error"] == ""


def test_filter_of_whole_nodes_returns_whole_nodes() -> None:
    items = [node("n0"), node("n1"), node("new")]
    view = _view(pod("x", 6, node="n0"))
    reply = _post(
        view, "filter", {"Pod": SAMPLE["Pod"], "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}
    ).json()
    assert reply["NodeNames"] is None
    assert reply["Nodes"]["items"] == items[1:]  # one that is not known yet is kube-scheduler's to judge


def test_best_fit_fills_and_spread_levels() -> None:
    view = _view(pod("x", 2, node="n1"), pod("y", 4, node="n2"))
    assert _scores(view, SAMPLE) == {"n0": 5, "n1": 8, "n2": 10, "n3": 5}
    assert _scores(view, SAMPLE, "spread") == {"n0": 5, "n1": 2, "n2": 0, "n3": 5}


def test_pods_without_gpus_stay_off_nodes_with() -> None:
    view = _view(nodes=[node("n0"), node("n1", 0), node("n2", 0)])
    scores = _scores(view, _asks(pod("p"), NAMES[:3]))
    assert scores["n0"] < scores["n1"] == scores["n2"]


def test_a_gang_gathers_in_the_rack_where_all_of_it_fits_then_near_its_mates() -> None:
    first, *others = gang("g", 4, 4)
    view = _view(pod("x", 6, node="n1"), first, *others)
    scores = _scores(view, _asks(first), "topology")
    assert min(scores["n2"], scores["n3"]) > max(scores["n0"], scores["n1"])
    first["spec"]["nodeName"] = "n3"
    view.change_pod("MODIFIED", first)
    scores = _scores(view, _asks(others[0]), "topology")
    assert scores["n3"] > scores["n2"] > max(scores["n0"], scores["n1"])


def test_preempt_keeps_nodes_that_the_victims_make_free_and_breaks_fewest_gangs() -> None:
    pods = [pod("a", 4, node="n0"), *gang("g", 2, 2, node="n0"), pod("b", 8, node="n1"), pod("c", 8, node="n2")]
    pods += [pod("d", 2, node="n3"), pod("e", 6, node="n3")]
    view = _view(*pods)
    victims = {"n0": ["g-0", "g-1"], "n1": ["b"], "n2": [], "n3": ["d", "e"]}
    metas = {n: {"Pods": [{"UID": f"uid-{v}"} for v in vs], "NumPDBViolations": 1} for n, vs in victims.items()}
    reply = _post(view, "preempt", {"Pod": SAMPLE["Pod"], "NodeNameToVictims": None, "NodeNameToMetaVictims": metas})
    kept = reply.json()["NodeNameToMetaVictims"]
    assert set(kept) == {"n0", "n1"}  # n2 stays full, n3 loses two jobs where the others lose one
    assert kept["n0"] == metas["n0"]
    whole = {n: {"Pods": [p for p in pods if p["metadata"]["name"] in vs]} for n, vs in victims.items()}
    reply = _post(view, "preempt", {"Pod": SAMPLE["Pod"], "NodeNameToVictims": whole, "NodeNameToMetaVictims": None})
    assert set(reply.json()["NodeNameToMetaVictims"]) == {"n0", "n1"}


def test_bind_writes_a_binding_and_counts_it() -> None:
    written = []

    def api_server(request: httpx.Request) -> httpx.Response:
        written.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(201, json={"kind": "Status", "status": "Success"})

    item = pod("a", 4)
    view = _view(item)
    client = httpx.AsyncClient(transport=httpx.MockTransport(api_server), base_url="http://api")
    asked = {"PodName": "a", "PodNamespace": "default", "PodUID": "uid-a", "Node": "n2"}
    assert _post(view, "bind", asked, api=Api(client)).json() == {"Error": ""}
    ((method, path, body),) = written
    assert (method, path) == ("POST", "/api/v1/namespaces/default/pods/a/binding")
    assert body["target"] == {"apiVersion": "v1", "kind": "Node", "name": "n2"}
    assert _scores(view, _asks(pod("b", 4)))["n2"] == 10
    astray = asked | {"PodName": "../../secrets"}
    assert "no name" in _post(view, "bind", astray, api=Api(client)).json()["Error"]
    assert len(written) == 1
    assert _post(view, "bind", asked).status_code == 404  # not served without leave to bind
    asyncio.run(client.aclose())


NESTED = b'{"Pod": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
ABSURD = [float("inf"), -1, "-5", "1e400", "9" * 400, [], {}, None, "x" * 10_000, "\ud800"]


@pytest.mark.parametrize("verb", ["filter", "prioritize", "preempt", "bind"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"1" * 10_000,
        b'{"Pod": NaN}',
        b"{}",
        NESTED,
        b'{"Pod": {}, "NodeNames": ["n0"]}',
        b'{"Pod": [], "NodeNames": "n0"}',
        b'{"Pod": {"metadata": 1, "spec": 2}, "NodeNames": {}}',
        json.dumps({**SAMPLE, "NodeNames": [1, None], "NodeNameToMetaVictims": [1]}).encode(),
        json.dumps({**SAMPLE, "NodeNames": None, "Nodes": {"items": 3}}).encode(),
        json.dumps({**SAMPLE, "NodeNames": None, "Nodes": {"items": [{}]}}).encode(),
        json.dumps({"Pod": SAMPLE["Pod"], "NodeNameToMetaVictims": {"n0": {"Pods": [{}]}}}).encode(),
        json.dumps(
            {"Pod": SAMPLE["Pod"], "NodeNameToMetaVictims": {"n0": {"Pods": [], "NumPDBViolations": "x"}}}
        ).encode(),
    ],
)
def test_wrong_requests_are_the_senders_fault(verb: str, body: bytes) -> None:
    reply = _post(_view(), verb, body, api=Api(httpx.AsyncClient()))
    assert reply.status_code == 400
    assert len(reply.json()["Error"]) < 200


@pytest.mark.parametrize("amount", ABSURD)
def test_absurd_amounts_never_end_in_a_server_error(amount: Any) -> None:
    for place in ("cpu", "nvidia.com/gpu", "memory"):
        item = pod("p")
        item["spec"]["containers"][0]["resources"]["requests"][place] = amount
        item["metadata"]["annotations"] = {"scheduling.x-k8s.io/pod-group-min-member": amount}
        body = json.dumps(_asks(item)).replace("Infinity", "1e999").encode()
        assert _post(_view(), "filter", body).status_code == 400
        assert _post(_view(), "prioritize", body).status_code == 400


def test_half_a_character_in_a_name_comes_back_as_it_went() -> None:
    reply = _post(_view(), "filter", _asks(pod("p"), ["\ud800"]))
    assert reply.status_code == 200
    assert b"\\ud800" in reply.content


def test_only_the_token_opens(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("swordfish\n")
    limits = Limits(TokenFile(secret))

    def status(**headers: str | bytes) -> int:
        return _post(_view(), "filter", SAMPLE, limits=limits, headers=headers).status_code

    basic = base64.b64encode(b"scheduler:swordfish").decode()
    assert status(authorization="Bearer swordfish") == 200
    assert status(authorization=f"Basic {basic}") == 200
    for wrong in (
        "Bearer wrong",
        "Bearer ",
        "swordfish",
        "Basic swordfish",
        "Basic !!",
        f"Bearer {basic}",
        b"Bearer \xe9",
    ):
        assert status(authorization=wrong) == 401
    assert status() == 401
    secret.write_text("renewed-token")
    assert status(authorization="Bearer swordfish") == 401
    assert status(authorization="Bearer renewed-token") == 200


def test_large_bodies_are_refused_whether_or_not_they_say_so() -> None:
    assert _post(_view(), "filter", b"x" * 50_000_000).status_code == 413

    async def parts() -> Any:
        for _ in range(60):
            yield b"x" * 1_000_000

    app = extender_app(_view(), SCORES["spread"], ExtenderMetrics())

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return (await client.post("/filter", content=parts())).status_code

    assert asyncio.run(ask()) == 413


def test_nothing_is_said_before_the_cluster_is_known() -> None:
    view = _view()
    view.lost["pods"] = 0.0
    assert _post(view, "filter", SAMPLE).status_code == 503


def test_unknown_ways_are_not_found() -> None:
    app = extender_app(_view(), SCORES["spread"], ExtenderMetrics())

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            replies = [await client.post("/other"), await client.get("/filter"), await client.get("/../etc/passwd")]
            return [reply.status_code for reply in replies]

    assert asyncio.run(ask()) == [404, 405, 404]


@contextlib.contextmanager
def _serving(view: ClusterView) -> Iterator[tuple[int, QuietServer, ExtenderMetrics]]:
    """A real server on a free port, in a thread of its own."""
    metrics = ExtenderMetrics()
    serving, bound = server(extender_app(view, SCORES["topology"], metrics), Listen("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(serving.serve(sockets=[bound])))
    thread.start()
    try:
        yield bound.getsockname()[1], serving, metrics
    finally:
        serving.should_exit = True
        thread.join(10)
        bound.close()
    assert not thread.is_alive()


def test_the_server_outlives_whatever_is_sent_and_delays_nothing() -> None:
    with _serving(_view()) as (port, serving, _), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.post("/filter", json=SAMPLE).json()["NodeNames"] == NAMES
        (connection,) = serving.server_state.connections
        bound = connection.transport.get_extra_info("socket")
        assert bound.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with contextlib.suppress(httpx.TransportError):  # it may hang up before all has come
            assert httpx.post(f"http://127.0.0.1:{port}/filter", content=b"x" * 50_000_000).status_code == 413
        for raw in (
            b"\x16\x03\x01\x00",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
            b"\r\n\r\n",
            b"POST /filter HTTP/1.1\r\n",
        ):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as other:
                other.sendall(raw)
        assert client.post("/filter", content=NESTED).status_code == 400
        assert client.post("/prioritize", json=SAMPLE).status_code == 200


def test_who_does_not_finish_a_head_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcai.live.kubernetes.punctual.PATIENCE", 0.25)
    begun, whole = b"POST /filter HT", b"GET /filter HTTP/1.1\r\nHost: x\r\n\r\n"
    with _serving(_view()) as (port, _, _):
        for sent in (b"", begun, whole + begun):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(sent)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(4096):
                        pass
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                assert client.post("/filter", json=SAMPLE).status_code == 200
                time.sleep(0.6)  # who has nothing to ask may stay
            assert len(client._transport._pool.connections) == 1  # type: ignore[attr-defined]


def test_health_and_metrics() -> None:
    metrics, view = ExtenderMetrics(), _view()
    app = health_app(lambda: view.ready, metrics.registry, lambda: metrics.nodes.set(len(view.nodes)))
    _ = metrics.requests.labels("filter", "200").inc()

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get(path)

    assert asyncio.run(ask("/readyz")).status_code == 200
    view.lost["nodes"] = 0.0
    assert asyncio.run(ask("/readyz")).status_code == 503
    assert asyncio.run(ask("/healthz")).status_code == 200
    text = asyncio.run(ask("/metrics")).text
    assert "hpcai_extender_nodes 4.0" in text
    assert 'hpcai_extender_requests_total{status="200",verb="filter"} 1.0' in text


def test_the_view_follows_the_watch() -> None:
    view = ClusterView(Keys())
    taken = pod("a", 4, node="n0")
    changes = [
        {"type": "ADDED", "object": pod("b", 2, node="n0")},
        {"type": "MODIFIED", "object": {"kind": "nonsense"}},
        {"type": "DELETED", "object": taken},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
        {"type": "MODIFIED", "object": pod("c", 1, node="n0") | {"status": {"phase": "Succeeded"}}},
    ]
    asked = []

    def api_server(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        pods = "pods" in request.url.path
        if "watch" in request.url.params:
            lines = "\n".join(json.dumps(change) for change in changes) if pods else ""
            return httpx.Response(200, text=lines)
        items = [taken, pod("c", 1, node="n0"), {"kind": "nonsense"}] if pods else [node("n0"), node("n1")]
        return httpx.Response(200, json={"items": items, "metadata": {"resourceVersion": "5"}})

    async def follow() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(api_server), base_url="http://api") as client:
            task = asyncio.create_task(keep(view, Api(client)))
            while "uid-a" in view.pods or not view.ready or not view.nodes:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(follow(), 10))
    assert set(view.pods) == {"uid-b"}
    gpus = view.room.free[:, view.room.gpu].ravel()
    assert np.array_equal(gpus, [6, 8])
    assert any("resourceVersion=5" in url for url in asked)
