"""``hpcai sweep``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hpcai.options import Launcher, SlurmSettings, Workers, launch_of

if TYPE_CHECKING:
    from hpcai.learning.sweeps.sweep import Sweep


class _RunByDefault(TyperGroup):
    """A group whose first word, where it names no command, is what ``run`` takes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


sweep_app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Survey parameters: hpcai sweep CONFIG.yaml [OPTIONS] is short for hpcai sweep run CONFIG.yaml.",
)

Storage = Annotated[
    str, typer.Argument(metavar="STORAGE", help="sqlite:///FILE, postgresql://USER@HOST/BASE, or a journal's path.")
]
Name = Annotated[str | None, typer.Option(help="Name of the sweep, where the storage holds several.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")]


@sweep_app.callback()
def _group() -> None:
    """Survey parameters: hpcai sweep CONFIG.yaml [OPTIONS] is short for hpcai sweep run CONFIG.yaml."""


@sweep_app.command("run")
def run_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="What is searched, by what, for how long.")],
    trace: Annotated[list[str] | None, typer.Option(help="A log instead of what the file says.")] = None,
    budget: Annotated[str | None, typer.Option(help="'200 trials', or a time: 90s, 20m, 2h.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="sqlite:///FILE, postgresql://USER@HOST/BASE, or a journal's path.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder for report, trials and, by default, the journal.")] = None,
    workers: Workers = 1,
    launcher: Launcher = "local",
    slurm: SlurmSettings = None,
    quiet: Quiet = False,
) -> None:
    """Run a sweep; the same command goes on with one that was cut short."""
    options = {"trace": trace, "budget": budget, "seed": seed, "storage": storage, "out": out}
    given = {key: value for key, value in options.items() if value is not None and value != []}
    from hpcai.learning.sweeps.config import load_config
    from hpcai.learning.sweeps.sweep import run

    settings = load_config(config, given)
    how = launch_of(workers, launcher, slurm)
    try:
        result = run(settings, launch=how, quiet=quiet)
    except KeyboardInterrupt:
        print("\nhpcai: interrupted; finished trials are in the storage, the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        _print(result)


@sweep_app.command("join")
def join_command(storage: Storage, name: Name = None, quiet: Quiet = False) -> None:
    """Help with a sweep that was begun elsewhere; its logs and programs must be here under the same names.

    What a sweep does lies in its storage: join only those whose storage you trust.
    """
    from hpcai.learning.sweeps.objectives import make_objective
    from hpcai.learning.sweeps.study import check_inputs, join_study
    from hpcai.learning.sweeps.worker import Worker

    study, config = join_study(storage, name, patience=600.0)
    objective = make_objective(config)
    check_inputs(study, objective.inputs)
    done: list[int] = []
    try:
        Worker(study, config, objective, callback=lambda record: done.append(record.number)).work()
    finally:
        if not quiet:
            print(f"{len(done)} trials of {config.name} were made here")


@sweep_app.command("report")
def report_command(
    storage: Storage,
    name: Name = None,
    out: Annotated[str | None, typer.Option(help="Folder for the report; that of the sweep by default.")] = None,
) -> None:
    """Write the report of a sweep as far as it is."""
    from hpcai.learning.sweeps.study import join_study
    from hpcai.learning.sweeps.sweep import conclude

    study, config = join_study(storage, name, patience=0.0)
    config = config if out is None else config.model_copy(update={"out": out})
    _print(conclude(study, config, quiet=False))


def _print(result: Sweep) -> None:
    """Print the best points and where the report lies."""
    from hpcai.evaluation.humanise import number
    from hpcai.learning.sweeps.proof import winners_of

    names = [target.name.replace("_", " ") for target in result.config.targets]
    for trial in winners_of(result.study):
        values = ", ".join(f"{name} {number(value)}" for name, value in zip(names, trial.values, strict=True))
        point = ", ".join(f"{key} = {_short(value)}" for key, value in trial.params.items())
        print(f"trial {trial.number}: {values}   {point}")
    for answer in result.proof["answers"] if result.proof else []:
        print(f"\nTest, once, after {result.proof['trials'] if result.proof else 0} trials: {answer}")
    print(f"\nReport: {result.report}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
