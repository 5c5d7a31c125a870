"""Where the time of an evaluation goes: pandas, the scheduling pass, SimPy.

    python benchmarks/shares.py TRACE [--backfill easy]

Prints, as shares of the whole, the time spent reading the log, turning the table into arrays and back (pandas),
in compiled code (the pass and what starts and ends jobs), on the SimPy clock in SimPy and its callbacks, and in
measuring the schedule and writing it as Parquet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from hpcai import Policy, infer_machine, read_trace, replay, replayable
from hpcai.evaluation.metrics import measure
from hpcai.simulation import compiled, simpy_clock


class Timed:
    """A function that adds up how long it takes."""

    def __init__(self, function):
        self.function = function
        self.seconds = 0.0
        self.signatures = getattr(function, "signatures", ())  # of a compiled function

    def __call__(self, *arguments):
        """Call the function."""
        began = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - began
        return result


def main() -> None:
    """Measure both clocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace")
    parser.add_argument("--backfill", choices=("none", "easy", "conservative"), default="easy")
    options = parser.parse_args()
    policy = Policy(backfill=options.backfill)
    began = time.perf_counter()
    trace = read_trace(options.trace)
    reading = time.perf_counter() - began
    machine = trace.machine or infer_machine(trace)
    jobs, _ = replayable(trace.jobs, machine)
    for engine, module, name in (("compiled", compiled, "_advance"), ("simpy", simpy_clock, "on_event")):
        replay(jobs, machine, policy, engine=engine)  # compile
        function = getattr(module, name)
        setattr(module, name, timed := Timed(function))
        run = module.run
        module.run = clock = Timed(run)
        began = time.perf_counter()
        schedule = replay(jobs, machine, policy, engine=engine)
        total = time.perf_counter() - began
        module.run = run
        setattr(module, name, function)
        began = time.perf_counter()
        measure(schedule.table, jobs, machine)
        measuring = time.perf_counter() - began
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            schedule.table.to_parquet(Path(folder) / "schedule.parquet")
        writing = time.perf_counter() - began
        whole = reading + total + measuring + writing
        parts = {
            "reading": reading,
            "metrics": measuring,
            "Parquet": writing,
            "pandas (table to arrays and back)": total - clock.seconds,
            "pass, compiled": timed.seconds,
            "clock (SimPy, callbacks)" if engine == "simpy" else "clock (Python)": clock.seconds - timed.seconds,
        }
        shares = {part: round(seconds / whole, 3) for part, seconds in parts.items()}
        print(json.dumps({"engine": engine, "jobs": len(jobs), "seconds": round(whole, 3), **shares}))


if __name__ == "__main__":
    main()
