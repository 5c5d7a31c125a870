"""``hpcai live``: what follows exported policies on live schedulers and plants."""

from __future__ import annotations

import typer

from hpcai.live.cooling.commands import cooling_command
from hpcai.live.kubernetes.commands import kubernetes_app
from hpcai.live.slurm.commands import slurm_command
from hpcai.live.slurm.replay_commands import replay_command

live_app = typer.Typer(
    no_args_is_help=True, help="Follow an exported policy on a live scheduler or plant, in shadow first."
)

live_app.command("slurm")(slurm_command)
live_app.command("cooling")(cooling_command)
live_app.command("replay")(replay_command)
live_app.add_typer(kubernetes_app, name="kubernetes")


@live_app.callback()
def _group() -> None:
    """Follow an exported policy on a live scheduler or plant, in shadow first."""
