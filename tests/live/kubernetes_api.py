"""A stand-in for the API server: lists, bindings and merge patches of the objects that a test puts there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hpcai.live.kubernetes.api import Api

KUEUE = "/apis/kueue.x-k8s.io"


class FakeApi:
    """Holds pods, nodes and Workloads; ``refuse`` are names of pods that are not bound."""

    def __init__(self, pods: Iterable[Any] = (), nodes: Iterable[Any] = (), workloads: Iterable[Any] = ()) -> None:
        self.pods = {each["metadata"]["name"]: each for each in pods}
        self.nodes = list(nodes)
        self.workloads = {each["metadata"]["name"]: each for each in workloads}
        self.bound: list[tuple[str, str]] = []
        self.patches: list[tuple[str, Any]] = []
        self.refuse: set[str] = set()
        self.down = False
        self.dry = 0

    def api(self) -> Api:
        """A client that reaches this in the same process."""
        return Api(httpx.AsyncClient(transport=httpx.ASGITransport(self._app()), base_url="http://api"))

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/pods", self._list_pods),
                Route("/api/v1/nodes", self._list_nodes),
                Route("/api/v1/namespaces/{namespace}/pods/{name}/binding", self._bind, methods=["POST"]),
                Route(KUEUE, self._group),
                Route(f"{KUEUE}/v1beta2/workloads", self._list_workloads),
                Route(f"{KUEUE}/v1beta2/namespaces/{{namespace}}/workloads/{{name}}", self._patch, methods=["PATCH"]),
            ]
        )

    def _page(self, request: Request, items: list[Any]) -> Response:
        """Two objects a page, whatever is asked, so that every list has several."""
        if self.down:
            return JSONResponse({"message": "etcd is on holiday"}, 503)
        first = int(request.query_params.get("continue", 0))
        more = {"continue": str(first + 2)} if first + 2 < len(items) else {}
        return JSONResponse({"items": items[first : first + 2], "metadata": {"resourceVersion": "7", **more}})

    async def _list_pods(self, request: Request) -> Response:
        return self._page(request, list(self.pods.values()))

    async def _list_nodes(self, request: Request) -> Response:
        return self._page(request, self.nodes)

    async def _list_workloads(self, request: Request) -> Response:
        return self._page(request, list(self.workloads.values()))

    async def _group(self, _: Request) -> Response:
        return JSONResponse({"preferredVersion": {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}})

    async def _bind(self, request: Request) -> Response:
        name, body = request.path_params["name"], await request.json()
        pod = self.pods[name]
        if name in self.refuse or pod["spec"].get("nodeName"):
            return JSONResponse({"message": f"pod {name} cannot be bound"}, 409)
        if request.query_params.get("dryRun") == "All":
            self.dry += 1
        else:
            pod["spec"]["nodeName"] = body["target"]["name"]
            self.bound.append((name, body["target"]["name"]))
        return JSONResponse({"kind": "Status", "status": "Success"}, 201)

    async def _patch(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/merge-patch+json"
        name, body = request.path_params["name"], await request.json()
        item = self.workloads[name]
        if body["metadata"].pop("resourceVersion") != item["metadata"]["resourceVersion"]:
            return JSONResponse({"message": "the object has been modified"}, 409)
        self.patches.append((name, body["spec"]["priority"]))
        item["metadata"]["resourceVersion"] += "1"
        _merge(item, body)
        return JSONResponse(item)


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
