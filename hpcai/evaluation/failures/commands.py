"""The sub-commands of ``hpcai failures``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.evaluation.failures.inputs import (
    Format,
    Log,
    Only,
    Options,
    Severity,
    Since,
    Until,
    read_log,
    severities_of,
)

if TYPE_CHECKING:
    from rich.table import Table

failures_app = typer.Typer(no_args_is_help=True, help="Read failure logs, fit models of failures to them, report.")

Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same results.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table.")]


@failures_app.callback()
def _main() -> None:
    """Read failure logs, fit models of failures to them, report."""


@failures_app.command()
def inspect(
    log: Log,
    format: Format = None,
    option: Options = None,
    only: Only = None,
    since: Since = None,
    until: Until = None,
    severity: Severity = "fatal",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a log holds: failures, nodes, rates, availability, causes, and the rows that were not read."""
    from hpcai.evaluation.failures.summary import describe

    summary = describe(read_log(log, format, option, only, since, until), severities_of(severity))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        _print_summary(summary)


@failures_app.command()
def fit(
    log: Log,
    out: Annotated[Path, typer.Option("--out", help="Folder for parameters.csv and model.yaml.")],
    by: Annotated[str, typer.Option("--by", help="Groups: node_class, system or component.")] = "node_class",
    format: Format = None,
    option: Options = None,
    only: Only = None,
    since: Since = None,
    until: Until = None,
    severity: Severity = "fatal",
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit distributions to times between failures and repairs, with intervals; the model can be drawn from."""
    from hpcai.evaluation.failures.fits import fit_groups, parameter_lines, write_fits

    part = read_log(log, format, option, only, since, until)
    fitted = fit_groups(part, by, severities_of(severity), seed=seed, quiet=quiet)
    write_fits(part, fitted, out)
    if not quiet:
        typer.echo("\n".join(parameter_lines(fitted)))
        typer.echo(f"\nParameters: {out}/parameters.csv\nModel: {out}/model.yaml")


@failures_app.command()
def report(
    log: Log,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html, parameters.csv, model.yaml.")],
    by: Annotated[str, typer.Option("--by", help="Groups: node_class, system or component.")] = "node_class",
    format: Format = None,
    option: Options = None,
    only: Only = None,
    since: Since = None,
    until: Until = None,
    severity: Severity = "fatal",
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Write a report: when what failed, what fits, survival, rates by age, repeated offenders, bursts, neighbours."""
    from hpcai.evaluation.failures.report import report_to_folder

    settings = {"only": only, "since": since, "until": until, "format": format, "option": option}
    part = read_log(log, format, option, only, since, until)
    answer = report_to_folder(part, by, out, severities_of(severity), log, settings, seed=seed, quiet=quiet)
    if not quiet:
        typer.echo(answer)
        typer.echo(f"\nReport: {out}/report.html\nParameters: {out}/parameters.csv\nModel: {out}/model.yaml")


@failures_app.command()
def convert(
    log: Log,
    out: Annotated[Path, typer.Argument(help="File to write: .parquet, or .csv with its nodes beside it.")],
    format: Format = None,
    option: Options = None,
    only: Only = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Read a log, or a part of it, and write hpcai's own table: Parquet, which keeps everything, or CSV."""
    from hpcai.records.failure_writers import write_failures

    part = read_log(log, format, option, only, since, until)
    write_failures(part, out)
    left_out = f", {part.dropped.total} rows left out" if part.dropped.total else ""
    typer.echo(f"wrote {out}: {len(part.events)} failures of {len(part.nodes)} nodes{left_out}")


@failures_app.command()
def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL.yaml", help="As 'hpcai failures fit' wrote it.")],
    out: Annotated[Path, typer.Argument(help="File to write: .parquet or .csv.")],
    days: Annotated[float, typer.Option("--days", min=0, help="Length of the log.")] = 365.0,
    nodes: Annotated[
        list[str] | None,
        typer.Option("--nodes", metavar="CLASS=NUMBER", help="Nodes of a class.  [default: as many as were fitted]"),
    ] = None,
    seed: Seed = 0,
    new: Annotated[bool, typer.Option("--new", help="All nodes enter service when the log begins.")] = False,
) -> None:
    """Draw a failure log from a fitted model."""
    from hpcai.faults.fitted import FittedFailures
    from hpcai.records.failure_writers import write_failures

    fitted = FittedFailures.load(model)
    sizes = {name: one.nodes for name, one in fitted.classes.items()} if nodes is None else _sizes(nodes)
    names = {f"{name}-{i:05d}": name for name, size in sizes.items() for i in range(size)}
    log = fitted.sample(names, 86400 * days, seed=seed, settled=not new)
    write_failures(log, out)
    typer.echo(f"wrote {out}: {len(log.events)} failures of {len(log.nodes)} nodes in {days:g} days")


def _sizes(pairs: list[str]) -> dict[str, int]:
    from hpcai.errors import InputError

    sizes = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        if not name or not number.isdecimal():
            raise InputError(f"--nodes {pair!r}: expected CLASS=NUMBER")
        sizes[name] = int(number)
    return sizes


@failures_app.command()
def templates(
    log: Log,
    similarity: Annotated[float, typer.Option(help="Share of like words above which messages are of one kind.")] = 0.5,
    depth: Annotated[int, typer.Option(help="Of Drain's tree: depth - 2 leading words have to agree.")] = 4,
    top: Annotated[int, typer.Option(min=1, help="Templates to print.")] = 30,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for all of them.")] = None,
) -> None:
    """Mine the kinds of messages of a raw system log (Drain); needs the extra package drain3 (the message says how)."""
    from rich.console import Console

    from hpcai.evaluation.failures.fits import write_csv
    from hpcai.records.failure_templates import messages, mine

    found = messages(log)
    mined = mine(found, similarity=similarity, depth=depth)
    table = _table("count", "first line", "template", left=("template",))
    for row in mined.table.head(top).itertuples():
        table.add_row(f"{row.count:,}", str(row.first_line), _short(str(row.template)))
    console = Console(highlight=False)
    console.print(table, markup=False)
    more = len(mined.table) - top
    console.print(
        f"{len(found.text):,} messages, {len(mined.table):,} templates" + f", {more:,} not shown" * (more > 0)
    )
    if found.labels is not None:
        accuracy = mined.grouping_accuracy(found.labels)
        kinds = len(set(found.labels))
        console.print(f"grouping accuracy {accuracy:.3f} against the {kinds} kinds that the log's publisher labelled")
    if out is not None:
        write_csv(mined.table, out)


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _table(*headings: str, left: tuple[str, ...] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", overflow="fold")
    return table


def _print_summary(summary: dict[str, Any]) -> None:
    from rich.console import Console

    from hpcai.evaluation.failures.summary import MOST_ROWS

    console = Console(highlight=False)
    facts = _table("", " ", left=("", " "))
    facts.show_header = False
    for title, text in _facts(summary):
        facts.add_row(title, text)
    console.print(facts, markup=False)
    for title, key in (("class", "by_class"), ("system", "by_system")):
        _print_groups(console, title, summary[key], MOST_ROWS)
    for title, key in (("component", "by_component"), ("cause", "by_cause")):
        _print_causes(console, title, summary[key], MOST_ROWS)
    console.print()
    for reason, rows in summary["dropped"].items():
        first = ", ".join(str(line) for line in rows["first_lines"])
        more = ", ..." if rows["count"] > len(rows["first_lines"]) else ""
        rows_ = "row" if rows["count"] == 1 else "rows"
        console.print(f"[yellow]{rows['count']:,} {rows_} left out:[/] {reason} (line {first}{more})")
    for what, count in summary["oddities"].items():
        console.print(f"{count:,} {what}", markup=False)
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim", markup=False)


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    from hpcai.evaluation.failures.words import about
    from hpcai.evaluation.humanise import duration, number

    severities = ", ".join(f"{count:,} {name}" for name, count in summary["severities"].items() if count)
    begin, end = summary["begin"], summary["end"]
    systems = f" in {summary['systems']} systems" if summary["systems"] > 1 else ""
    facts = [
        ("log", f"{summary['name']} ({summary['format']})"),
        ("events", f"{summary['events']:,} ({severities or 'none'})"),
        ("observed", (f"{begin} to {end}, " if begin else "date unknown, ") + duration(summary["span"])),
        ("nodes", f"{summary['nodes']:,}{systems}"),
    ]
    rates, counted = summary["all"], " and ".join(summary["counted"])
    if rates is None:
        return [*facts, ("failures", f"none that is {counted}; --severity takes in others")]
    facts += [
        ("failures", f"{rates['outages']:,} outages of a node ({counted} events that overlap are one)"),
        ("in service", f"{number(rates['node_years'])} node-years"),
        ("MTBF", f"{about(rates['mtbf_node'])} of a node, {about(rates['mtbf'])} of all"),
    ]
    if rates["mean_repair"] is not None:
        repair = f"mean {about(rates['mean_repair'])}, median {about(rates['median_repair'])}"
        facts += [("repair", repair), ("availability", f"{rates['availability']:.4%} of a node")]
    return facts


def _print_groups(console: Any, title: str, groups: dict[str, dict[str, Any]], most: int) -> None:
    from hpcai.evaluation.failures.words import about

    if not groups:
        return
    headings = ("nodes", "outages", "MTBF, node", "MTBF, all", "median repair", "available")
    table = _table(title, *headings, left=(title,))
    for name, rates in sorted(groups.items(), key=lambda item: -item[1]["outages"])[:most]:
        times = ("–" if rates[key] is None else about(rates[key]) for key in ("mtbf_node", "mtbf", "median_repair"))
        available = "–" if rates["availability"] is None else f"{rates['availability']:.3%}"
        table.add_row(name, f"{rates['nodes']:,}", f"{rates['outages']:,}", *times, available)
    console.print()
    console.print(table, markup=False)
    if len(groups) > most:
        console.print(f"and {len(groups) - most} more with fewer failures", style="dim")


def _print_causes(console: Any, title: str, causes: dict[str, dict[str, Any]], most: int) -> None:
    from hpcai.evaluation.failures.words import about

    if not causes:
        return
    table = _table(title, "failures", "share", "mean repair", "median repair", left=(title,))
    for name, row in list(causes.items())[:most]:
        times = ("–" if row[key] is None else about(row[key]) for key in ("mean_repair", "median_repair"))
        table.add_row(name, f"{row['failures']:,}", f"{row['share']:.1%}", *times)
    console.print()
    console.print(table, markup=False)
    if len(causes) > most:
        console.print(f"and {len(causes) - most} more", style="dim")
