"""The sub-commands of ``hpcai twin``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hpcai.options import Workers

twin_app = typer.Typer(
    no_args_is_help=True, help="Simulate a whole site: jobs, faults, power and cooling on one clock."
)

Days = Annotated[float | None, typer.Option(help="How long.  [default: as the file says]")]
Draws = Annotated[int | None, typer.Option(min=1, help="How many draws.  [default: as the file says]")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Instead of what the file says, such as power.limit=0.8."),
]
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
    change: Set = None,
    days: Days = None,
    draws: Draws = None,
    seed: Seed = None,
    workers: Workers = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the draws of an interrupted run.")] = False,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Run a site, alone or beside others that differ in something, and report."""
    from hpcai.evaluation.site.config import load_other, load_site_config
    from hpcai.evaluation.site.evaluate import evaluate_site

    given = _given(change, days=days, draws=draws, seed=seed, out=out)
    site = load_site_config(config, given)
    others = [load_other(path, config, given) for path in compare or []]
    against = None if baseline is None else load_other(baseline, config, given)
    if against is not None:
        others.insert(0, against)
    name = None if against is None else against.name
    results = evaluate_site(site, others, baseline=name, record=record, resume=resume, workers=workers, quiet=quiet)
    if not quiet:
        print("\n".join(table(results)))
        print(f"\nReport: {site.out}/report.html\nResults: {site.out}/results.json")


@twin_app.command("score")
def score_command(
    config: Annotated[str, typer.Argument(metavar="SITE.yaml", help="Jobs, machine, faults, power, cooling.")],
    change: Set = None,
    days: Days = None,
    draws: Draws = None,
    seed: Seed = None,
) -> None:
    """Print the metrics of a site, means over its draws, as a line of JSON: what 'hpcai sweep' searches by."""
    import json

    from hpcai.evaluation.gpu_cluster.evaluate import plain
    from hpcai.evaluation.site.config import load_site_config
    from hpcai.evaluation.site.draws import means, measured

    site = load_site_config(config, _given(change, days=days, draws=draws, seed=seed))
    print(json.dumps(plain(means([measured(site.draw(k)) for k in range(site.draws)]))))


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

    Watcher(load_site_config(config, _given(None, days=days, seed=seed)), speed).run()


def _given(change: list[str] | None, **options: Any) -> dict[str, Any]:
    """Return what the command line says instead of the file."""
    from hpcai.evaluation.site.config import merged, settings_of

    return merged(settings_of(change or []), {key: value for key, value in options.items() if value is not None})


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
        cells += [ratio_text(results["sites"][name], key) for name in names if name != base]
        lines.append(f"| {measure.heading} | {' | '.join(cells)} |")
    return lines


def ratio_text(site: dict[str, Any], key: str) -> str:
    """Return a site's ratio to the baseline, with its interval where there are several draws."""
    ratio, (low, high) = site["ratios"][key], site["intervals"][key]
    if ratio is None:
        return "–"
    return f"{ratio:.3f}" if low is None or high is None else f"{ratio:.3f} [{low:.3f}, {high:.3f}]"
