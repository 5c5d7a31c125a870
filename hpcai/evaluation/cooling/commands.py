"""The sub-commands of ``hpcai cooling``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hpcai.options import Workers

cooling_app = typer.Typer(
    no_args_is_help=True, help="Cool a machine hall: compare controllers, plants, get EnergyPlus's model."
)


@cooling_app.callback()
def _main() -> None:
    """Cool a machine hall: compare controllers, plants, get EnergyPlus's model."""


@cooling_app.command("run")
def run_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Cases, controllers, baseline.")],
    baseline: Annotated[str | None, typer.Option(help="Controller to compare with.")] = None,
    days: Annotated[int | None, typer.Option(help="Of each case, from its start; all by default.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    workers: Workers = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Play every controller in every case, and report."""
    from hpcai.evaluation.cooling.config import load_cooling_config
    from hpcai.evaluation.cooling.evaluate import evaluate_cooling

    given = {"baseline": baseline, "days": days, "out": out}
    settings = load_cooling_config(config, {key: value for key, value in given.items() if value is not None})
    try:
        results = evaluate_cooling(settings, resume=resume, workers=workers, quiet=quiet)
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; finished plays are in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        print("\n".join(tables(results, settings.baseline)))
        print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")


@cooling_app.command("validate")
def validate_command(
    weather: Annotated[list[str], typer.Argument(metavar="WEATHER...", help="EPW files of whole years.")],
    model: Annotated[str | None, typer.Option(help="The building's epJSON.  [default: the one fetched]")] = None,
    it_curve: Annotated[str, typer.Option(help="flat or stock: power of the machines by temperature.")] = "flat",
    controls: Annotated[str, typer.Option(help="Which of own, constant, random.")] = "own,constant,random",
) -> None:
    """Compare the fast plant with EnergyPlus, hour by hour, under the same weather and setpoints."""
    from typing import cast

    from hpcai.cooling.energyplus.building import ItCurve
    from hpcai.simulation.cooling.validation import compare, markdown

    table = compare(weather, controls.split(","), it_curve=cast(ItCurve, it_curve), model=model)
    print("\n".join(markdown(table)))


@cooling_app.command("fit")
def fit_command(
    log: Annotated[str, typer.Argument(metavar="LOG.parquet", help="What the plant was told and said, as of run.")],
    weather: Annotated[str, typer.Option(help="The weather that it was recorded in.")],
    out: Annotated[str, typer.Option(help="The preset that is written, a YAML file.")],
    preset: Annotated[str, typer.Option(help="The plant to begin with: a preset or a YAML file.")] = "two-zone",
    it_curve: Annotated[str, typer.Option(help="flat or stock: power of the machines by temperature.")] = "flat",
    days: Annotated[float | None, typer.Option(help="From the start of the log; the rest is for a check.")] = None,
) -> None:
    """Fit the fast plant to a log of a plant: what no data sheet says of its zones, coils and control."""
    from hpcai.evaluation.cooling.fitting import fit_log, write_preset

    fitted = fit_log(log, weather, preset, it_curve=it_curve, days=days)
    write_preset(fitted.parameters, preset, out)
    for title, table in (("before", fitted.before), ("fitted", fitted.after), ("later days", fitted.later)):
        if table is not None:
            of = table.loc["hvac"]
            print(
                f"{title:>10}: HVAC {of.recorded / 1000:.2f} kW, bias {of.bias:+.1%}, CV-RMSE {of.cv_rmse:.1%}, "
                f"inlet {table.loc['inlet'].cv_rmse:.2f} K"
            )
    print(f"Preset: {out}")


@cooling_app.command("load")
def load_command(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Of an evaluation, as 'hpcai evaluate' wrote it.")],
    out: Annotated[str, typer.Option(help="The table, .parquet or .csv, to be named as it_load.")],
    policy: Annotated[str | None, typer.Option(help="Whose replay, if there are several; or recorded.")] = None,
    backfill: Annotated[str | None, typer.Option(help="Of the policy, if there are several.")] = None,
    trace: Annotated[str | None, typer.Option(help="Name of the log, if there are several.")] = None,
    window: Annotated[int | None, typer.Option(help="Number of the window, if there are several.")] = None,
    step_minutes: Annotated[int, typer.Option(help="Length of a step: 60, 15 or another divisor of 60.")] = 60,
) -> None:
    """Write the load that a replay puts on the machines, as a table for it_load."""
    from hpcai.evaluation.energy.it_load import Wanted, it_load, write_it_load

    table = it_load(folder, Wanted(trace, policy, backfill, window), step_minutes)
    write_it_load(table, out)
    load, replay = table["it_load"], table.attrs["replay"]
    print(
        f"wrote {out}: {replay['policy']} on {replay['trace']}, {len(load):,} steps of {step_minutes} min from "
        f"{table['time'].iloc[0]:%Y-%m-%d %H:%M} UTC, load {load.min():.2f} to {load.max():.2f}, mean {load.mean():.2f}"
    )


@cooling_app.command("fetch")
def fetch_command() -> None:
    """Download the model of the two-zone data centre for EnergyPlus, from the MIT-licensed package sinergym."""
    from hpcai.cooling.energyplus.building import fetch

    print(fetch())


def tables(results: dict[str, Any], baseline: str) -> list[str]:
    """Return the comparison as lines of Markdown, by case, least energy for cooling first."""
    lines: list[str] = []
    for case, result in results["cases"].items():
        lines += ["", f"{case} ({result['plant']}, IT power {result['it_curve']})", ""]
        lines.append(
            f"| controller | HVAC MWh | of {baseline} | IT MWh | site MWh | PUE | hot min | K h hot | cold min |"
        )
        lines.append("|---" * 9 + "|")
        rows = sorted(result["controllers"].items(), key=lambda item: item[1]["metrics"]["hvac_kwh"])
        for name, row in rows:
            of, own = row["metrics"], row["hvac_ratio"]
            interval = "" if own["low"] is None or name == baseline else f" [{own['low']:.3f}, {own['high']:.3f}]"
            energies = " | ".join(f"{of[f'{which}_kwh'] / 1000:.2f}" for which in ("it", "site"))
            lines.append(
                f"| {name} | {of['hvac_kwh'] / 1000:.2f} | {own['value']:.3f}{interval} | {energies} | {of['pue']:.3f} "
                f"| {of['hot_minutes']:.0f} | {of['hot_degree_hours']:.2f} | {of['cold_minutes']:.0f} |"
            )
    return lines[1:]
