"""``hpcai export``; whatever is heavy is imported when it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcai.errors import InputError

if TYPE_CHECKING:
    from hpcai.live.bundle import Bundle


def export_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A run folder, of hpcai failures detect too, an ordering, expr:FORMULA, NAME.json of hpcai train "
            "cluster, a controller.yaml, or a YAML file with domain: checkpointing or draining.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder to write, or a file that ends in .tar.")
    ] = "policy.hpcai",
    trace: Annotated[
        list[str] | None, typer.Option(help="Log to record queues on; a run's own by default, needed for a rule.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    machine: Annotated[str | None, typer.Option(help="A preset, a YAML file or a number of processors.")] = None,
    backfill: Annotated[str | None, typer.Option(help="Of a rule: none, easy or conservative.")] = None,
    estimate: Annotated[str | None, typer.Option(help="Of a rule: requested, predicted or actual.")] = None,
    predictor: Annotated[str | None, typer.Option(help="Of a rule: tsafrir, or a trained one's file.")] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Folder of a finished evaluation to take the results from; else it is replayed.")
    ] = None,
    windows: Annotated[
        str | None, typer.Option(help="Windows of the test part to measure it on.  [default: 20x1024]")
    ] = None,
    rival: Annotated[str | None, typer.Option(help="Heuristic to measure it against.  [default: saf]")] = None,
    fallback: Annotated[str | None, typer.Option(help="Ordering where it cannot answer.  [default: fcfs]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Write a policy as a bundle that a live scheduler can follow, checked on recorded queues or drawn clusters."""
    given = {
        "trace": trace or None, "format": format, "machine": machine, "backfill": backfill, "estimate": estimate,
        "predictor": predictor, "evaluation": evaluation, "windows": windows, "rival": rival, "fallback": fallback,
    }  # fmt: skip
    chosen = {key: value for key, value in given.items() if value is not None}
    bundle = _exported(source, out, chosen, quiet)
    if quiet:
        return
    from hpcai.live.bundle_commands import print_bundle

    print_bundle(bundle)


def _exported(source: str, out: str, given: dict[str, Any], quiet: bool) -> Bundle:
    """Export whatever the source is: see hpcai.learning.bundling."""
    from hpcai.learning.bundling.checkpointing import export_checkpointing
    from hpcai.learning.bundling.cooling import export_cooling, is_cooling
    from hpcai.learning.bundling.export import export_policy
    from hpcai.learning.bundling.failures import export_detector, export_drains, is_detection
    from hpcai.learning.bundling.weights import export_weights

    of_faults = {"detection": export_detector, "draining": export_drains, "checkpointing": export_checkpointing}
    domain = "detection" if is_detection(source) else _domain(source)
    if domain in of_faults:
        if given:
            raise InputError(f"export {source}: --{next(iter(given))} is for orderings of a queue, not for {domain}")
        return of_faults[domain](source, out)
    if is_cooling(source):
        others = [key for key in given if key != "evaluation"]
        if others:
            raise InputError(f"export {source}: --{others[0]} is for orderings of a queue, not for cooling")
        return export_cooling(source, out, quiet=quiet, **given)
    weights = source.endswith(".json")
    if weights and given:
        raise InputError(f"export {source}: --{next(iter(given))} is for orderings of a queue, not for weights")
    if not quiet:
        on = "drawn clusters" if weights else "recorded queues"
        print(f"hpcai: comparing the exported graph with the policy on {on} ...", file=sys.stderr)
    return export_weights(source, out) if weights else export_policy(source, out, quiet=quiet, **given)


def _domain(source: str) -> str | None:
    """Return the domain that a YAML file names, None if it names none or is no such file."""
    from pathlib import Path

    from hpcai.configuration import read_mapping

    if Path(source).suffix not in (".yaml", ".yml") or not Path(source).is_file():
        return None
    domain = read_mapping(source).get("domain")
    if domain is not None and domain not in ("draining", "checkpointing"):
        raise InputError(f"export {source}: domain: expected draining or checkpointing, found {domain!r}")
    return None if domain is None else str(domain)
