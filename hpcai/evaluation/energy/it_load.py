"""The load that a replay puts on the machines, as a table that cooling is played and learned with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.evaluation.config import Entry, EvaluationConfig, make_config
from hpcai.evaluation.energy.measures import power_of_machines
from hpcai.evaluation.groups import cell_of
from hpcai.evaluation.inputs import Input, prepare_all
from hpcai.evaluation.resumable import RUN_FILE, write_whole
from hpcai.evaluation.store import Cells, Folder
from hpcai.evaluation.windows import Window
from hpcai.records.it_load import LOAD

Key = TypeVar("Key")
Value = TypeVar("Value")

_LISTED: Final = 12  # names that a message lists
_STEPS: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)  # min


@dataclass(frozen=True)
class Wanted:
    """Which replay of an evaluation is meant; what there is but one of need not be named."""

    trace: str | None = None
    policy: str | None = None
    backfill: str | None = None
    window: int | None = None


def it_load(folder: str | Path, wanted: Wanted | None = None, step_minutes: int = 60) -> pd.DataFrame:
    """Return the load of the machines under a finished replay: a row for each whole step from its first to its last.

    Columns: ``time``, when the step begins (UTC); ``it_load``, mean power over it as a share of the most that the
    machines can draw, as a site's plant is loaded; ``it_power``, that power in W. ``attrs`` say where it is from.

    Args:
        folder: of an evaluation; the files that it was made from are read again.
        wanted: which replay.
        step_minutes: length of a step.

    Raises InputError if the folder has no such replay, an input has changed, or the replay has no whole step.
    """
    if step_minutes not in _STEPS:
        raise InputError(f"step_minutes {step_minutes}: expected a divisor of 60")
    wanted = wanted or Wanted()
    config, identity = _evaluation(Path(folder))
    sources = prepare_all(config)
    for source in sources:
        if identity["inputs"].get(source.name) != source.hashes:
            raise InputError(f"{folder}: {source.source} is not what it was when the evaluation was made")
    source = _one(folder, "trace", wanted.trace, {source.name: source for source in sources})
    entry = _entry(folder, wanted, source)
    window = _one(folder, "window", wanted.window, {window.number: window for window in source.windows})
    table = _table(folder, source, entry, window, config, 60.0 * step_minutes)
    table.attrs = {
        "hpcai": version("hpcai"),
        "replay": {"trace": source.name, "policy": entry.name, "backfill": entry.backfill, "window": window.number},
        "sha256": source.hashes,
        "seed": config.seed,
    }
    return table


def write_it_load(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of :func:`it_load` as .parquet or .csv; raises InputError for another kind of file."""
    path, buffer = Path(path), BytesIO()
    if path.suffix == ".parquet":
        table.to_parquet(buffer, index=False)
    elif path.suffix == ".csv":
        table.to_csv(buffer, index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")
    else:
        raise InputError(f"{path}: expected a name that ends in .parquet or .csv")
    write_whole(path, buffer.getvalue())


def _evaluation(folder: Path) -> tuple[EvaluationConfig, dict[str, Any]]:
    """Return the configuration of an evaluation's folder, and all that it depends on."""
    try:
        run = json.loads((folder / RUN_FILE).read_text("utf-8"))
        if run["kind"] != Folder.kind:
            raise InputError(f"{folder}: expected the folder of an evaluation, found one of {run['kind']}")
        identity: dict[str, Any] = run["identity"]
        return make_config(identity["config"], str(folder / RUN_FILE)), identity
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: expected the folder of an evaluation, found no {RUN_FILE} of one") from error


def _entry(folder: str | Path, wanted: Wanted, source: Input) -> Entry:
    names = {entry.name: entry.name for entry in source.entries if entry.policy is not None or wanted.policy}
    name = _one(folder, "policy", wanted.policy, names)
    of_name = {entry.backfill: entry for entry in source.entries if entry.name == name}
    return _one(folder, "backfill", wanted.backfill, of_name)


def _one(folder: str | Path, what: str, name: Key | None, there: Mapping[Key, Value]) -> Value:
    """Return what is there by a name, or the only thing that is there."""
    if name is None and len(there) == 1:
        return next(iter(there.values()))
    if name is None or name not in there:
        found = "none named" if name is None else f"found {name!r}"
        raise InputError(f"{folder}: {what}: expected one of {_listed(there)}, {found}")
    return there[name]


def _listed(names: Iterable[object]) -> str:
    every = [str(name) for name in names]
    return ", ".join(every) if len(every) <= _LISTED else f"{every[0]} to {every[-1]}"


def _table(
    folder: str | Path, source: Input, entry: Entry, window: Window, config: EvaluationConfig, step: float
) -> pd.DataFrame:
    cell = cell_of(source, entry, window.number)
    cells = Cells(folder)
    if not cells.has(cell):
        raise InputError(f"{folder}: the replay of {entry.label} in window {window.number} is not finished")
    jobs = source.window_jobs(window)
    machines = power_of_machines(cells.schedule(cell), jobs, source.machine, config.seed, config.warmup)
    origin = 0.0 if np.isnan(source.trace.origin) else source.trace.origin
    first, last = (origin + float(machines.time[i]) for i in (0, -1))
    edges = np.arange(np.ceil(first / step), np.floor(last / step) + 1) * step
    if len(edges) < 2:
        raise InputError(f"{folder}: the replay lasts {last - first:g} s, expected a whole step of {step:g} s")
    watts = machines.means(edges - origin)
    time = pd.to_datetime(edges[:-1], unit="s", utc=True)
    return pd.DataFrame({"time": time, LOAD: np.clip(watts / machines.maximum, 0.0, 1.0), "it_power": watts})
