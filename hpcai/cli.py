"""The command line: thin, and quick to start because everything heavy is imported inside the commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hpcai.errors import HpcaiError
from hpcai.evaluation.commands import evaluate_command
from hpcai.evaluation.cooling.commands import cooling_app
from hpcai.evaluation.device_placement.commands import place_command
from hpcai.evaluation.device_placement.study_commands import devices_command
from hpcai.evaluation.failures.commands import failures_app
from hpcai.evaluation.faults.commands import checkpoints_command, drains_command, simulate_command
from hpcai.evaluation.gpu_cluster.commands import cluster_command
from hpcai.evaluation.live.commands import report_command
from hpcai.evaluation.network_commands import network_command
from hpcai.evaluation.placement_commands import placement_command
from hpcai.evaluation.site.commands import twin_app
from hpcai.learning.bundling.commands import export_command
from hpcai.learning.commands import train_app
from hpcai.learning.failures.commands import detect_command, plant_command, stragglers_command
from hpcai.learning.sweeps.commands import sweep_app
from hpcai.live.bundle_commands import bundle_app
from hpcai.live.commands import live_app
from hpcai.records.commands import trace_app
from hpcai.records.grid_commands import grid_app
from hpcai.records.weather_commands import weather_app

app = typer.Typer(
    name="hpcai",
    help="Replay recorded logs of a cluster, compare scheduling policies, report which would have served better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(trace_app, name="trace")
app.add_typer(weather_app, name="weather")
app.add_typer(grid_app, name="grid")
app.add_typer(train_app, name="train")
app.add_typer(sweep_app, name="sweep")
app.add_typer(bundle_app, name="bundle")
app.add_typer(live_app, name="live")
app.add_typer(cooling_app, name="cooling")
app.add_typer(twin_app, name="twin")
app.add_typer(failures_app, name="failures")
live_app.command("report")(report_command)
failures_app.command("checkpoints")(checkpoints_command)
failures_app.command("drains")(drains_command)
failures_app.command("simulate")(simulate_command)
failures_app.command("detect")(detect_command)
failures_app.command("stragglers")(stragglers_command)
failures_app.command("plant")(plant_command)
app.command("evaluate")(evaluate_command)
app.command("export")(export_command)
app.command("placement")(placement_command)
app.command("place")(place_command)
app.command("devices")(devices_command)
app.command("cluster")(cluster_command)
app.command("network")(network_command)


def _version(asked: bool) -> None:
    if asked:
        from hpcai import __version__

        print(f"hpcai {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Replay recorded logs of a cluster, compare scheduling policies, report which would have served better."""


def main() -> None:
    """Run the command line: bad input is one line and exit code 2, an interrupt is exit code 130."""
    try:
        app()
    except HpcaiError as error:
        sys.exit(_complain(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted", 130))
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(message: str, code: int) -> int:
    print(f"hpcai: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
