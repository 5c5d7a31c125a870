"""Jobs per second of the replay engines, beside a plain C loop and a plain Python heapq loop in the same run.

    python benchmarks/replay.py TRACE [--backfill easy] [--repeat 5] [--engines compiled,simpy,c,heapq] [--squeeze 0]

Prints one JSON line per engine (engine, jobs, seconds, jobs_per_s, mean_bounded_slowdown, peak_mib) and a last
line of ratios. Times are the best of the repeats, after compilation, of the replay itself: the table has been
read and turned into arrays, which is reported apart as the engine 'table_to_arrays'. Absolute figures depend on
the machine; the ratios are what to compare. peak_mib is that of the whole process so far.
"""

from __future__ import annotations

import argparse
import ctypes
import heapq
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from hpcai.records import infer_machine, read_trace
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from hpcai.simulation import compiled, simpy_clock


def heapq_loop(submit, run, estimate, size, processors, easy):
    """FCFS with or without EASY in plain Python: what a script would do."""
    n, start, queue, heap, running = len(submit), [0.0] * len(submit), [], [], {}
    arrived, free = 0, processors
    while arrived < n or heap:
        now = heap[0][0] if heap else submit[arrived]
        if arrived < n and submit[arrived] < now:
            now = submit[arrived]
        while heap and heap[0][0] == now:
            job = heapq.heappop(heap)[1]
            free += size[job]
            del running[job]
        while arrived < n and submit[arrived] == now:
            queue.append(arrived)
            arrived += 1
        shadow, extra, kept, blocked = 0.0, 0, [], False
        for place, job in enumerate(queue):
            if free == 0 or (blocked and not easy):
                kept.extend(queue[place:])
                break
            fits = size[job] <= free
            if fits and blocked and now + estimate[job] > shadow:
                fits = size[job] <= extra
                extra -= size[job] if fits else 0
            if fits:
                start[job] = now
                free -= size[job]
                running[job] = now + estimate[job]
                heapq.heappush(heap, (now + run[job], job))
                continue
            if not blocked:
                blocked, room = True, free
                for end, other in sorted((max(now, end), other) for other, end in running.items()):
                    if room >= size[job] and end > shadow:
                        break
                    shadow = end
                    room += size[other]
                extra = room - size[job]
            kept.append(job)
        queue = kept
    return np.array(start)


def c_loop() -> ctypes.CDLL:
    """Compile the C loop with the system's compiler."""
    source = Path(__file__).with_name("easy_loop.c")
    library = Path(tempfile.mkdtemp()) / "easy_loop.so"
    subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace")
    parser.add_argument("--backfill", choices=("none", "easy"), default="easy")
    parser.add_argument("--ordering", default="fcfs", help="of the hpcai engines; the loops know fcfs only")
    parser.add_argument("--squeeze", type=float, default=1.0, help="factor on submit times: 0 queues all jobs at once")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--engines", default="compiled,simpy,c,heapq")
    options = parser.parse_args()

    trace = read_trace(options.trace)
    machine = trace.machine or infer_machine(trace)
    jobs, left_out = replayable(trace.jobs, machine)
    jobs = jobs.assign(submit=jobs["submit"] * options.squeeze)
    policy = Policy(ordering=options.ordering, backfill=options.backfill)
    began = time.perf_counter()
    array = make_state(jobs, machine, policy).jobs
    setup_s = time.perf_counter() - began
    columns = [np.ascontiguousarray(array[name]) for name in ("submit", "run", "estimate", "size")]
    library = c_loop() if "c" in options.engines.split(",") else None

    def on_state(run):
        def timed():
            state = make_state(jobs, machine, policy)
            began = time.perf_counter()
            run(state)
            return time.perf_counter() - began, state.start

        return timed

    def on_c():
        start = np.empty(len(jobs))
        pointers = [column.ctypes.data_as(ctypes.c_void_p) for column in columns]
        n, processors = ctypes.c_long(len(jobs)), ctypes.c_long(machine.total_cpus)
        began = time.perf_counter()
        library.easy_loop(n, *pointers, processors, options.backfill == "easy", start.ctypes.data_as(ctypes.c_void_p))
        return time.perf_counter() - began, start

    def on_heapq():
        lists = [column.tolist() for column in columns]
        began = time.perf_counter()
        start = heapq_loop(*lists, machine.total_cpus, options.backfill == "easy")
        return time.perf_counter() - began, start

    engines = {"compiled": on_state(compiled.run), "simpy": on_state(simpy_clock.run), "c": on_c, "heapq": on_heapq}
    rate = {}
    starts = {}
    for name in options.engines.split(","):
        times = []
        for _ in range(options.repeat + (name in ("compiled", "simpy"))):  # the first compiles
            seconds, starts[name] = engines[name]()
            times.append(seconds)
        best = min(times)
        turnaround = starts[name] + columns[1] - columns[0]
        slowdown = np.maximum(1.0, turnaround / np.maximum(columns[1], 10.0))
        rate[name] = len(jobs) / best
        line = {
            "engine": name,
            "jobs": len(jobs),
            "seconds": round(best, 6),
            "jobs_per_s": round(rate[name]),
            "mean_bounded_slowdown": round(float(slowdown.mean()), 6),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }
        print(json.dumps(line), flush=True)
    first = next(iter(starts))
    ratios = {f"{a}/{b}": round(rate[a] / rate[b], 3) for a in rate for b in rate if a != b and b in ("c", "heapq")}
    same = all(np.array_equal(starts[first], starts[name]) for name in starts)
    print(json.dumps({"table_to_arrays_s": round(setup_s, 4), "left_out": left_out, "same_starts": same, **ratios}))


if __name__ == "__main__":
    main()
