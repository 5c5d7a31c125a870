"""``hpcai live report``; whatever is heavy is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer


def report_command(
    log: Annotated[str, typer.Argument(metavar="LOG", help="Decision log, decisions.jsonl, with its older files.")],
    bundle: Annotated[str, typer.Option(help="Exported policy.")],
    last: Annotated[str | None, typer.Option(help="Only the last 24h, 7d, ... of the log.")] = None,
    sacct: Annotated[
        str | None,
        typer.Option(help="Accounting's log of that time, from SLURM_TIME_FORMAT=%s sacct -a -P --format=ALL."),
    ] = None,
    out: Annotated[str, typer.Option(help="Folder for the report.")] = "live-report",
) -> None:
    """Report on an adapter: what it did or would have done, what happened, and what a replay makes of it."""
    from hpcai.configuration import seconds_in
    from hpcai.errors import InputError
    from hpcai.evaluation.live.observed import observe
    from hpcai.evaluation.live.report import write_report
    from hpcai.live.decision_log import read_log

    begin = float("-inf")
    if last is not None:
        seconds = seconds_in(last)
        if seconds is None:
            raise InputError(f"--last {last!r}: expected a time such as 24h or 7d")
        looks = [record.get("at") for record in read_log(log) if record["kind"] == "cycle"]
        begin = max((at for at in looks if isinstance(at, (int, float))), default=0.0) - seconds
    path = write_report(observe(read_log(log), begin), bundle, out, sacct=sacct)
    print(f"Report: {path}")
