"""``hpcai export``; whatever is heavy is imported when it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def export_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A run folder, an ordering, or expr:FORMULA.")],
    out: Annotated[str, typer.Option(help="Folder to write, or a file that ends in .tar.")] = "policy.hpcai",
    trace: Annotated[
        list[str] | None, typer.Option(help="Log to record queues on; a run's own by default, needed for a rule.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    machine: Annotated[str | None, typer.Option(help="A preset, a YAML file or a number of processors.")] = None,
    backfill: Annotated[str | None, typer.Option(help="Of a rule: none, easy or conservative.")] = None,
    estimate: Annotated[str | None, typer.Option(help="Of a rule: requested, predicted or actual.")] = None,
    predictor: Annotated[str | None, typer.Option(help="Of a rule: tsafrir, or a trained one's file.")] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Folder of a finished evaluation to take the results from; else it is replayed.")
    ] = None,
    windows: Annotated[
        str | None, typer.Option(help="Windows of the test part to measure it on.  [default: 20x1024]")
    ] = None,
    rival: Annotated[str, typer.Option(help="Heuristic to measure it against.")] = "saf",
    fallback: Annotated[str, typer.Option(help="Ordering where it cannot answer.")] = "fcfs",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Write a policy as a bundle that a live scheduler can follow, checked on recorded queues."""
    from hpcai.learning.bundling.export import export_policy

    if not quiet:
        print("hpcai: comparing the exported graph with the policy on recorded queues ...", file=sys.stderr)
    bundle = export_policy(
        source, out, trace=trace or None, format=format, machine=machine, backfill=backfill, estimate=estimate,
        predictor=predictor, evaluation=evaluation, windows=windows, rival=rival, fallback=fallback, quiet=quiet,
    )  # fmt: skip
    if quiet:
        return
    from hpcai.live.bundle_commands import print_bundle

    print_bundle(bundle)
