"""``hpcai live cooling``; whatever is heavy is imported when it runs."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.errors import HpcaiError

if TYPE_CHECKING:
    from hpcai.live.cooling.adapter import Cycle
    from hpcai.live.cooling.config import CoolingAdapterConfig


def cooling_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="An adapter as data; options go before what it says.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Exported controller.")] = None,
    digest: Annotated[str | None, typer.Option(help="What the bundle's digest has to be.")] = None,
    points: Annotated[str | None, typer.Option(help="Point map: registers of readings and setpoints, YAML.")] = None,
    host: Annotated[str | None, typer.Option(help="The plant's controller or gateway.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port.  [default: 502]")] = None,
    act: Annotated[
        bool | None, typer.Option("--act/--shadow", help="Write setpoints, or only record what would be written.")
    ] = None,
    poll: Annotated[str | None, typer.Option(help="From one look to the next.  [default: 5s]")] = None,
    interval: Annotated[
        str | None, typer.Option(help="From one decision to the next.  [default: as the bundle says, or 15m]")
    ] = None,
    calm: Annotated[int | None, typer.Option(help="Good looks before setpoints are written.  [default: 12]")] = None,
    forecast: Annotated[
        str | None, typer.Option(help="Weather to come, any table that hpcai reads; by default it stays as it is.")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Price or carbon intensity to come.")] = None,
    shield: Annotated[
        str | None, typer.Option(help="Guard it by a fast plant that is like the site, a preset or YAML file.")
    ] = None,
    utc_offset: Annotated[
        float | None, typer.Option(help="Of local standard time, in hours.  [default: the system's]")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of Prometheus metrics; none by default.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Folder of the decision log and STOP.  [default: hpcai-cooling]")
    ] = None,
    cycles: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Give the plant its own setpoints back, whoever wrote others, and end.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing for a decision.")] = False,
) -> None:
    """Follow an exported controller on a plant behind Modbus TCP, or say what that would do."""
    from hpcai.live.cooling.config import load_cooling_config

    given: dict[str, Any] = {
        "bundle": "none" if release and config is None and bundle is None else bundle,
        "digest": digest, "points": points, "host": host, "port": port, "poll": poll, "interval": interval,
        "calm": calm, "shield": shield, "forecast": forecast, "rate": rate, "utc_offset": utc_offset,
        "metrics_port": metrics_port, "state": state, "mode": None if act is None else "act" if act else "shadow",
    }  # fmt: skip
    settings = load_cooling_config(config, {key: value for key, value in given.items() if value is not None})
    logging.basicConfig(level=logging.WARNING, format="hpcai: %(message)s")
    if release:
        _release(settings)
        return
    from hpcai.live.cooling.service import Service

    Service(settings).run(cycles, told=None if quiet else _Printer())


def _release(settings: CoolingAdapterConfig) -> None:
    from hpcai.live.cooling.service import release

    refused = release(settings)
    if refused:
        raise HpcaiError(f"not all was put back: {'; '.join(refused)}")
    print(f"{settings.host}:{settings.port}: the plant has its own setpoints", file=sys.stdout)


class _Printer:
    """Prints a line for each decision, and for each change of state."""

    def __init__(self) -> None:
        self._before = ("", "")

    def __call__(self, cycle: Cycle) -> None:
        import time

        now = (cycle.state, cycle.reason)
        if now == self._before and not cycle.decided:
            return
        self._before = now
        parts = [time.strftime("%H:%M:%S", time.localtime(cycle.at)), cycle.state]
        if cycle.reason:
            parts.append(cycle.reason)
        elif cycle.target:
            parts.append(", ".join(f"{name} {value:.4g}" for name, value in cycle.target.items()))
        print("  ".join(parts), flush=True)
