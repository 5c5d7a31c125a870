"""Submit a recorded log again, to a real Slurm: each job as a sleep of its run time, with its own requests and pace.

python -m tests.live.resubmit slurm-64gpu.sacct.txt --part test --out before.csv
python -m tests.live.resubmit --compare before.csv after.csv
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hpcai import read_trace
from hpcai.records import split
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR

DRAWS = 10_000
BLOCKS = 20  # a job that waits makes its neighbours wait: they are drawn together


def chosen(source: str, part: str, most: int | None) -> pd.DataFrame:
    """Return the jobs of a part of a log that ran, with their place in time from its beginning."""
    parts = split(read_trace(source), (0.6, 0.1, 0.3), ("train", "validation", "test"))
    jobs = parts[part].jobs
    jobs = (
        jobs[jobs["run_time"].notna() & jobs["requested_time"].notna()].head(most or len(jobs)).reset_index(drop=True)
    )
    return jobs.assign(offset=jobs["submit"] - jobs["submit"].min())


def submit(job: pd.Series) -> str:
    """Submit a job; return its id."""
    nodes = max(int(job["nodes"]), 1)
    command = ["sbatch", "--parsable", f"--nodes={nodes}", "--ntasks-per-node=1", "--output=/dev/null"]
    command += [f"--time={max(int(np.ceil(job['requested_time'] / 60)), 1)}"]
    if job["gpus"] >= 1:
        command.append(f"--gres=gpu:{int(job['gpus']) // nodes}")
    done = subprocess.run(
        [*command, "--wrap", f"sleep {job['run_time']:.0f}"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def go(jobs: pd.DataFrame, pace: float) -> pd.DataFrame:
    """Submit the jobs, ``pace`` times as fast as recorded, wait for their end; return when they ran."""
    begun, names = time.monotonic(), []
    for _, job in jobs.iterrows():
        time.sleep(max(begun + job["offset"] / pace - time.monotonic(), 0.0))
        names.append(submit(job))
        if len(names) % 20 == 0:
            print(f"{len(names)} of {len(jobs)} jobs submitted", file=sys.stderr)
    while left := len(subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout.splitlines()):
        print(f"{left} jobs left", file=sys.stderr)
        time.sleep(10)
    time.sleep(2)  # accounting follows
    return accounted(names)


def accounted(names: list[str]) -> pd.DataFrame:
    """Return wait, run time and bounded slowdown of jobs in the order of ``names``; s."""
    command = ["sacct", "-X", "-n", "-P", "-j", ",".join(names), "-o", "jobid,submit,start,end"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    table = pd.DataFrame([line.split("|") for line in said.splitlines()], columns=["job", "submit", "start", "end"])
    times = table.set_index("job").loc[names].apply(pd.to_datetime)
    wait = (times["start"] - times["submit"]).dt.total_seconds()
    run = (times["end"] - times["start"]).dt.total_seconds()
    slowdown = np.maximum((wait + run) / np.maximum(run, SLOWDOWN_FLOOR), 1.0)
    return pd.DataFrame({"wait": wait, "run_time": run, "bounded_slowdown": slowdown})


def summary(table: pd.DataFrame) -> str:
    """Return the means in a line."""
    wait, slowdown = table["wait"].mean(), table["bounded_slowdown"].mean()
    return f"{len(table)} jobs: mean wait {wait:.1f} s, mean bounded slowdown {slowdown:.2f}"


def compare(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """Return the ratio of mean bounded slowdowns with its interval: a paired bootstrap over blocks of submissions."""
    pairs = [np.array_split(table["bounded_slowdown"].to_numpy(), BLOCKS) for table in (before, after)]
    sums = np.array([[block.sum() for block in blocks] for blocks in pairs])
    drawn = np.random.default_rng(0).integers(0, BLOCKS, (DRAWS, BLOCKS))
    ratios = sums[1][drawn].sum(axis=1) / sums[0][drawn].sum(axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return f"ratio {sums[1].sum() / sums[0].sum():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Submit, or compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.resubmit", description=__doc__.splitlines()[0])
    parser.add_argument("trace", nargs="?")
    parser.add_argument("--part", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--jobs", type=int, help="the first so many alone")
    parser.add_argument("--pace", type=float, default=1.0, help="times as fast as recorded")
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    given = parser.parse_args()
    if given.compare:
        before, after = (pd.read_csv(path) for path in given.compare)
        print(f"before  {summary(before)}\nafter   {summary(after)}\n{compare(before, after)}")
        return
    if given.trace is None:
        parser.error("expected a log, or --compare")
    table = go(chosen(given.trace, given.part, given.jobs), given.pace)
    print(summary(table))
    if given.out:
        table.to_csv(given.out, index=False)


if __name__ == "__main__":
    main()
