"""``hpcai place``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def place_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file, a graph, a profile, or zoo:NAME.")],
    machine: Annotated[str | None, typer.Option(help="A preset or a YAML file.  [default: mn-1b]")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="How many GPUs of it.  [default: 4]")] = None,
    host: Annotated[bool, typer.Option("--host", help="Place on the CPUs of the nodes too.")] = False,
    method: Annotated[list[str] | None, typer.Option(help="Of which there may be several; all: every one.")] = None,
    seconds: Annotated[float | None, typer.Option(help="That each search takes.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Of each search.  [default: 20000]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the searches.  [default: 0]")] = None,
    training: Annotated[bool | None, typer.Option("--training/--inference", help="Which step is timed.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Of a model of the zoo; a dimension of ONNX.")
    ] = None,
    groups: Annotated[int | None, typer.Option(min=1, help="Fuse operators into so many at most first.")] = None,
    weight_copies: Annotated[float | None, typer.Option(help="Memory of weights: 3 in training, 4 with Adam.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for plan, map and report.  [default: plan]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Place the operators of one model on several devices: a plan, a map of modules to devices, and a report."""
    given: dict[str, Any] = {
        "model": model, "machine": machine, "gpus": gpus, "host": host, "methods": method, "seconds": seconds,
        "evaluations": evaluations, "seed": seed, "training": training, "groups": groups,
        "weight_copies": weight_copies, "out": out,
    }  # fmt: skip
    from hpcai.evaluation.device_placement.config import place_config
    from hpcai.evaluation.device_placement.place import place_model

    fields = {key: value for key, value in given.items() if value is not None}
    config = place_config(fields | {"settings": dict(_setting(text) for text in settings or [])})
    plan = place_model(config, quiet)
    if not quiet:
        print("\n".join(table(plan)))
        print(f"\nPlan: {config.out}/plan.json\nMap of modules to devices: {config.out}/device_map.json")
        print(f"Report: {config.out}/report.html")


def _setting(text: str) -> tuple[str, int | bool]:
    """Return a setting such as batch=32. Raises InputError."""
    from hpcai.errors import InputError

    key, equals, value = text.partition("=")
    words = {"true": True, "false": False}
    if key and equals and (value in words or value.isdecimal()):
        return key, words[value] if value in words else int(value)
    raise InputError(f"--set: expected KEY=VALUE with a whole number, true or false, found {text!r}")


def table(plan: dict[str, Any]) -> list[str]:
    """Return the comparison as lines of Markdown, best first."""
    bound, rows = plan["bound_seconds"], plan["methods"]
    lines = ["| method | step ms | over the bound | lacks GB | sent GB | took s |", "|---" * 6 + "|"]
    for name in sorted(rows, key=lambda name: (rows[name]["excess_bytes"], rows[name]["step_seconds"])):
        row = rows[name]
        over = f"{row['step_seconds'] / bound:.3f}" if bound > 0 else "–"
        lines.append(
            f"| {name} | {row['step_seconds'] * 1e3:.3f} | {over} | {row['excess_bytes'] / 1e9:.3f} "
            f"| {row['sent_bytes'] / 1e9:.3f} | {row['took_seconds']:.2f} |"
        )
    return lines
