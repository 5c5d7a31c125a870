"""``hpcai evaluate``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hpcai.options import LAUNCH_OPTIONS, Launcher, SlurmSettings, Workers, launch_of

if TYPE_CHECKING:
    from hpcai.evaluation.evaluate import Evaluation


def evaluate_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="An experiment; options go before what it says.")
    ] = None,
    trace: Annotated[list[str] | None, typer.Option(help="A log; may be given several times.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="A preset, a YAML file or a number of processors; the log's own by default.")
    ] = None,
    policies: Annotated[
        str | None, typer.Option(help="Orderings, separated by commas: fcfs,sjf,'expr:size*requested_time'.")
    ] = None,
    backfill: Annotated[str | None, typer.Option(help="none, easy, conservative; several with commas.")] = None,
    windows: Annotated[str | None, typer.Option(help="NxM: N windows of M jobs; or all.  [default: 50x1024]")] = None,
    part: Annotated[
        str | None, typer.Option(help="test (last 30 %), validation, train or all.  [default: test; all for all]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of windows and intervals.  [default: 0]")] = None,
    predictor: Annotated[
        str | None, typer.Option(help="none, tsafrir, actual, or a file that 'hpcai train runtime' wrote.")
    ] = None,
    estimate: Annotated[
        str | None, typer.Option(help="requested (time), actual or predicted: what the scheduler believes.")
    ] = None,
    estimate_multiplier: Annotated[float | None, typer.Option(help="Factor on every estimate.")] = None,
    kill_at_limit: Annotated[bool | None, typer.Option(help="End jobs at their requested time.")] = None,
    dependencies: Annotated[bool | None, typer.Option(help="Honour preceding jobs and think times.")] = None,
    backfill_depth: Annotated[int | None, typer.Option(help="Jobs that a backfilling pass looks at.")] = None,
    warmup: Annotated[int | None, typer.Option(help="First jobs of each window that are not measured.")] = None,
    load: Annotated[float | None, typer.Option(help="Times as fast as recorded that jobs come.  [default: 1]")] = None,
    jobs: Annotated[str | None, typer.Option(help="all, or gpu: only jobs that have GPUs.  [default: all]")] = None,
    size: Annotated[str | None, typer.Option(help="allocated or requested processors.")] = None,
    power: Annotated[bool | None, typer.Option(help="Measure the energy of the machines.")] = None,
    cooling: Annotated[
        str | None, typer.Option(help="Plant that cools them: fast, energyplus or liquid; needs --weather.")
    ] = None,
    cooling_controller: Annotated[
        str | None, typer.Option(help="default, rules, the folder of a training or a YAML file.  [default: default]")
    ] = None,
    cooling_preset: Annotated[str | None, typer.Option(help="Of the plant: a preset or a YAML file.")] = None,
    cooling_model: Annotated[str | None, typer.Option(help="EnergyPlus's epJSON.  [default: the one fetched]")] = None,
    weather: Annotated[str | None, typer.Option(help="EPW file, or readings of Open-Meteo or a station.")] = None,
    price: Annotated[str | None, typer.Option(help="Series of prices of electricity.")] = None,
    carbon: Annotated[str | None, typer.Option(help="Series of the grid's carbon intensity.")] = None,
    objective: Annotated[str | None, typer.Option(help="Metric to rank by.  [default: mean_bounded_slowdown]")] = None,
    baseline: Annotated[str | None, typer.Option(help="Policy to compare with.  [default: fcfs]")] = None,
    fair_start: Annotated[bool | None, typer.Option(help="Compute fair start times (one more replay).")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: runs/evaluation]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    workers: Workers = 1,
    launcher: Launcher = "local",
    slurm: SlurmSettings = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Replay a log under several policies and report which would have served its users best."""
    given = {
        key: value
        for key, value in locals().items()
        if key not in ("config", "resume", "quiet", *LAUNCH_OPTIONS) and value is not None and value != []
    }
    from hpcai.evaluation.config import load_config, make_config
    from hpcai.evaluation.evaluate import evaluate

    settings = load_config(config, given) if config else make_config(given, "hpcai evaluate")
    launch = launch_of(workers, launcher, slurm)
    try:
        evaluation = evaluate(settings, resume=resume, quiet=quiet, launch=launch)
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; finished replays are in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    """Print the answer, a small ranked table and where the report lies."""
    from rich.console import Console
    from rich.table import Table

    from hpcai.evaluation.humanise import number, ratio
    from hpcai.evaluation.tables import metric_text

    console = Console(highlight=False)
    for name, ranking in evaluation.rankings.items():
        console.print(f"\n{evaluation.answers[name]}\n", markup=False)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("policy", overflow="fold")
        objective = ranking.objective.name
        headings = [objective.replace("_", " "), f"ratio to\n{ranking.baseline.label}"]
        for heading in [*headings, "ratio to what\nwas recorded"] if ranking.recorded else headings:
            table.add_column(heading, justify="right", no_wrap="\n" in heading)
        for row in ranking.rows:
            cells = [row.entry.label, metric_text(objective, row.value), ratio(row.to_baseline)]
            table.add_row(*cells, *([f"{number(row.to_recorded.value)} ×"] if row.to_recorded else []))
        console.print(table)
    console.print(f"\nReport: {evaluation.report}", markup=False, soft_wrap=True)
