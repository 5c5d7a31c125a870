"""``hpcai placement``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hpcai.options import Workers


def placement_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Nodes, pods, policies, seeds.")],
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.  [default: as the file says, or 50]")] = None,
    out: Annotated[str | None, typer.Option(help="File for the results (JSON).  [default: as the file says]")] = None,
    workers: Workers = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Fill a cluster with pods under several placements: how many GPUs are left that nobody can use."""
    from hpcai.evaluation.fragmentation import evaluate_placement
    from hpcai.evaluation.placement_config import load_placement_config
    from hpcai.evaluation.resumable import write_json

    given = {key: value for key, value in (("seeds", seeds), ("out", out)) if value is not None}
    settings = load_placement_config(config, given)
    results = evaluate_placement(settings, workers=workers, quiet=quiet)
    write_json(settings.out, results)
    if not quiet:
        for line in table(results):
            print(line)
        print(f"\nResults: {settings.out}")


def table(results: dict[str, Any]) -> list[str]:
    """Return the comparison as lines of Markdown: GPUs not allocated, and the ratio to the baseline's."""
    lines = []
    for name, rows in results["workloads"].items():
        loads = list(next(iter(rows.values())))
        shown = ["1" if "1" in loads else loads[0], loads[-1]]
        head = [f"{float(load):.0%} offered | ratio" for load in shown]
        lines += ["", f"| {name} | {' | '.join(head)} |", "|---" * (1 + 2 * len(shown)) + "|"]
        for policy, row in sorted(rows.items(), key=lambda item: item[1][shown[0]]["unallocated"]):
            cells = [
                f"{row[load]['unallocated']:.2%} | {row[load]['ratio']:.3f} [{row[load]['low']:.3f}, "
                f"{row[load]['high']:.3f}]"
                for load in shown
            ]
            lines.append(f"| {policy} | {' | '.join(cells)} |")
    return lines
