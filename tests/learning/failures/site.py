"""A small site with planted faults, in files."""

from __future__ import annotations

from pathlib import Path

from hpcai.records.failure_writers import write_failures
from hpcai.records.generators.telemetry import Parameters, generate
from hpcai.records.telemetry import write_telemetry

SITE = Parameters(nodes=64, days=30, step=1200, thermal=0.012, memory=0.012, network=0.012)
SEED = 5


def write_site(folder: Path) -> Path:
    """Write the log and its telemetry, and detection.yaml that names them; return the folder."""
    generated = generate(SITE, seed=SEED)
    write_failures(generated.failures, folder / "log.parquet")
    write_telemetry(generated.telemetry, folder / "telemetry.parquet")
    (folder / "detection.yaml").write_text(
        f"log: {folder}/log.parquet\ntelemetry: {folder}/telemetry.parquet\nstep: 12h\nresamples: 100\nrounds: 20\n"
        "models: [boosting, count]\nchosen: boosting\ncosts: {missed: 500}\n"
    )
    return folder
