"""Commands of ``hpcai failures`` that simulate; whatever is heavy is imported when a command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Out = Annotated[str | None, typer.Option(help="Folder for the results.  [default: as the file says]")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table.")]


def checkpoints_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Logs, jobs, costs, policies, baseline.")],
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Compare checkpoint policies on faults replayed from logs, in time that they were not fitted to."""
    from hpcai.evaluation.faults.checkpoint_config import load_checkpoint_config
    from hpcai.evaluation.faults.checkpoint_study import evaluate_checkpoints

    settings = load_checkpoint_config(config, {"out": out} if out else {})
    results = evaluate_checkpoints(settings, quiet=quiet)
    if not quiet:
        print("\n".join(checkpoint_table(results, settings.baseline)))
        print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")


def checkpoint_table(results: dict[str, Any], baseline: str) -> list[str]:
    """Return the comparison as lines of Markdown, a row for each case and cost of a checkpoint."""
    names = [name for name in results["cases"][0]["policies"] if name != baseline]
    lines = [f"| case | checkpoint | MTBF h | shape | waste of {baseline} | best constant | {' | '.join(names)} |"]
    lines.append("|---" * (6 + len(names)) + "|")
    for case in results["cases"]:
        policies, shape = case["policies"], f"{case['weibull_shape'][0]:.2f}"
        cells = [
            f"{policies[name]['ratio']:.3f} [{policies[name]['low']:.3f}, {policies[name]['high']:.3f}]"
            for name in names
        ]
        lines.append(
            f"| {case['case']} | {case['write']:g} s | {case['mtbf_hours']:.1f}, then {case['mtbf_hours_rest']:.1f} "
            f"| {f'({shape})' if case['constant'] else shape} | {policies[baseline]['waste']:.4f} "
            f"| {case['hindsight']:.3f} | {' | '.join(cells)} |"
        )
    return lines


def drains_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Logs, gangs, spares, policies, baseline.")],
    out: Annotated[str | None, typer.Option(help="File for the results (JSON).  [default: as the file says]")] = None,
    quiet: Quiet = False,
) -> None:
    """Compare drain policies for gangs on faults replayed from logs, in time that they were not fitted to."""
    from hpcai.evaluation.faults.drain_config import load_drain_config
    from hpcai.evaluation.faults.drain_study import evaluate_drains
    from hpcai.evaluation.resumable import write_json

    settings = load_drain_config(config, {"out": out} if out else {})
    results = evaluate_drains(settings, quiet=quiet)
    write_json(settings.out, results)
    if not quiet:
        print("\n".join(drain_table(results, settings.baseline)))
        print(f"\nResults: {settings.out}")


def drain_table(results: dict[str, Any], baseline: str) -> list[str]:
    """Return the comparison as lines of Markdown: goodput of the baseline, and of others relative to it."""
    names = [name for name in results["cases"][0]["policies"] if name != baseline]
    lines = [f"| case | spare | goodput of {baseline} | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for case in results["cases"]:
        of = case["policies"]
        cells = ["{:.4f} [{:.4f}, {:.4f}]".format(*of[name][f"over_{baseline}"]) for name in names]
        lines.append(f"| {case['case']} | {case['spare']} | {of[baseline]['goodput']:.4f} | {' | '.join(cells)} |")
    return lines


def simulate_command(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG.yaml", help="Nodes, jobs, faults, storage, policies, seeds.")
    ],
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.  [default: as the file says]")] = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Run a cluster under faults with several checkpoint policies: goodput, lost work, interruptions."""
    from hpcai.evaluation.faults.cluster_config import load_cluster_config
    from hpcai.evaluation.faults.cluster_study import evaluate_cluster_faults

    given = {key: value for key, value in (("seeds", seeds), ("out", out)) if value is not None}
    settings = load_cluster_config(config, given)
    results = evaluate_cluster_faults(settings, quiet=quiet)
    if not quiet:
        print("\n".join(cluster_table(results, settings.baseline)))
        print(f"\nReport: {settings.out}/report.html\nResults: {settings.out}/results.json")


def cluster_table(results: dict[str, Any], baseline: str) -> list[str]:
    """Return the comparison as lines of Markdown, most goodput first."""
    lines = [
        f"| policy | goodput | of {baseline} | lost | writing | interruptions | MTTI h | ended |",
        "|---" * 8 + "|",
    ]
    rows = sorted(results["policies"].items(), key=lambda item: -item[1]["metrics"]["goodput"])
    for name, row in rows:
        of = row["metrics"]
        ratio = " [".join(f"{x:.4f}" for x in row["goodput_ratio"][:2]) + f", {row['goodput_ratio'][2]:.4f}]"
        mtti = "–" if of["mtti"] is None else f"{of['mtti'] / 3600:.1f}"
        lines.append(
            f"| {name} | {of['goodput']:.4f} | {'1' if name == baseline else ratio} | {of['lost']:.4f} "
            f"| {of['writing']:.4f} | {of['interruptions']:.1f} | {mtti} | {of['ended']:.1f} |"
        )
    return lines
