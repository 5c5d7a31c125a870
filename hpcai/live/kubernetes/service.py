"""The two services put together: what they know, what they do, what they listen on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hpcai.live.kubernetes.api import Api, Server
from hpcai.live.kubernetes.binding import BindingQueue
from hpcai.live.kubernetes.controller import Controller
from hpcai.live.kubernetes.extender import Limits, extender_app
from hpcai.live.kubernetes.guards import Guards
from hpcai.live.kubernetes.kueue import KueueQueue
from hpcai.live.kubernetes.learned import BY_RULES, Learned
from hpcai.live.kubernetes.metrics import ControllerMetrics, ExtenderMetrics
from hpcai.live.kubernetes.objects import Keys
from hpcai.live.kubernetes.placement import Score
from hpcai.live.kubernetes.server import Listen, health_app, run, server
from hpcai.live.kubernetes.view import ClusterView, keep
from hpcai.live.kubernetes.warm_up import warm_up, warm_up_learned
from hpcai.live.state import Ranker


@dataclass(frozen=True)
class Binding:
    """Pods that name a scheduler are bound."""

    scheduler: str
    score: Score


@dataclass(frozen=True)
class Kueue:
    """Workloads get priorities above ``base``."""

    base: int


async def serve_extender(
    api_server: Server,
    keys: Keys,
    score: Score,
    learned: Learned,
    limits: Limits,
    bind: bool,
    listen: Listen,
    health: Listen,
) -> None:
    """Serve the extender until a signal ends it. Raises InputError."""
    view, metrics = ClusterView(keys), ExtenderMetrics()

    def update() -> None:
        metrics.ready.set(view.ready)
        metrics.nodes.set(len(view.nodes))
        metrics.pods.set(len(view.pods))

    async with api_server.client() as client:
        api = Api(client)
        app = extender_app(view, score, metrics, limits, api if bind else None, learned)
        health_checks = health_app(lambda: view.ready, metrics.registry, update)
        await run([server(app, listen), server(health_checks, health)], _kept(learned, view, api))


async def _kept(learned: Learned, view: ClusterView, api: Api) -> None:
    """Keep the view once the policies can answer: until then it is not ready, and kube-scheduler goes on by itself."""
    if learned != BY_RULES:
        await asyncio.to_thread(warm_up_learned, learned)
    await keep(view, api)


async def serve_controller(
    api_server: Server,
    keys: Keys,
    work: Binding | Kueue,
    guards: Guards,
    ranker: Ranker | None,
    default_limit: float,
    interval: float,
    health: Listen,
) -> None:
    """Run the controller until a signal ends it. Raises InputError."""
    metrics = ControllerMetrics()
    async with api_server.client() as client:
        api = Api(client)
        queue: BindingQueue | KueueQueue
        if isinstance(work, Binding):
            queue = BindingQueue(api, ranker, guards, keys, work.score, work.scheduler, default_limit)
        else:
            queue = KueueQueue(api, ranker, guards, keys, work.base, default_limit)
        controller = Controller(queue, metrics, interval)
        health_checks = health_app(lambda: controller.ready, metrics.registry, lambda: None)
        await run([server(health_checks, health)], _prepared(ranker, controller))


async def _prepared(ranker: Ranker | None, controller: Controller) -> None:
    if ranker is not None:
        await asyncio.to_thread(warm_up, ranker)
    await controller.run()
