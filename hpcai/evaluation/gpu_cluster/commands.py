"""``hpcai cluster``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hpcai.options import Workers


def cluster_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Jobs, machine, disciplines, baseline.")],
    trace: Annotated[str | None, typer.Option(help="A log, instead of what the file says.")] = None,
    machine: Annotated[str | None, typer.Option(help="A preset or a YAML file.")] = None,
    windows: Annotated[str | None, typer.Option(help="NxM: N windows of M jobs of a log; or all.")] = None,
    part: Annotated[str | None, typer.Option(help="Of a log: test, validation, train or all.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of draws of a generator.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Discipline to compare with.")] = None,
    objective: Annotated[str | None, typer.Option(help="Metric to rank by.  [default: mean_jct]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: runs/cluster]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    workers: Workers = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Replay gangs, preemption and tenants on a GPU cluster under several disciplines, and report."""
    options = ("trace", "machine", "windows", "part", "seeds", "baseline", "objective", "out")
    given = {key: value for key, value in locals().items() if key in options and value is not None}
    from hpcai.evaluation.gpu_cluster.config import load_cluster_config
    from hpcai.evaluation.gpu_cluster.evaluate import evaluate_cluster

    settings = load_cluster_config(config, given)
    try:
        results = evaluate_cluster(settings, resume=resume, workers=workers, quiet=quiet)
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; finished replays are in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        print("\n".join(table(results, settings.objective, settings.baseline)))
        print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")


def table(results: dict[str, Any], objective: str, baseline: str) -> list[str]:
    """Return the comparison as lines of Markdown, best first."""
    from hpcai.evaluation.gpu_cluster.tables import MAIN, heading, ranked, ratio_of, value_of
    from hpcai.evaluation.humanise import ratio

    shown = [objective, *(name for name in MAIN if name != objective)]
    headings = [heading(name) for name in shown]
    lines = [f"| discipline | {headings[0]} | ratio to {baseline} | {' | '.join(headings[1:])} |"]
    lines.append("|---" * (len(shown) + 2) + "|")
    for name in ranked(results, objective):
        row = results["disciplines"][name]
        values = [value_of(row, metric) for metric in shown]
        own = "1" if name == baseline else ratio(ratio_of(row, objective))
        lines.append(f"| {name} | {values[0]} | {own} | {' | '.join(values[1:])} |")
    return lines
