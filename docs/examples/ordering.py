"""An ordering: small areas first, and a job's area shrinks while it waits."""

from __future__ import annotations

import sys

import hpcai

PATIENT = "requested_time * size * exp(-wait / patience)"


def compare(log: str) -> dict[str, float]:
    """Return the mean wait and its 95th percentile under it and under smallest area first, in s."""
    trace = hpcai.read_trace(log)
    machine = hpcai.infer_machine(trace)
    jobs, _ = hpcai.replayable(trace.jobs, machine)
    policies = {
        "saf": hpcai.Policy(ordering="saf"),
        "patient": hpcai.Policy(ordering=f"expr:{PATIENT}", parameters={"patience": 300.0}),
    }
    waits = {}
    for name, policy in policies.items():
        table = hpcai.replay(jobs, machine, policy).table
        wait = table["start"] - table["submit"]
        waits |= {f"{name}, mean": float(wait.mean()), f"{name}, 95th percentile": float(wait.quantile(0.95))}
    return waits


if __name__ == "__main__":
    for what, seconds in compare(*sys.argv[1:] or ["slurm-64gpu.sacct.txt"]).items():
        print(f"{what}: {seconds:.1f} s")
