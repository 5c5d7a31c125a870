"""``hpcai live``: what follows exported policies on live schedulers and plants."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from hpcai.live.cooling.commands import cooling_command
from hpcai.live.kubernetes.commands import kubernetes_app
from hpcai.live.slurm.commands import slurm_command
from hpcai.live.slurm.drain_commands import advice_command, drain_command
from hpcai.live.slurm.replay_commands import replay_command

live_app = typer.Typer(
    no_args_is_help=True, help="Follow an exported policy on a live scheduler or plant, in shadow first."
)


class _QueueUnlessNamed(TyperGroup):
    """Takes ``hpcai live slurm ...`` for ``hpcai live slurm queue ...`` where no other command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command that was meant."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["queue", *args])


slurm_app = typer.Typer(cls=_QueueUnlessNamed, help="Follow an exported policy on Slurm, in shadow first.")
slurm_app.command("queue")(slurm_command)
slurm_app.command("drain")(drain_command)
slurm_app.command("checkpoint-advice")(advice_command)

live_app.add_typer(slurm_app, name="slurm")
live_app.command("cooling")(cooling_command)
live_app.command("replay")(replay_command)
live_app.add_typer(kubernetes_app, name="kubernetes")


@live_app.callback()
def _group() -> None:
    """Follow an exported policy on a live scheduler or plant, in shadow first."""
