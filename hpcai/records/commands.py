"""The sub-commands of ``hpcai trace``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from hpcai.records.schema import Trace

trace_app = typer.Typer(no_args_is_help=True, help="Read, check, convert, split, generate and fit traces.")

File = Annotated[str, typer.Argument(help="A log, plain or compressed, or sample:NAME.", metavar="FILE")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log; guessed by default.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MachineName = Annotated[
    str | None, typer.Option("--machine", help="Machine: a preset, a YAML file or a number of processors.")
]


def _read(file: str, format: str | None, strict: bool = False, machine: str | None = None) -> Trace:
    from hpcai.cluster.spec import load_machine
    from hpcai.records.read import read_trace

    trace = read_trace(file, format=format, strict=strict)
    if machine is not None:
        trace.machine = load_machine(machine)
    return trace


@trace_app.command()
def inspect(
    file: File,
    format: Format = None,
    strict: Strict = False,
    machine: MachineName = None,
    as_json: AsJson = False,
) -> None:
    """Say what a log holds: jobs, sizes, times, load, and the rows that cannot be used."""
    from hpcai.records.describe import describe

    summary = describe(_read(file, format, strict, machine))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        _print_summary(summary)


_TABLE: Final = (  # key, title, whether it is a time
    ("run_time", "run time", True),
    ("requested", "requested time", True),
    ("wait", "recorded wait", True),
    ("interarrival", "between submissions", True),
    ("processors", "processors", False),
    ("nodes", "nodes", False),
    ("gpus", "GPUs", False),
    ("accuracy", "run / requested time", False),
)


def _print_summary(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for title, text in _facts(summary):
        facts.add_row(title, text)
    console.print(facts)
    rows = {**summary, **summary["requested_time"], "requested": summary["requested_time"]["quantiles"]}
    columns = ("min", "p10", "median", "mean", "p90", "p99", "max")
    table = Table("", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right")
    for key, title, is_time in _TABLE:
        if quantiles := rows[key]:
            show = _duration if is_time else _figure
            table.add_row(title, *(show(quantiles[column]) for column in columns))
    console.print(table)
    for reason, rows_ in summary["bad_rows"].items():
        first = ", ".join(str(line) for line in rows_["first_lines"])
        console.print(f"[yellow]{rows_['count']} left out:[/] {reason} (line {first}{', ...' * (rows_['count'] > 5)})")
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return title and text of what is said in one line each."""
    statuses = ", ".join(f"{name} {share:.1%}" for name, share in summary["status"].items())
    parties = ", ".join(f"{count} {name}s" for name, count in summary["distinct"].items() if count)
    facts = [
        ("trace", f"{summary['name']} ({summary['format']})"),
        ("jobs", f"{summary['jobs']:,}, of which {summary['never_ran']:,} never ran"),
        ("submitted", f"{summary['first_submit'] or 'date unknown'}, over {_duration(summary['span'])}"),
        ("who and where", parties or "unknown"),
        ("ended", statuses or "unknown"),
        ("machine", _machine_text(summary["machine"])),
    ]
    share = summary["requested_time"]["share"]
    if share:
        over = summary["requested_time"]["over_limit"] or 0.0
        facts.append(("requested time", f"{share:.1%} of jobs have one, {over:.1%} of these outlast it"))
    return facts


def _machine_text(machine: dict[str, Any] | None) -> str:
    if machine is None:
        return "unknown"
    parts = [f"{machine[key]:,} {key}" for key in ("nodes", "processors", "gpus") if machine[key]]
    loads = [f"{load:.3f} of {key}" for key, load in machine["offered_load"].items() if load is not None]
    source = "inferred from the jobs" if machine["inferred"] else machine["name"]
    return f"{', '.join(parts)} ({source}); offered load {', '.join(loads) or 'unknown'}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"
