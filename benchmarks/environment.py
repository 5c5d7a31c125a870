"""Steps per second of the scheduling environment with masked random actions, plain and batched.

    python benchmarks/environment.py [TRACE] [--length 256] [--lanes 64] [--seconds 10] [--estimate actual]

Prints one JSON line each: plain (one environment through Gymnasium's API), batched (stable-baselines3's API, the
drawing of random actions included) with one thread and with as many as there are processors, and a last line of
ratios. ``steps_per_cpu_s`` are per second of processor time, of all threads together: they suffer less where other
work shares the machine. Figures are after compilation and depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import gymnasium
import numba
import numpy as np

from hpcai_envs.batched import BatchedScheduling


@numba.njit
def pick(masks, uniform):
    """The possible action at share ``uniform`` of each row's; compiled, to measure environments and not the drawing."""
    actions = np.zeros(len(masks), dtype=np.int64)
    for b in range(len(masks)):
        left = int(uniform[b] * np.sum(masks[b]))
        while left > 0 or not masks[b, actions[b]]:
            left -= masks[b, actions[b]]
            actions[b] += 1
    return actions


def draw(masks, rng):
    """A possible action for each row, all equally likely."""
    return pick(masks, rng.random(len(masks)))


def rates(act, steps, seconds):
    """Steps per second, and per second of processor time, of calling ``act``, which makes ``steps``, for a while."""
    made, begun, worked = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        act()
        made += steps
    elapsed = time.perf_counter() - begun
    return {
        "steps_per_s": round(made / elapsed),
        "steps_per_cpu_s": round(made / (time.process_time() - worked)),
    }


def plain(env, seconds, rng):
    """Rates of one environment."""
    env.reset(seed=0)

    def act():
        for _ in range(200):
            if env.step(draw(env.action_masks()[None], rng)[0])[2]:
                env.reset()

    return rates(act, 200, seconds)


def batched(episodes, lanes, threads, seconds, rng):
    """Rates of many, all lanes counted; and the share of the time spent inside the environment."""
    env = BatchedScheduling(episodes, lanes, threads=threads)
    env.reset()

    def act():
        for _ in range(20):
            env.step(draw(env.action_masks(), rng))

    act()
    inside, begun = env.seconds, time.perf_counter()
    result = rates(act, 20 * lanes, seconds)
    share = (env.seconds - inside) / (time.perf_counter() - begun)
    env.close()
    return {"lanes": lanes, **result, "inside": round(share, 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", nargs="?", default="lublin-256.swf.gz")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--estimate", default="actual")
    options = parser.parse_args()
    policy = {"ordering": "saf", "estimate": options.estimate}
    env = gymnasium.make(
        "hpcai_envs:hpcai/Scheduling-v0", trace=options.trace, length=options.length, policy=policy
    ).unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    found = {"plain": plain(env, options.seconds, rng)}
    for threads in sorted({1, os.cpu_count() or 1}):
        name = f"batched, {threads} thread{'s' if threads > 1 else ''}"
        found[name] = batched(env.episodes, options.lanes, threads, options.seconds, rng)
    for name, line in found.items():
        print(json.dumps({"what": name, **line}))
    base = found["plain"]["steps_per_s"]
    print(json.dumps({"ratios_to_plain": {name: round(line["steps_per_s"] / base, 2) for name, line in found.items()}}))


if __name__ == "__main__":
    main()
