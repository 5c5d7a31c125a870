"""Time and memory of a month of the reference site: 40,000 jobs, faults, a plant stepped every minute.

    python benchmarks/site.py [--days 30] [--weather FILE]

Compiled code is warmed up by an hour of the same site before the clock is started.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from typing import Any

from hpcai.evaluation.site.config import merged, site_config
from hpcai.evaluation.site.evaluate import simulate

WEATHER = "../shared/data/weather/JPN_Tokyo.Hyakuri_IWEC.epw.gz"
SITE: dict[str, Any] = {
    "jobs": {"generator": "reference-site", "per_day": 1333.4},
    "machine": "mn-1",
    "discipline": {"storage_gbyte_s": 10, "drain": "staggered", "grace": 120, "drain_bound": 1800},
    "faults": {"domains": {"node": {"mtbf_days": 120, "shape": 0.8}, "switch": {"size": 16, "mtbf_days": 300}}},
    "power": {"throttle_from": 32},
    "cooling": {"preset": "mn-1", "start": "07-01", "controller": "rules"},
}


def main() -> None:
    """Run it once and print what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=float, default=30.0)
    options.add_argument("--weather", default=WEATHER)
    given = options.parse_args()
    fields = merged(SITE, {"cooling": {"weather": given.weather}})
    simulate(site_config(merged(fields, {"days": 1 / 24}), "benchmark"))
    before, others = time.perf_counter(), os.getloadavg()[0]
    processor = time.process_time()
    run = simulate(site_config(merged(fields, {"days": given.days}), "benchmark"))
    wall, cpu = time.perf_counter() - before, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    of = run.metrics
    print(f"{given.days:g} days, {len(run.jobs):,} jobs, {len(run.prepared.setting.outages)} outages")
    print(f"{wall:.1f} s of wall time, {cpu:.1f} s of processor time, {peak:.2f} GiB at most")
    print(f"load of the machine before {others:.1f}; {os.cpu_count()} processors")
    print(f"ended {of['ended']:.0f}, IT {of['it']:.1f} MWh, PUE {of['pue']:.3f}, killed {of['killed']:.0f}")


if __name__ == "__main__":
    main()
