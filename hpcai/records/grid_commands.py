"""The sub-commands of ``hpcai grid``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

grid_app = typer.Typer(no_args_is_help=True, help="Read and check prices and carbon intensities of electricity.")


@grid_app.callback()
def _main() -> None:
    """Read and check prices and carbon intensities of electricity."""


@grid_app.command()
def inspect(
    file: Annotated[str, typer.Argument(help="A table of prices or carbon intensities, plain or compressed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a series holds: span, extremes, its usual day, and what was missing and filled."""
    from rich.console import Console

    from hpcai.records.grid_signal import describe, read_grid_signal
    from hpcai.records.quantile_table import quantile_table

    summary = describe(read_grid_signal(file))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
        return
    console = Console(highlight=False)
    steps = f"{summary['values']:,} steps of {summary['step'] / 60:g} min, {summary['filled']} filled"
    console.print(f"{summary['name']}: {summary['kind']} in {summary['unit']}", markup=False)
    console.print(f"{summary['start']} to {summary['end']} (UTC), {steps}\n", markup=False)
    console.print(quantile_table({summary["kind"]: (summary["unit"], 1.0, summary)}))
    by_hour = "  ".join(f"{hour:02d} {mean:.0f}" for hour, mean in enumerate(summary["by_hour"]))
    console.print(f"\nmean by hour (UTC): {by_hour}", markup=False)
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim", markup=False)
