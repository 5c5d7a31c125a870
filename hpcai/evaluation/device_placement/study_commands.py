"""``hpcai devices``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def devices_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Graphs, devices, methods, seeds, budget.")],
    seconds: Annotated[float | None, typer.Option(help="That each search takes at most.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Of each search.  [default: as the file, or 20000]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Compare methods of device placement over graphs and numbers of devices."""
    from hpcai.evaluation.device_placement.study import evaluate_devices
    from hpcai.evaluation.device_placement.study_config import load_device_study
    from hpcai.evaluation.device_placement.study_summary import tables

    given = {"seconds": seconds, "evaluations": evaluations, "out": out}
    settings = load_device_study(config, {key: value for key, value in given.items() if value is not None})
    try:
        results = evaluate_devices(settings, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; what was found is in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        print("\n".join(tables(results)))
        print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")
