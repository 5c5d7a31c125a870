"""Trials per second of a sweep with one worker and with two, when a trial takes a little more than a second.

    python benchmarks/sweep.py [--trials 24] [--seconds 1.2] [--storage journal|sqlite]

Prints one JSON line for each kind of trial, one that waits and one that computes, and number of workers: trials per
second from the beginning of the first trial to the end of the last, the same with the start of the workers, and the
mean seconds beside the objective, which are for the point (``suggest``), for what is told on the way (``storage``) and
for all else, from one trial's end to the next one's beginning (``between``). A last line has the ratios of two workers
to one and, since a busy machine has no second core to give, of two bare processes to one just before and after.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing as mp
import tempfile
import time
from pathlib import Path

import numpy as np

import hpcai

SPACE = {"x": {"low": 0, "high": 1}, "y": {"low": 0, "high": 1}}


def turn(loops):
    """Keep one core busy."""
    total = 0
    for i in range(loops):
        total += i % 7
    return total


def loops_for(seconds):
    """How many turns take so long on an idle core: the quickest of five tries counts."""
    some, times = 2_000_000, []
    for _ in range(5):
        begun = time.perf_counter()
        turn(some)
        times.append(time.perf_counter() - begun)
    return int(some * seconds / min(times))


def objective_of(kind, seconds, loops):
    """A function that goes to the workers."""

    def objective(point):
        if kind == "waits":
            time.sleep(seconds)
        else:
            turn(loops)
        return (point["x"] - 0.3) ** 2 + point["y"]

    return objective


def gaps(trials):
    """Mean seconds from the end of a worker's trial to the beginning of its next."""
    found = []
    for worker in {trial.user_attrs["worker"] for trial in trials}:
        own = sorted((t for t in trials if t.user_attrs["worker"] == worker), key=lambda trial: trial.datetime_start)
        found += [(b.datetime_start - a.datetime_complete).total_seconds() for a, b in itertools.pairwise(own)]
    return float(np.mean(found))


def share(loops, trials):
    """What each of several bare processes does."""
    for _ in range(trials):
        turn(loops)


def bare(workers, loops, trials=8):
    """Trials per second of processes that only compute."""
    processes = [mp.Process(target=share, args=(loops, trials // workers)) for _ in range(workers)]
    begun = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return trials / (time.perf_counter() - begun)


def measure(kind, workers, options, loops):
    """Run one sweep and return its line."""
    with tempfile.TemporaryDirectory() as out:
        storage = f"sqlite:///{out}/study.db" if options.storage == "sqlite" else str(Path(out) / "study.journal")
        begun = time.perf_counter()
        result = hpcai.sweep(
            objective_of(kind, options.seconds, loops),
            SPACE,
            workers=workers,
            budget=f"{options.trials} trials",
            storage=storage,
            out=out,
            quiet=True,
        )
        elapsed = time.perf_counter() - begun
        trials = [trial for trial in result.study.get_trials(False) if trial.state.name == "COMPLETE"]
    first = min(trial.datetime_start for trial in trials)
    last = max(trial.datetime_complete for trial in trials)
    seconds = {
        key: np.mean([t.user_attrs["seconds"][key] for t in trials]) for key in ("suggest", "storage", "objective")
    }
    return {
        "what": kind,
        "workers": workers,
        "trials": len(trials),
        "trials_per_s": round(len(trials) / (last - first).total_seconds(), 4),
        "with_start": round(len(trials) / elapsed, 4),
        **{key: round(float(value), 4) for key, value in seconds.items()},
        "between": round(gaps(trials), 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=1.2)
    parser.add_argument("--storage", choices=("journal", "sqlite"), default="journal")
    options = parser.parse_args()
    loops, ratios = loops_for(options.seconds), {}
    before = bare(2, loops) / bare(1, loops)
    for kind in ("computes", "waits"):
        lines = [measure(kind, workers, options, loops) for workers in (1, 2)]
        for line in lines:
            print(json.dumps(line), flush=True)
        ratios[kind] = round(lines[1]["trials_per_s"] / lines[0]["trials_per_s"], 2)
        if kind == "computes":
            ratios["bare_processes"] = [round(before, 2), round(bare(2, loops) / bare(1, loops), 2)]
    print(json.dumps({"ratios_of_two_to_one": ratios}))


if __name__ == "__main__":
    main()
