"""The sub-commands of ``hpcai train``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from hpcai.errors import InputError
from hpcai.learning.cluster_commands import train_cluster_command
from hpcai.learning.cooling.commands import train_cooling_command
from hpcai.learning.device_placement.commands import train_devices_command
from hpcai.learning.placement_commands import train_placement_command
from hpcai.learning.runtime_commands import train_runtime_command
from hpcai.learning.site.commands import train_site_command
from hpcai.options import LAUNCH_OPTIONS, Launcher, SlurmSettings, Workers, launch_of

if TYPE_CHECKING:
    from hpcai.learning.training import Trained

train_app = typer.Typer(no_args_is_help=True, help="Learn from recorded logs.")


train_app.command("runtime")(train_runtime_command)
train_app.command("placement")(train_placement_command)
train_app.command("cluster")(train_cluster_command)
train_app.command("cooling")(train_cooling_command)
train_app.command("device-placement")(train_devices_command)
train_app.command("site")(train_site_command)


@train_app.callback()
def _group() -> None:
    """Learn from recorded logs."""


@train_app.command("scheduling")
def scheduling_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="A run as data; options go before what it says.")
    ] = None,
    trace: Annotated[list[str] | None, typer.Option(help="A log; several make one policy for all.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="A preset, a YAML file or a number of processors; the log's own by default.")
    ] = None,
    algo: Annotated[
        str | None, typer.Option(help="maskable-ppo, ppo, dqn or formula.  [default: maskable-ppo]")
    ] = None,
    backfill: Annotated[str | None, typer.Option(help="none, easy or conservative.  [default: easy]")] = None,
    estimate: Annotated[
        str | None, typer.Option(help="requested (time) or actual: what the scheduler believes.")
    ] = None,
    objective: Annotated[str | None, typer.Option(help="Metric to better.  [default: mean_bounded_slowdown]")] = None,
    window: Annotated[
        int | None, typer.Option(help="Jobs in a training window.  [default: 256; a formula's 1024]")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="90s, 20m, 1h, or '5000 steps'.  [default: 20m]")] = None,
    patience: Annotated[int | None, typer.Option(help="Validations without improvement before it stops.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Ordering to imitate first, or none.  [default: saf]")] = None,
    n_envs: Annotated[int | None, typer.Option(help="Environments side by side.  [default: 64]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.  [default: 0]")] = None,
    seeds: Annotated[str | None, typer.Option(help="A run for each, such as 0,1,2, into OUT/seed-0 and so on.")] = None,
    workers: Workers = 1,
    launcher: Launcher = "local",
    slurm: SlurmSettings = None,
    out: Annotated[str | None, typer.Option(help="Folder for the run.  [default: runs/training]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Teach a policy which job starts next, on the first 60 % of a log; the last 30 % stay unseen."""
    given = {
        key: value
        for key, value in locals().items()
        if key not in ("config", "seeds", "resume", "quiet", *LAUNCH_OPTIONS) and value is not None and value != []
    }
    if given.get("teacher") == "none":
        given["teacher"] = None
    from hpcai.learning.config import load_config, make_config
    from hpcai.learning.seeds import parse_seeds, train_seeds
    from hpcai.learning.training import train

    settings = load_config(config, given) if config else make_config(given, "hpcai train scheduling")
    launch = launch_of(workers, launcher, slurm)
    if seeds is None and not launch.here:
        raise InputError("--workers, --launcher: a single run has one worker, here; expected --seeds beside them")
    if seeds is not None and seed is not None:
        raise InputError("--seed, --seeds: expected one of the two")
    try:
        if seeds is not None:
            runs = train_seeds(settings, parse_seeds(seeds), launch, resume=resume, quiet=quiet)
        else:
            runs = [train(settings, resume=resume, quiet=quiet)]
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; what was learned is in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        (_print_runs if seeds is not None else _print_run)(runs)


def _print_run(runs: list[Trained]) -> None:
    """Print what one run found, and how to judge it."""
    (trained,) = runs
    print(textwrap.shorten(trained.result, 200, placeholder=" ..."))
    print(f"{trained.score:.3f} of {trained.rival}, before the test part")
    print(f"Run: {trained.folder}\nJudge it on the unseen part: {_judging(runs)}")


def _print_runs(runs: list[Trained]) -> None:
    """Print the scores of several seeds, their mean and their range, and how to judge the runs."""
    scores = [run.score for run in runs]
    print("seed  score")
    for run in runs:
        print(f"{run.config.seed:>4}  {run.score:.3f} of {run.rival}")
    mean = sum(scores) / len(scores)
    print(f"mean  {mean:.3f}, from {min(scores):.3f} to {max(scores):.3f}, before the test part")
    print(f"Runs: {runs[0].folder.parent}\nJudge them on the unseen part: {_judging(runs)}")


def _judging(runs: list[Trained]) -> str:
    policies = dict.fromkeys([*(run.rival for run in runs), *(f"run:{run.folder}" for run in runs)])
    return f"hpcai evaluate --policies {','.join(policies)} --trace ..."
