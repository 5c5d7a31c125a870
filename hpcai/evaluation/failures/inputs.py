"""The options that all commands of ``hpcai failures`` take, and the log that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpcai.records.failures import FailureLog

Log = Annotated[str, typer.Argument(metavar="LOG", help="A failure log, plain or compressed.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log; told by its content by default.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Option of the format, such as nodes=FILE or year=2024."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="COLUMN=VALUE[,VALUE]",
        help="Take a part: by system, node_class, rack, place, switch, node, component, severity or begin of cause. "
        "May be given several times.",
    ),
]
Since = Annotated[str | None, typer.Option("--since", help="Date (UTC), or time after the log's begin, as 90d.")]
Until = Annotated[str | None, typer.Option("--until", help="Date or time at which to end.")]
Severity = Annotated[
    str, typer.Option("--severity", help="Which events are failures: fatal, degraded, info; several by commas.")
]


def read_log(
    file: str,
    format: str | None = None,
    option: list[str] | None = None,
    only: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> FailureLog:
    """Return the part of a log that the options name. Raises InputError."""
    from hpcai.errors import InputError
    from hpcai.records.failure_selection import select
    from hpcai.records.failures import read_failures

    options: dict[str, str | int] = {}
    for pair in option or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--option {pair!r}: expected NAME=VALUE")
        options[name] = int(value) if value.isdecimal() else value
    return select(read_failures(file, format=format, **options), only or (), since=since, until=until)


def severities_of(text: str) -> list[str]:
    """Return the severities that ``text`` lists. Raises InputError if one is unknown."""
    from hpcai.errors import InputError
    from hpcai.records.failures import SEVERITIES

    listed = [word.strip() for word in text.split(",")]
    for word in listed:
        if word not in SEVERITIES:
            raise InputError(f"--severity: found {word!r}, expected one or more of {', '.join(SEVERITIES)}")
    return listed
