"""Options that several commands share; like the commands' own, they import nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpcai.launching import Launch

Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes, or jobs of Slurm, that share the work.")]
Launcher = Annotated[str, typer.Option("--launcher", help="Where workers run: local, or slurm.")]
SlurmSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="For each worker on Slurm: partition, account, qos, time_limit (2h), cpus, memory (GB), gpus, requeue, "
        "or any option of sbatch. May be given several times.",
    ),
]

LAUNCH_OPTIONS = ("workers", "launcher", "slurm")


def launch_of(workers: int, launcher: str, slurm: list[str] | None) -> Launch:
    """Return the launch that the three options describe. Raises InputError."""
    from hpcai.configuration import validated
    from hpcai.errors import InputError
    from hpcai.launching import Launch

    fields: dict[str, object] = {"workers": workers, "launcher": launcher}
    extra: dict[str, str] = {}
    if slurm and launcher != "slurm":
        raise InputError(f"--slurm {slurm[0]}: expected --launcher slurm beside it, found {launcher!r}")
    for setting in slurm or []:
        key, equals, value = setting.partition("=")
        if not (key and equals and value):
            raise InputError(f"--slurm: expected KEY=VALUE, found {setting!r}")
        name = key.replace("-", "_")
        (fields if name in Launch.model_fields else extra)[name] = value
    return validated(Launch, fields | {"extra": extra}, "command line")
