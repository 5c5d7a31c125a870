"""The sub-commands of ``hpcai live kubernetes``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcai.errors import InputError

if TYPE_CHECKING:
    from hpcai.live.kubernetes.learned import Learned
    from hpcai.live.kubernetes.objects import Keys
    from hpcai.live.kubernetes.server import Listen

kubernetes_app = typer.Typer(no_args_is_help=True, help="Serve a Kubernetes cluster: where pods go, and who is next.")

Server = Annotated[
    str | None, typer.Option("--server", help="API server, https://HOST:PORT; in a pod, by default its cluster's.")
]
TokenPath = Annotated[Path | None, typer.Option("--token-file", help="Token for the API server.")]
Authority = Annotated[
    Path | None, typer.Option("--certificate-authority", help="Certificate that the API server's is signed by.")
]
Gpu = Annotated[
    list[str], typer.Option("--gpu-resource", help="Resource that is counted as GPUs. May be given several times.")
]
Gang = Annotated[str, typer.Option("--gang-label", help="Label of pods that start together.")]
GangSize = Annotated[str, typer.Option("--gang-size-key", help="Annotation, or label, with their least number.")]
Domain = Annotated[
    list[str], typer.Option("--domain", help="Node label of a level of the network, nearest first. Several.")
]
ScoreName = Annotated[str, typer.Option("--score", help="Which node suits best: best-fit, spread or topology.")]
HealthPort = Annotated[int, typer.Option("--health-port", help="Port of healthz, readyz and metrics.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log what is done, not only what goes wrong.")]

_GPUS = ["nvidia.com/gpu"]
_GANG = "scheduling.x-k8s.io/pod-group"
_GANG_SIZE = "scheduling.x-k8s.io/pod-group-min-member"
_DOMAINS = ["topology.kubernetes.io/rack", "topology.kubernetes.io/zone"]


@kubernetes_app.callback()
def _group() -> None:
    """Serve a Kubernetes cluster: where pods go, and who is next."""


@kubernetes_app.command("extender")
def extender_command(
    server: Server = None,
    token_file: TokenPath = None,
    certificate_authority: Authority = None,
    score: ScoreName = "topology",
    placement_bundle: Annotated[
        Path | None, typer.Option(help="Policy that scores nodes for pods with GPUs; without one --score does.")
    ] = None,
    placement_digest: Annotated[str | None, typer.Option(help="What its digest must be.")] = None,
    preemption_bundle: Annotated[
        Path | None, typer.Option(help="Policy that chooses among victims that break as many gangs.")
    ] = None,
    preemption_digest: Annotated[str | None, typer.Option(help="What its digest must be.")] = None,
    gpu_resource: Gpu = _GPUS,
    gang_label: Gang = _GANG,
    gang_size_key: GangSize = _GANG_SIZE,
    domain: Domain = _DOMAINS,
    bind: Annotated[bool, typer.Option("--bind", help="Serve the verb bind, too: needs the right to bind.")] = False,
    auth_token_file: Annotated[
        Path | None, typer.Option(help="Token that requests must have, as a bearer's or as a password.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate to serve with; plain HTTP without.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    client_authority: Annotated[
        Path | None, typer.Option(help="Answer only clients whose certificate this authority signed.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Answer anybody who reaches the port: neither token nor certificate.")
    ] = False,
    max_body: Annotated[int, typer.Option(min=1024, help="Largest request, in bytes.")] = 16 * 2**20,
    host: Host = "0.0.0.0",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the extender.")] = 8443,
    health_port: HealthPort = 8080,
    verbose: Verbose = False,
) -> None:
    """Answer kube-scheduler: which nodes have room for a pod, and which suits it best."""
    _log_to_stderr(verbose)
    from hpcai.live.kubernetes.api import Server as ApiServer
    from hpcai.live.kubernetes.api import TokenFile
    from hpcai.live.kubernetes.extender import Limits
    from hpcai.live.kubernetes.placement import score_named
    from hpcai.live.kubernetes.server import Listen
    from hpcai.live.kubernetes.service import serve_extender

    if not (auth_token_file or client_authority or insecure):
        raise InputError("--auth-token-file, --client-authority: expected one of the two, or --insecure")
    if (tls_certificate is None) != (tls_key is None):
        raise InputError("--tls-certificate, --tls-key: expected both or none")
    if client_authority and not tls_certificate:
        raise InputError("--client-authority: expected --tls-certificate and --tls-key beside it")
    limits = Limits(TokenFile(auth_token_file) if auth_token_file else None, max_body)
    listen = Listen(host, port, tls_certificate, tls_key, client_authority)
    keys = _keys(gpu_resource, gang_label, gang_size_key, domain)
    api = ApiServer.given(server, token_file, certificate_authority)
    learned = _learned(placement_bundle, placement_digest, preemption_bundle, preemption_digest)
    health = _health(host, health_port)
    asyncio.run(serve_extender(api, keys, score_named(score), learned, limits, bind, listen, health))


@kubernetes_app.command("controller")
def controller_command(
    bundle: Annotated[Path | None, typer.Option(help="Policy that ranks; without one the order of creation.")] = None,
    digest: Annotated[str | None, typer.Option(help="What the bundle's digest must be.")] = None,
    mode: Annotated[
        str, typer.Option(help="bind: pods that name this scheduler; kueue: priorities of Workloads.")
    ] = "bind",
    scheduler_name: Annotated[str, typer.Option(help="schedulerName of the pods to bind.")] = "hpcai",
    namespace: Annotated[
        list[str] | None, typer.Option(help="Only this namespace. May be given several times.")
    ] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Only this LocalQueue of Kueue. Several.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Log what would be written, write nothing.")] = False,
    max_writes: Annotated[int, typer.Option(min=1, help="Objects written in one cycle, at most.")] = 100,
    kill_switch: Annotated[
        Path | None, typer.Option(help="While this file exists: order of creation, priorities of Kueue as they were.")
    ] = None,
    strange: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of the queue unlike the training above which the policy is not followed."
        ),
    ] = 0.25,
    ignore_priority: Annotated[
        bool, typer.Option("--ignore-priority", help="Rank across classes of priority, not within them.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between cycles.")] = 2.0,
    default_time: Annotated[str, typer.Option(help="Run time shown to the policy for a job without a limit.")] = "1d",
    priority_base: Annotated[int, typer.Option(help="Kueue: priorities are set above this.")] = 0,
    server: Server = None,
    token_file: TokenPath = None,
    certificate_authority: Authority = None,
    score: ScoreName = "topology",
    gpu_resource: Gpu = _GPUS,
    gang_label: Gang = _GANG,
    gang_size_key: GangSize = _GANG_SIZE,
    domain: Domain = _DOMAINS,
    host: Host = "0.0.0.0",
    health_port: HealthPort = 8080,
    verbose: Verbose = False,
) -> None:
    """Order a queue: bind pods in the order of a policy, or set the priorities of Kueue's Workloads."""
    _log_to_stderr(verbose or shadow)
    from hpcai.configuration import seconds_in
    from hpcai.live.kubernetes.api import Server as ApiServer
    from hpcai.live.kubernetes.guards import Guards
    from hpcai.live.kubernetes.placement import score_named
    from hpcai.live.kubernetes.service import Binding, Kueue, serve_controller

    if mode not in ("bind", "kueue"):
        raise InputError(f"--mode {mode}: expected bind or kueue")
    if mode == "kueue" and not (namespace or queue):
        raise InputError(
            "--mode kueue: expected --namespace or --queue beside it, to say whose Workloads may be touched"
        )
    if (limit := seconds_in(default_time)) is None or limit <= 0:
        raise InputError(f"--default-time {default_time}: expected a time such as 90s, 20m, 12h or 1d")
    guards = Guards(
        namespaces=frozenset(namespace or ()),
        queues=frozenset(queue or ()),
        shadow=shadow,
        most_writes=max_writes,
        kill_switch=kill_switch,
        respect_priority=not ignore_priority,
    )
    ranker = None
    if bundle is not None:
        from hpcai.live.guards import RangeGuard
        from hpcai.live.ranking import load_ranker

        ranker = RangeGuard(load_ranker(bundle, digest), strange)
    work = Binding(scheduler_name, score_named(score)) if mode == "bind" else Kueue(priority_base)
    keys = _keys(gpu_resource, gang_label, gang_size_key, domain)
    api = ApiServer.given(server, token_file, certificate_authority)
    asyncio.run(serve_controller(api, keys, work, guards, ranker, limit, interval, _health(host, health_port)))


def _learned(
    placement: Path | None, placement_digest: str | None, preemption: Path | None, preemption_digest: str | None
) -> Learned:
    from hpcai.live.bundle import read_bundle
    from hpcai.live.kubernetes.learned import Learned, LivePlacement, LivePreemption

    return Learned(
        LivePlacement(read_bundle(placement, placement_digest)) if placement else None,
        LivePreemption(read_bundle(preemption, preemption_digest)) if preemption else None,
    )


def _keys(gpus: list[str], gang: str, gang_size: str, domains: list[str]) -> Keys:
    from hpcai.live.kubernetes.objects import Keys

    return Keys(gpus=tuple(gpus), gang=gang, gang_size=gang_size, domains=tuple(domains))


def _health(host: str, port: int) -> Listen:
    from hpcai.live.kubernetes.server import Listen

    return Listen(host, port)


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("hpcai").setLevel(logging.INFO if verbose else logging.WARNING)
