"""The sub-commands of ``hpcai weather``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

weather_app = typer.Typer(no_args_is_help=True, help="Read and check weather: EPW, Open-Meteo, weather stations.")

_UNITS: Final = {"relative_humidity": ("%", 100.0), "humidity_ratio": ("g/kg", 1000.0), "pressure": ("kPa", 1e-3)}


@weather_app.callback()
def _main() -> None:
    """Read and check weather: EPW, Open-Meteo, weather stations."""


@weather_app.command()
def inspect(
    file: Annotated[str, typer.Argument(help="An EPW file or a table of readings, plain or compressed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a weather file holds: place, span, extremes, and what was missing and filled."""
    from hpcai.records.weather import describe, read_weather

    summary = describe(read_weather(file))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        _print(summary)


def _print(summary: dict[str, Any]) -> None:
    from rich.console import Console

    from hpcai.records.quantile_table import quantile_table

    console = Console(highlight=False)
    place = summary["location"] or "place unknown"
    if summary["latitude"] is not None:
        place += f" ({summary['latitude']:.2f}°, {summary['longitude']:.2f}°)"
    year = "typical year" if summary["typical"] else f"from {summary['start']}"
    console.print(
        f"{summary['name']}: {place}, {summary['elevation']:g} m, UTC{summary['utc_offset']:+g}", markup=False
    )
    console.print(f"{year}, {summary['hours']:,.0f} hours in steps of {summary['step'] / 60:g} min\n", markup=False)
    quantities = summary["quantities"].items()
    console.print(quantile_table({name: (*_UNITS.get(name, (of["unit"], 1.0)), of) for name, of in quantities}))
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim", markup=False)
