"""``hpcai live slurm drain`` and ``checkpoint-advice``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.errors import HpcaiError

if TYPE_CHECKING:
    from hpcai.live.slurm.drain import DrainCycle
    from hpcai.live.slurm.drain_config import DrainConfig

Events = Annotated[
    list[str] | None,
    typer.Option(help="accounting, a system log with Xid lines, or a failure log; several.  [default: accounting]"),
]


def drain_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="An adapter as data; options go before what it says.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Exported detector or drain policy.")] = None,
    digest: Annotated[str | None, typer.Option(help="What the bundle's digest has to be.")] = None,
    act: Annotated[
        bool | None, typer.Option("--act/--shadow", help="Drain, or only say what would be drained.")
    ] = None,
    events: Events = None,
    telemetry: Annotated[str | None, typer.Option(help="Table of telemetry, for a detector that looks at it.")] = None,
    interval: Annotated[str | None, typer.Option(help="From one look to the next.  [default: 10m]")] = None,
    hold: Annotated[str | None, typer.Option(help="Of a drain.  [default: as the bundle says]")] = None,
    budget: Annotated[
        int | None, typer.Option(min=0, help="Most nodes held at a time.  [default: the bundle's share of the nodes]")
    ] = None,
    partition: Annotated[list[str] | None, typer.Option(help="Partition whose nodes may be drained; several.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Node that never is; several.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Folder of the decision log, the ledger and STOP.  [default: hpcai-drain]")
    ] = None,
    cycles: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Give back every node that was drained, and end.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing for a look.")] = False,
) -> None:
    """Drain nodes that are about to fail, for a while, or say which."""
    from hpcai.live.slurm.drain_config import load_drain_config
    from hpcai.live.slurm.drain_service import DrainService

    given: dict[str, Any] = {
        "bundle": "none" if undo and config is None and bundle is None else bundle,
        "digest": digest, "events": events, "telemetry": telemetry, "interval": interval,
        "hold": hold, "budget": budget, "partitions": partition, "exclude": exclude, "state": state,
        "mode": None if act is None else "act" if act else "shadow",
    }  # fmt: skip
    settings = load_drain_config(config, {key: value for key, value in given.items() if value is not None})
    if undo:
        _undo(settings)
    else:
        DrainService(settings).run(cycles, told=None if quiet else _print_cycle)


def _undo(settings: DrainConfig) -> None:
    from hpcai.live.slurm.drain_service import undo

    done, failed = undo(settings)
    print(f"{settings.ledger_path}: {len(done)} nodes given back" + (f": {', '.join(done)}" if done else ""))
    if failed:
        node, why = next(iter(failed.items()))
        raise HpcaiError(f"{len(failed)} nodes could not be given back, such as {node}: {why}")


def _print_cycle(cycle: DrainCycle) -> None:
    """Print a cycle in a line, and one for each node that it is about."""
    import time

    held = f"{len(cycle.held)} {'held' if cycle.mode == 'act' else 'would be held'}"
    parts = [time.strftime("%H:%M:%S", time.localtime(cycle.at)), f"{cycle.asked} nodes asked, {held}"]
    if cycle.fallback:
        parts.append(f"not followed: {cycle.fallback}")
    for words, nodes in (("given back", cycle.released), ("now others'", cycle.taken_over)):
        if nodes:
            parts.append(f"{words}: {', '.join(nodes)}")
    print("  ".join(parts), flush=True)
    for node, risk in cycle.wanted.items():
        if node in cycle.failed:
            print(f"  {node}  risk {risk:.3g}  refused: {cycle.failed[node]}", flush=True)
        else:
            print(
                f"  {node}  risk {risk:.3g}  {'drained' if node in cycle.drained else 'would be drained'}", flush=True
            )


def advice_command(
    bundle: Annotated[str, typer.Option(help="Exported checkpoint policy.")],
    digest: Annotated[str | None, typer.Option(help="What the bundle's digest has to be.")] = None,
    job: Annotated[list[str] | None, typer.Option(help="Id of a running job; several. All by default.")] = None,
    events: Events = None,
    history: Annotated[str, typer.Option(help="How far events are looked back on.")] = "180d",
    timeout: Annotated[str, typer.Option(help="Of each answer of Slurm.")] = "30s",
) -> None:
    """Print for each running job, as JSON, how long it should compute until its next checkpoint."""
    from hpcai.live.slurm.advice import advice

    print(json.dumps(advice(bundle, digest, job, events, history, timeout), indent=2, allow_nan=False))
