"""``hpcai failures detect`` and ``stragglers``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.evaluation.failures.inputs import Format, Only

if TYPE_CHECKING:
    from hpcai.faults.detection.stragglers import Straggler


def detect_command(
    source: Annotated[
        str, typer.Argument(metavar="CONFIG.yaml|LOG", help="A detection as data, or a failure log and defaults.")
    ],
    format: Format = None,
    only: Only = None,
    telemetry: Annotated[str | None, typer.Option(help="Table of telemetry of the same nodes.")] = None,
    lead: Annotated[str | None, typer.Option(help="A failure counts from so long ahead on.  [default: 1h]")] = None,
    horizon: Annotated[str | None, typer.Option(help="For so long.  [default: 1d]")] = None,
    step: Annotated[str | None, typer.Option(help="From one question to the next.  [default: 6h]")] = None,
    missed: Annotated[
        float | None, typer.Option(help="What a missed failure costs, in idle node-hours.  [default: 100]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of nodes kept out, models, intervals.  [default: 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Learn from the first part of a failure log which node fails next, and report how well it is known on the rest."""
    from hpcai.learning.failures.config import load_detection_config
    from hpcai.learning.failures.detecting import detect

    given: dict[str, Any] = {
        "format": format, "only": only, "telemetry": telemetry, "lead": lead, "horizon": horizon, "step": step,
        "costs": None if missed is None else {"missed": missed}, "seed": seed, "out": out,
    }  # fmt: skip
    settings = load_detection_config(source, {key: value for key, value in given.items() if value is not None})
    results = detect(settings, quiet=quiet)
    if quiet:
        return
    from hpcai.evaluation.detection.report import Chapter, table

    print(Chapter(results).answer)
    print("\nNodes that were kept out, later in time:\n")
    print("\n".join(table(results)))
    print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")


def stragglers_command(
    source: Annotated[
        str, typer.Argument(metavar="TABLE", help="Telemetry, .parquet or .csv, with node, time, job, compute_time.")
    ],
    window: Annotated[int, typer.Option(min=2, help="Samples that are looked at together.")] = 12,
    false_alarms: Annotated[
        float, typer.Option(help="Of a job in a day, at most, where no rank is slower than the others.")
    ] = 0.01,
    slower: Annotated[float, typer.Option(help="Least share by which a rank has to be slower.")] = 0.03,
    planted: Annotated[
        str | None, typer.Option(help="planted.csv of hpcai failures plant, to count what is found.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the ranks of each job that are slower than the others for longer than chance would have it."""
    from hpcai.faults.detection.stragglers import StragglerRule, find_stragglers
    from hpcai.records.telemetry import read_telemetry

    telemetry = read_telemetry(source)
    found = find_stragglers(telemetry.table, StragglerRule(window, false_alarms, slower))
    if as_json:
        print(json.dumps([one._asdict() for one in found], indent=2))
    else:
        print("\n".join(_lines(found)))
    if planted is not None:
        _count(found, planted)


def _count(found: list[Straggler], planted: str) -> None:
    import pandas as pd

    from hpcai.errors import InputError
    from hpcai.faults.detection.stragglers import against_planted

    try:
        hits, of, false = against_planted(found, pd.read_csv(planted))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{planted}: cannot be read as planted.csv of hpcai failures plant: {error}") from error
    print(f"{hits} of {of} slow nodes that were planted were found; {false} false alarms", file=sys.stderr)


def plant_command(
    out: Annotated[str, typer.Option(help="Folder to write to.")],
    parameters: Annotated[str | None, typer.Option(help="YAML file of the generator's parameters.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same site.")] = 0,
) -> None:
    """Generate telemetry of a site with planted faults, and its failure log, to try detectors on."""
    from pathlib import Path

    import pandas as pd

    from hpcai.records.failure_writers import write_failures
    from hpcai.records.generators.telemetry import Parameters, generate
    from hpcai.records.telemetry import write_telemetry
    from hpcai.records.writers import atomic

    site = generate(Parameters() if parameters is None else Parameters.load(parameters), seed=seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_telemetry(site.telemetry, folder / "telemetry.parquet")
    write_failures(site.failures, folder / "failures.parquet")
    with atomic(folder / "planted.csv") as file:
        file.write(pd.DataFrame(site.planted).to_csv(index=False).encode())
    print(
        f"{folder}: {len(site.telemetry.table):,} samples, {len(site.failures.events)} failures, "
        f"{len(site.planted)} faults planted"
    )


def _lines(found: list[Straggler]) -> list[str]:
    from hpcai.evaluation.humanise import duration

    rows = [
        f"{one.job:<12} {one.node:<16} {duration(one.begin):>14} {duration(one.end - one.begin):>14} {one.slower:>8.1%}"
        for one in found
    ]
    heading = f"{'job':<12} {'node':<16} {'from':>14} {'for':>14} {'slower':>8}"
    return [heading, *rows] if rows else ["No rank is slower than the others for longer than chance would have it."]
