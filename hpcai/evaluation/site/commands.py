"""The sub-commands of ``hpcai twin``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

twin_app = typer.Typer(
    no_args_is_help=True, help="Simulate a whole site: jobs, faults, power and cooling on one clock."
)

Days = Annotated[float | None, typer.Option(help="How long.  [default: as the file says]")]
Seed = Annotated[int | None, typer.Option(help="Of jobs and faults.  [default: as the file says]")]


@twin_app.callback()
def _main() -> None:
    """Simulate a whole site: jobs, faults, power and cooling on one clock."""


@twin_app.command("run")
def run_command(
    config: Annotated[str, typer.Argument(metavar="SITE.yaml", help="Jobs, machine, faults, power, cooling.")],
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="OTHER.yaml", help="What is otherwise in another site beside it. May be given often."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="OTHER.yaml", help="The same, and all are compared with that one.")
    ] = None,
    record: Annotated[str | None, typer.Option(metavar="FILE.parquet", help="Write the timeline as it comes.")] = None,
    days: Days = None,
    seed: Seed = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Run a site, alone or beside others that differ in something, and report."""
    from hpcai.evaluation.site.config import load_other, load_site_config
    from hpcai.evaluation.site.evaluate import evaluate_site

    given = {key: value for key, value in (("days", days), ("seed", seed), ("out", out)) if value is not None}
    site = load_site_config(config, given)
    others = [load_other(path, config, given) for path in compare or []]
    against = None if baseline is None else load_other(baseline, config, given)
    if against is not None:
        others.insert(0, against)
    name = None if against is None else against.name
    results = evaluate_site(site, others, baseline=name, record=record, quiet=quiet)
    if not quiet:
        print("\n".join(table(results)))
        print(f"\nReport: {site.out}/report.html\nResults: {site.out}/results.json")


@twin_app.command("watch")
def watch_command(
    config: Annotated[str, typer.Argument(metavar="SITE.yaml", help="Jobs, machine, faults, power, cooling.")],
    speed: Annotated[float, typer.Option(min=0, help="Simulated seconds a second; 0: as fast as it goes.")] = 0.0,
    days: Days = None,
    seed: Seed = None,
) -> None:
    """Watch a site in the terminal while it runs: queue, GPUs, power, temperatures, faults."""
    from hpcai.evaluation.site.config import load_site_config
    from hpcai.evaluation.site.watch import Watcher

    given = {key: value for key, value in (("days", days), ("seed", seed)) if value is not None}
    Watcher(load_site_config(config, given), speed).run()


def table(results: dict[str, Any]) -> list[str]:
    """Return the metrics as lines of Markdown, a column for each site."""
    from hpcai.evaluation.humanise import duration, number, percent
    from hpcai.evaluation.site.measures import MEASURES

    names = list(results["sites"])
    base = results["baseline"]
    lines = [f"| metric | {' | '.join(names)} |" + "".join(f" {name} / {base} |" for name in names if name != base)]
    lines.append("|---" * (1 + len(names) + len(names) - 1) + "|")
    for key, measure in MEASURES.items():
        values = [results["sites"][name]["metrics"][key] for name in names]
        if all(value is None for value in values):
            continue
        say = {"s": duration, "%": percent}.get(measure.unit, number)
        cells = ["–" if value is None else say(value) for value in values]
        ratios = [results["sites"][name]["ratios"][key] for name in names if name != base]
        cells += ["–" if ratio is None else f"{ratio:.3f}" for ratio in ratios]
        lines.append(f"| {measure.heading} | {' | '.join(cells)} |")
    return lines
