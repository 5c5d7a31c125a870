"""``hpcai live slurm``; whatever is heavy is imported when it runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.errors import InputError

if TYPE_CHECKING:
    from hpcai.live.slurm.config import AdapterConfig
    from hpcai.live.slurm.cycle import Cycle

_SCOPE = ("partitions", "accounts", "users")
_SHOWN = 20  # jobs of a dry run


def slurm_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="An adapter as data; options go before what it says.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Exported policy.")] = None,
    digest: Annotated[str | None, typer.Option(help="What the bundle's digest has to be.")] = None,
    act: Annotated[
        bool | None, typer.Option("--act/--shadow", help="Write the order, or only record what would be written.")
    ] = None,
    interval: Annotated[str | None, typer.Option(help="From one look to the next.  [default: 10s]")] = None,
    how: Annotated[
        str | None, typer.Option(help="What is written: site_factor, nice or priority.  [default: site_factor]")
    ] = None,
    partition: Annotated[list[str] | None, typer.Option(help="Partition whose jobs are put in order; several.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Account whose jobs are put in order; several.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="User whose jobs are put in order; several.")] = None,
    longest_delay: Annotated[
        str | None, typer.Option(help="Wait after which no job is put behind its own place.  [default: 2d]")
    ] = None,
    url: Annotated[str | None, typer.Option(help="slurmrestd, http://HOST:PORT or unix:/PATH.")] = None,
    token_file: Annotated[str | None, typer.Option(help="Its token; by default SLURM_JWT.")] = None,
    machine: Annotated[str | None, typer.Option(help="A preset or YAML file; by default as Slurm tells.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Folder of the decision log, the ledger and STOP.  [default: hpcai-slurm]")
    ] = None,
    cycles: Annotated[int | None, typer.Option(help="End after so many looks.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look once, print the order, write nothing.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Put back whatever an adapter that is gone has changed, and end.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing for a cycle.")] = False,
) -> None:
    """Put Slurm's queue in the order of an exported policy, or say what that would do.

    Other commands for Slurm: drain, of nodes that are about to fail, and checkpoint-advice.
    """
    given: dict[str, Any] = {
        "bundle": bundle, "digest": digest, "interval": interval, "how": how, "longest_delay": longest_delay,
        "url": url, "token_file": token_file, "machine": machine, "state": state,
        "mode": None if act is None else "act" if act else "shadow",
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    scope = {key: value for key, value in zip(_SCOPE, (partition, account, user), strict=True) if value}
    settings = _settings(config, given | ({"scope": scope} if scope else {}), restore)
    logging.basicConfig(level=logging.WARNING, format="hpcai: %(message)s")
    if restore:
        _restore(settings)
    elif dry_run:
        _dry_run(settings)
    else:
        from hpcai.live.slurm.service import Service

        Service(settings).run(cycles, told=None if quiet else _print_cycle)


def _settings(config: str | None, given: dict[str, Any], restore: bool) -> AdapterConfig:
    from hpcai.live.slurm.config import load_adapter_config, make_adapter_config

    if restore and config is None:
        given = {"bundle": "none"} | given  # nobody is asked
    if config is None and "bundle" not in given:
        raise InputError("live slurm: expected a CONFIG.yaml or --bundle")
    return load_adapter_config(config, given) if config else make_adapter_config(given, "hpcai live slurm")


def _restore(settings: AdapterConfig) -> None:
    from hpcai.live.slurm.service import restore

    done, left = restore(settings)
    print(
        f"{settings.ledger_path}: {len(done)} jobs put back"
        + (f"; {len(left)} not: {', '.join(left[:5])}" if left else "")
    )


def _dry_run(settings: AdapterConfig) -> None:
    """Print the first jobs of the order, each with its place in the site's own."""
    from hpcai.live.slurm.service import dry_run

    cycle = dry_run(settings)
    _print_cycle(cycle)
    assert cycle.plan is not None
    places = {job: place for place, job in enumerate(cycle.plan.site, 1)}
    print("place  job         own place  value to write")
    for place, job in enumerate(cycle.plan.order[:_SHOWN], 1):
        print(f"{place:>5}  {job:<10}  {places[job]:>9}  {cycle.plan.changes.get(job, 'as it is'):>14}")
    if len(cycle.plan.order) > _SHOWN:
        print(f"and {len(cycle.plan.order) - _SHOWN} more")


def _print_cycle(cycle: Cycle) -> None:
    """Print a cycle in a line."""
    import time

    parts = [time.strftime("%H:%M:%S", time.localtime(cycle.at)), f"{cycle.waiting} wait, {cycle.scope} in scope"]
    if cycle.fallback:
        parts.append(f"not followed: {cycle.fallback}")
    elif cycle.plan is not None:
        moved = sum(a != b for a, b in zip(cycle.plan.order, cycle.plan.site, strict=True))
        parts.append(f"{moved} would stand elsewhere than in the site's order")
    if cycle.written:
        parts.append(f"{len(cycle.written)} values written")
    if cycle.failed:
        job, why = next(iter(cycle.failed.items()))
        parts.append(f"{len(cycle.failed)} refused, such as {job}: {why}")
    if cycle.immovable:
        parts.append(f"{len(cycle.immovable)} cannot be moved, such as {cycle.immovable[0]}")
    if cycle.restored:
        parts.append(f"{len(cycle.restored)} put back")
    parts.append(f"{cycle.seconds['all'] * 1000:.0f} ms")
    print("  ".join(parts), flush=True)
