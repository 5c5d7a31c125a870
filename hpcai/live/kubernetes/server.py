"""Serving: the application over TLS, health and metrics on a port of their own, until a signal ends both.

Probes and Prometheus get their own port because they have neither the token nor a client certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hpcai.errors import InputError
from hpcai.live.kubernetes.punctual import PunctualProtocol


@dataclass(frozen=True)
class Listen:
    """Where to listen, and the TLS files."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None  # whose client certificates are asked for


class QuietServer(uvicorn.Server):
    """A server that leaves signals to :func:`run`, for there are two of them in one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def health_app(ready: Callable[[], bool], registry: CollectorRegistry, update: Callable[[], None]) -> Starlette:
    """Return the application with GET healthz (it runs), readyz (it is of use) and metrics, ``update`` called first."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ok") if ready() else PlainTextResponse("not ready", 503)

    async def metrics(_: Request) -> Response:
        update()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


def server(app: Starlette, listen: Listen) -> tuple[QuietServer, socket.socket]:
    """Return a server and the socket that it is to serve. Raises InputError if the address or a TLS file is of no use.

    Replies leave at once: connections inherit from the socket that Nagle's algorithm is off. (asyncio does so only for
    sockets made with their protocol's number, which neither the standard library's nor uvicorn's are.)
    """
    config = uvicorn.Config(
        app,
        http=PunctualProtocol,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
        ssl_ca_certs=str(listen.client_authority) if listen.client_authority else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if listen.client_authority else ssl.CERT_NONE,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"--tls-certificate {listen.certificate}: cannot be used: {error}") from error
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        bound = socket.create_server((listen.host, listen.port), family=family, backlog=256)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {listen.host} --port {listen.port}: cannot listen: {error}") from error
    return QuietServer(config), bound


async def run(servers: Sequence[tuple[QuietServer, socket.socket]], work: Coroutine[Any, Any, None]) -> None:
    """Serve and work until SIGTERM or SIGINT; an error of the work ends the servers, too."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for each, _ in servers:
            each.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: stop())
    try:
        await asyncio.gather(*(each.serve(sockets=[bound]) for each, bound in servers))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
