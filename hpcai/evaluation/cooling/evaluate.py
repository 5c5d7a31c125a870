"""Cooling controllers compared: each plays each case; records as Parquet, results as JSON, a report."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.arrays import file_hash
from hpcai.cooling.interface import READINGS, SETPOINTS, Floats
from hpcai.evaluation.cooling.config import CoolingConfig
from hpcai.evaluation.cooling.controllers import ControllerConfig
from hpcai.evaluation.cooling.metrics import power, summary
from hpcai.evaluation.cooling.records import table_of
from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS, in_threads
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import ResumableFolder, write_json, write_whole
from hpcai.evaluation.statistics import ratios, resample
from hpcai.evaluation.store import slug
from hpcai.simulation.cooling.hall import Record

COMPARED: Final = ("hvac", "site")
_WEEK: Final = 7 * 86400.0


class CoolingFolder(ResumableFolder):
    """A comparison's folder."""

    kind = "hpcai cooling"
    holds = "comparison of cooling controllers"

    def file(self, case: str, controller: str) -> str:
        """Return where a record lies."""
        return f"records/{slug(case)}.{slug(controller)}.parquet"

    def has(self, case: str, controller: str) -> bool:
        """Whether a record is there."""
        return (self.path / self.file(case, controller)).is_file()

    def write_record(self, case: str, controller: str, table: pd.DataFrame) -> None:
        """Write a record in whole or not at all."""
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_whole(self.path / self.file(case, controller), buffer.getvalue())

    def record(self, case: str, controller: str, step_length: float) -> Record:
        """Return a record."""
        table = pd.read_parquet(self.path / self.file(case, controller))
        return Record(
            steps=table["step"].to_numpy(np.int64),
            step_length=step_length,
            setpoints=table[[f"set_{point.name}" for point in SETPOINTS]].to_numpy(np.float64),
            readings=table[[point.name for point in READINGS]].to_numpy(np.float64),
        )

    def _clear(self) -> None:
        """Remove an earlier comparison's files and nothing else."""
        shutil.rmtree(self.path / "records", ignore_errors=True)
        for name in ("results.json", "report.html"):
            (self.path / name).unlink(missing_ok=True)


def evaluate_cooling(
    config: CoolingConfig, *, resume: bool = False, workers: int = 1, quiet: bool = True
) -> dict[str, Any]:
    """Return the results of a comparison, which are also in its folder with the records and the report.

    Raises InputError if a case or a controller cannot be used, PlantError if a plant breaks down.
    """
    from hpcai.evaluation.cooling.report import render

    sources = [source for case, *rates in config.halls.values() for source in (case.weather, *rates) if source]
    sources += [str(case.it_load) for case, *_ in config.halls.values() if _is_file(case.it_load)]
    every = {case: config.plays(case) for case in config.halls}
    sources += [each.network for plays in every.values() for each in plays.values() if each.network]
    identity = {
        "hpcai": version("hpcai"),
        "config": config.model_dump(mode="json", exclude={"out"}),
        "controllers": {case: _described(plays) for case, plays in every.items()},
        "sha256": {source: file_hash(source) for source in dict.fromkeys(sources)},
    }
    folder = CoolingFolder(config.out, identity, resume)
    _play_all(config, folder, workers, quiet)
    results = identity | {"cases": {case: _compared(config, folder, case) for case in config.halls}}
    write_json(folder.path / "results.json", results)
    folder.write("report.html", render(config, results, folder))
    folder.finish()
    return results


def _described(plays: Mapping[str, ControllerConfig]) -> dict[str, Any]:
    return {name: each.model_dump(mode="json", exclude_defaults=True) for name, each in plays.items()}


def _is_file(it_load: float | str) -> bool:
    return isinstance(it_load, str) and it_load != "daily"


def _play_all(config: CoolingConfig, folder: CoolingFolder, workers: int, quiet: bool) -> None:
    """Play whatever is not in the folder yet."""
    cells = [(case, name) for case in config.halls for name in config.controllers]
    todo = [cell for cell in cells if not folder.has(*cell)]

    def play(cell: tuple[str, str]) -> None:
        case, name = cell
        hall = config.halls[case][0].open()
        controller = config.plays(case)[name].make(config.halls[case][0])
        with closing(hall.plant):
            stretches = config.stretches(hall.steps, hall.plant.step_length)
            record = Record.joined([hall.play(controller, start, steps) for start, steps in stretches])
        folder.write_record(case, name, table_of(record, hall.surroundings))

    with Progress(len(cells), "plays", quiet) as progress:
        progress.reach(len(cells) - len(todo))
        in_threads(play, todo, workers, progress.advance)


def _compared(config: CoolingConfig, folder: CoolingFolder, case: str) -> dict[str, Any]:
    """Return the metrics of each controller in a case, and its energies relative to the baseline's."""
    hall, *sources = config.halls[case]
    records = {name: folder.record(case, name, hall.step_length) for name in config.controllers}
    steps = records[config.baseline].steps
    weather = hall.read_weather()
    rates = [hall.rates(source, int(steps[-1]) + 1, weather) for source in sources]
    price, carbon = (None if rate is None else rate[steps] for rate in rates)
    rows: dict[str, dict[str, Any]] = {
        name: {"metrics": summary(record, config.of_inlets(case), price, carbon)} for name, record in records.items()
    }
    for which in COMPARED:
        of_weeks = {name: weekly(record, which) for name, record in records.items()}
        weights = resample(len(of_weeks[config.baseline]), 1, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
        values = np.stack(list(of_weeks.values()), axis=1)
        for name, found in zip(records, ratios(values, of_weeks[config.baseline], weights), strict=True):
            known = np.isfinite(found.low)
            rows[name][f"{which}_ratio"] = {
                "value": round(found.value, 4),
                "low": round(found.low, 4) if known else None,
                "high": round(found.high, 4) if known else None,
            }
    return {"it_curve": hall.it_curve, "plant": hall.plant, "steps": len(steps), "controllers": _rounded(rows)}


def weekly(record: Record, which: str) -> Floats:
    """Return the energy of each whole week, or of each day of a record of less than two, in kWh."""
    per_week = round(_WEEK / record.step_length)
    per_block = per_week if len(record.readings) >= 2 * per_week else per_week // 7
    blocks = max(len(record.readings) // per_block, 1)
    values = power(record.readings, which)[: blocks * per_block]
    return np.asarray(values.reshape(blocks, -1).sum(axis=1) * record.step_length / 3.6e6)


def _rounded(rows: dict[str, Any]) -> dict[str, Any]:
    for row in rows.values():
        row["metrics"] = {name: float(f"{value:.6g}") for name, value in row["metrics"].items()}
    return rows
