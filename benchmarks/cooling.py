"""Steps per second of the fast plant: whole rollouts in machine code, and one step at a time from Python.

    python benchmarks/cooling.py [WEATHER] [--plant two-zone] [--seconds 5]

Without WEATHER a made-up year is used. Prints one JSON line each: rollout under the plant's own control, under random
setpoints, and single steps. Figures are after compilation and depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from hpcai.cooling.interface import OWN
from hpcai.records.weather import read_weather
from hpcai.simulation.cooling import FastPlant
from hpcai.simulation.cooling.fit import excitation

STEP = 900.0
YEAR = 35_040


def made_up_weather():
    """Return a year in steps of a quarter of an hour."""
    hours = np.arange(YEAR) * STEP / 3600
    dry_bulb = 12 - 14 * np.cos(2 * np.pi * hours / 8760) - 5 * np.cos(2 * np.pi * hours / 24)
    humidity = np.random.default_rng(0).uniform(0.3, 0.9, YEAR)
    return {"dry_bulb": dry_bulb, "relative_humidity": humidity, "pressure": np.full(YEAR, 1e5)}


def rate(play, seconds):
    """Return how often what ``play`` counts happens, per second and per second of processor time."""
    play()
    done, begun, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        done += play()
    wall, cpu = time.perf_counter() - begun, time.process_time() - busy
    return {"steps_per_s": round(done / wall), "steps_per_cpu_s": round(done / cpu)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weather", nargs="?")
    parser.add_argument("--plant", default="two-zone")
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    weather = read_weather(args.weather).at(STEP).arrays() if args.weather else made_up_weather()
    plant = FastPlant(weather, args.plant)
    told, load = excitation(plant.steps, STEP)
    own = np.tile(OWN, (plant.steps, 1))

    def rollout(setpoints):
        plant.reset()
        return len(plant.rollout(setpoints, load))

    def steps():
        plant.reset()
        for i in range(2_000):
            plant.step(told[i], load[i])
        return 2_000

    for name, play in {"own": lambda: rollout(own), "random": lambda: rollout(told), "step": steps}.items():
        print(json.dumps({"plant": args.plant, "what": name, **rate(play, args.seconds)}), flush=True)


if __name__ == "__main__":
    main()
