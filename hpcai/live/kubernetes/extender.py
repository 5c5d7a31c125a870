"""The scheduler extender as a web application: kube-scheduler asks it which nodes fit a pod and which suit it best."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hpcai.live.kubernetes.api import Api, ApiError, TokenFile
from hpcai.live.kubernetes.learned import BY_RULES, Learned, learned_costs, learned_marks
from hpcai.live.kubernetes.metrics import ExtenderMetrics
from hpcai.live.kubernetes.placement import Score
from hpcai.live.kubernetes.verbs import Answer as VerbAnswer
from hpcai.live.kubernetes.verbs import RequestError, bind_arguments, filter_nodes, marks_by, preempter, prioritizer
from hpcai.live.kubernetes.view import ClusterView

_log = logging.getLogger(__name__)
_PATIENCE: Final = 5.0  # s in which a request must have come whole

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Limits:
    """Whose requests are answered, and how large they may be."""

    token: TokenFile | None = None
    body: int = 16 * 2**20  # bytes


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def extender_app(
    view: ClusterView,
    score: Score,
    metrics: ExtenderMetrics,
    limits: Limits = Limits(),
    api: Api | None = None,
    learned: Learned = BY_RULES,
) -> Starlette:
    """Return the application with POST filter, prioritize, preempt, and bind where ``api`` is there to bind by."""
    prioritize, preempt = _answers(score, learned, metrics)

    async def by_filter(arguments: Mapping[str, Any]) -> Any:
        return filter_nodes(view, arguments)

    async def by_score(arguments: Mapping[str, Any]) -> Any:
        return prioritize(view, arguments)

    async def by_victims(arguments: Mapping[str, Any]) -> Any:
        return preempt(view, arguments)

    async def by_binding(arguments: Mapping[str, Any]) -> Any:
        return await _bind(view, api, arguments)

    answers = {"filter": by_filter, "prioritize": by_score, "preempt": by_victims}
    if api is not None:
        answers["bind"] = by_binding
    routes = [_route(verb, answer, view, metrics, limits) for verb, answer in answers.items()]
    return Starlette(routes=routes)


def _answers(score: Score, learned: Learned, metrics: ExtenderMetrics) -> tuple[VerbAnswer, VerbAnswer]:
    """Return the answers to prioritize and preempt, by bundles where there are any."""
    marks, costs = marks_by(score), None
    if learned.placement is not None:
        marks = learned_marks(learned.placement, marks, metrics.fallbacks.labels("prioritize").inc)
    if learned.preemption is not None:
        costs = learned_costs(learned.preemption, metrics.fallbacks.labels("preempt").inc)
    return prioritizer(marks), preempter(costs)


def _route(verb: str, answer: Answer, view: ClusterView, metrics: ExtenderMetrics, limits: Limits) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            _authorise(request, limits)
            body = await _body(request, limits)
            with metrics.timed(verb):
                if not view.ready:
                    raise _RefusedError(503, "the state of the cluster is not known yet")
                reply = _reply(200, await answer(_arguments(body)))
        except _RefusedError as refused:
            reply = _reply(refused.status, {"Error": str(refused)})
        except RequestError as error:
            reply = _reply(400, {"Error": str(error)})
        except RecursionError:
            reply = _reply(400, {"Error": "expected JSON that is nested less"})
        except Exception:
            _log.exception("%s failed", verb)
            reply = _reply(500, {"Error": "internal error"})
        metrics.requests.labels(verb, str(reply.status_code)).inc()
        return reply

    return Route(f"/{verb}", endpoint, methods=["POST"])


def _authorise(request: Request, limits: Limits) -> None:
    """Take the token as a bearer's, or as the password of basic authentication, which a URL may carry."""
    if limits.token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            given = ""
    if not hmac.compare_digest(given.encode(), limits.token.current().encode()):
        raise _RefusedError(401, "expected the token of the extender")


async def _body(request: Request, limits: Limits) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > limits.body:
        raise _RefusedError(413, f"expected a body of {limits.body} bytes at most")
    parts, size = [], 0
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise _RefusedError(413, f"expected a body of {limits.body} bytes at most")
                parts.append(part)
    except TimeoutError:
        raise _RefusedError(408, f"expected the request within {_PATIENCE:g} s") from None
    except ClientDisconnect:
        raise _RefusedError(400, "the request was cut off") from None
    return b"".join(parts)


def _arguments(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RequestError("expected JSON") from None
    if not isinstance(found, dict):
        raise RequestError("expected a JSON object")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _reply(status: int, content: Any) -> Response:
    # ASCII alone: half a surrogate pair in a name could not be encoded.
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(json.dumps(content, separators=(",", ":")), status, headers, "application/json")


async def _bind(view: ClusterView, api: Api | None, arguments: Mapping[str, Any]) -> dict[str, str]:
    namespace, pod, uid, node = bind_arguments(arguments)
    if api is None:
        raise RequestError("bind: not served here")
    try:
        await api.bind(namespace, pod, uid, node)
    except ApiError as error:
        return {"Error": str(error)}
    view.assume(uid, node)
    return {"Error": ""}
