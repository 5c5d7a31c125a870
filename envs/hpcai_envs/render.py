"""Pictures of an episode: the running jobs as the scheduler expects them to end, and below them who waits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling.decisions import BACKFILL
from hpcai.simulation.episode import Lane

WIDTH, MACHINE_HEIGHT, QUEUE_HEIGHT, MARGIN = 640, 240, 160, 8
HORIZON: Final = 24 * 3600.0  # s shown to the right of now
WHITE, PAPER, INK = (255, 255, 255), (238, 240, 243), (60, 66, 75)
RUNNING: Final = ((76, 120, 168), (114, 158, 206), (158, 188, 218))  # neighbours differ
WAITS, FITS, BESIDE, HEAD = (190, 194, 200), (242, 183, 89), (98, 168, 96), (208, 84, 84)


def draw(lane: Lane) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3).

    Above: a band for each running job, as high as its share of the machine and as long as it is expected to go on
    (24 h across). Below: a bar for each job of the window, as high as its share of the machine; green: could be
    started without delaying the first, yellow: fits, red: holds the reservation, grey: does not fit.
    """
    height = MACHINE_HEIGHT + QUEUE_HEIGHT + 3 * MARGIN
    picture = np.empty((height, WIDTH, 3), dtype=np.uint8)
    picture[:] = WHITE
    _draw_machine(lane, picture[MARGIN : MARGIN + MACHINE_HEIGHT, MARGIN:-MARGIN])
    _draw_queue(lane, picture[2 * MARGIN + MACHINE_HEIGHT : -MARGIN, MARGIN:-MARGIN])
    return picture


def _draw_machine(lane: Lane, panel: NDArray[np.uint8]) -> None:
    state, now = lane.state, float(lane.episode.scalars["now"][0])
    height, width = panel.shape[:2]
    panel[:] = PAPER
    total = float(state.scalars["total"][0])
    top = 0.0
    for i, running in enumerate(state.running[: int(state.scalars["running"][0])]):
        share = float(state.jobs["bulk"][running["job"]]) / total
        length = min(max(float(running["end"]) - now, 0.0) / HORIZON, 1.0)
        bottom = top + share * height
        panel[int(top) : max(int(bottom), int(top) + 1), : max(int(length * width), 2)] = RUNNING[i % len(RUNNING)]
        top = bottom
    drained = float(state.scalars["reserved"][0]) / total
    if drained:
        panel[height - int(drained * height) :, :] = INK


def _draw_queue(lane: Lane, panel: NDArray[np.uint8]) -> None:
    state, decision = lane.state, lane.decision
    height, width = panel.shape[:2]
    panel[:] = PAPER
    d = decision.scalars[0]
    each = width // len(decision.slots)
    total = float(state.scalars["total"][0])
    for k in range(int(d["count"])):
        job = state.places["job"][decision.slots[k]]
        bar = max(int(float(state.jobs["bulk"][job]) / total * height), 2)
        colour = BESIDE if decision.beside[k] else FITS if decision.fits[k] else WAITS
        if decision.slots[k] == d["head"]:
            colour = HEAD
        panel[height - bar :, k * each : k * each + max(each - 1, 1)] = colour


def write(lane: Lane) -> str:
    """Return the same in words: the instant, the machine, and the first ten jobs of the window."""
    state, decision, e = lane.state, lane.decision, lane.episode.scalars[0]
    s, d = state.scalars[0], decision.scalars[0]
    phase = "who is backfilled" if d["phase"] == BACKFILL else "who is next"
    lines = [
        f"{float(e['now']):.0f} s: {1 - s['used'] / s['total']:.1%} free, {s['running']} running, "
        f"{s['waiting']} waiting; cost {float(e['accrued']):.4g}; {phase}?",
    ]
    for k in range(min(int(d["count"]), 10)):
        j = int(state.places["job"][decision.slots[k]])
        job = state.jobs[j]
        what = "beside" if decision.beside[k] else "fits" if decision.fits[k] else "waits"
        what = "head" if decision.slots[k] == d["head"] else what
        lines.append(
            f"{k:4d}  job {j:6d}  size {int(job['size']):6d}  estimate {float(job['estimate']):9.0f} s  "
            f"waited {float(e['now'] - state.submit[j]):9.0f} s  {what}"
        )
    if d["count"] > 10:
        lines.append(f"      and {int(d['count']) - 10} more")
    return "\n".join(lines)
