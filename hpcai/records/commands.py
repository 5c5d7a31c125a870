"""The sub-commands of ``hpcai trace``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from hpcai.cluster.spec import Machine
    from hpcai.records.generators.fit import GoodnessOfFit
    from hpcai.records.schema import Trace

trace_app = typer.Typer(no_args_is_help=True, help="Read, check, convert, split, generate and fit traces.")

File = Annotated[str, typer.Argument(help="A log, plain or compressed, or sample:NAME.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log; guessed by default.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="Option of the format as NAME=VALUE, such as size=requested or nodes=FILE."),
]
MachineName = Annotated[
    str | None, typer.Option("--machine", help="Machine: a preset, a YAML file or a number of processors.")
]


def _read(
    file: str,
    format: str | None,
    options: list[str] | None = None,
    *,
    strict: bool = False,
    machine: str | None = None,
) -> Trace:
    from hpcai.records.read import read_trace

    trace = read_trace(file, format=format, strict=strict, **_options(options or []))
    if machine is not None:
        trace.machine = _machine(machine)
    return trace


def _machine(name: str | None) -> Machine | None:
    from hpcai.cluster.spec import load_machine

    return None if name is None else load_machine(name)


def _options(pairs: list[str]) -> dict[str, str | int]:
    from hpcai.errors import InputError

    options: dict[str, str | int] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--option {pair!r}: expected NAME=VALUE")
        options[name] = int(value) if value.isdecimal() else value
    return options


@trace_app.command()
def inspect(
    file: File,
    format: Format = None,
    option: Options = None,
    strict: Strict = False,
    machine: MachineName = None,
    as_json: AsJson = False,
) -> None:
    """Say what a log holds: jobs, sizes, times, load, and the rows that cannot be used."""
    from hpcai.records.summary import describe

    summary = describe(_read(file, format, option, strict=strict, machine=machine))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        _print_summary(summary)


@trace_app.command()
def convert(
    file: File,
    out: Annotated[Path, typer.Argument(help="File to write: .parquet, .swf or .swf.gz.")],
    format: Format = None,
    option: Options = None,
    strict: Strict = False,
    machine: MachineName = None,
) -> None:
    """Read a log and write it as Parquet, which keeps everything, or SWF."""
    from hpcai.records.writers import write_trace

    trace = _read(file, format, option, strict=strict, machine=machine)
    write_trace(trace, out)
    _wrote(trace, out)


@trace_app.command()
def split(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="Folder to write the parts to.")],
    fractions: Annotated[
        str, typer.Option("--fractions", help="Shares of the jobs for training, validation and test.")
    ] = "0.6,0.1,0.3",
    format: Format = None,
    option: Options = None,
    strict: Strict = False,
    machine: MachineName = None,
) -> None:
    """Split a trace in time into train.parquet, validation.parquet and test.parquet."""
    from hpcai.errors import InputError
    from hpcai.records.splitting import split as split_trace
    from hpcai.records.writers import write_parquet

    try:
        shares = [float(text) for text in fractions.split(",")]
    except ValueError as error:
        raise InputError(f"--fractions {fractions!r}: expected numbers such as 0.6,0.1,0.3") from error
    parts = split_trace(_read(file, format, option, strict=strict, machine=machine), shares)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made a folder: {error.strerror or error}") from error
    for name, part in parts.items():
        write_parquet(part, out / f"{name}.parquet")
        _wrote(part, out / f"{name}.parquet")


@trace_app.command()
def generate(
    kind: Annotated[str, typer.Argument(help="Model: lublin, deep-learning or reference-site.")],
    jobs: Annotated[int, typer.Option("--jobs", help="Number of jobs.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .parquet, .swf or .swf.gz.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same trace.")] = 0,
    load: Annotated[float | None, typer.Option("--load", help="Offered load on the machine, as 0.8.")] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="YAML file of the model's parameters.")
    ] = None,
    machine: MachineName = None,
) -> None:
    """Generate a synthetic trace."""
    from hpcai.records.generators import generate as generate_trace
    from hpcai.records.writers import write_trace

    trace = generate_trace(kind, jobs, seed=seed, load=load, machine=_machine(machine), parameters=parameters)
    write_trace(trace, out)
    _wrote(trace, out)


@trace_app.command()
def fit(
    file: File,
    out: Annotated[Path | None, typer.Option("--out", help="YAML file to write.")] = None,
    format: Format = None,
    option: Options = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Fit the deep-learning mix to a trace, and say how well each distribution fits."""
    from hpcai.records.generators.fit import fit as fit_trace

    parameters, goodness = fit_trace(_read(file, format, option, strict=strict))
    if out is not None:
        parameters.save(out)
    if as_json:
        result = {"parameters": parameters.model_dump(mode="json"), "distances": goodness.distances}
        typer.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    _print_goodness(goodness)
    if out is not None:
        typer.echo(f"wrote {out}")


def _wrote(trace: Trace, path: Path) -> None:
    left_out = f", {trace.bad_rows.total} rows left out" if trace.bad_rows.total else ""
    typer.echo(f"wrote {path}: {len(trace.jobs)} jobs{left_out}")


def _print_goodness(goodness: GoodnessOfFit) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("distribution")
    table.add_column("Kolmogorov-Smirnov distance (0 alike, 1 disjoint)", justify="right")
    for name, distance in goodness.distances.items():
        table.add_row(name.replace("_", " "), f"{distance:.3f}")
    Console().print(table)


_TABLE: Final = (  # key, title, whether it is a time
    ("run_time", "run time", True),
    ("requested", "requested time", True),
    ("wait", "recorded wait", True),
    ("interarrival", "inter-arrival", True),
    ("processors", "processors", False),
    ("nodes", "nodes", False),
    ("gpus", "GPUs", False),
    ("accuracy", "run / requested", False),
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
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for key, title, is_time in _TABLE:
        if quantiles := rows[key]:
            show = _duration if is_time else _figure
            table.add_row(title, *(show(quantiles[column]) for column in columns))
    console.print()
    console.print(table)
    for reason, rows_ in summary["bad_rows"].items():
        first = ", ".join(str(line) for line in rows_["first_lines"])
        console.print(f"[yellow]{rows_['count']} left out:[/] {reason} (line {first}{', ...' * (rows_['count'] > 5)})")
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)


_PLURALS: Final = {"qos": "qualities of service"}


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return title and text of what is said in one line each."""
    statuses = ", ".join(f"{name} {share:.1%}" for name, share in summary["status"].items())
    parties = ", ".join(
        f"{count} {name if count == 1 else _PLURALS.get(name, name + 's')}"
        for name, count in summary["distinct"].items()
        if count
    )
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
    if 0 < value < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds:.3g}s"
