"""Pictures of a GPU cluster: who has which GPU."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling.gpu_cluster.state import STOPPING, Cluster
from hpcai.scheduling.gpu_cluster.work import CLASSES
from hpcai.scheduling.jobs import MILLI
from hpcai_envs.render import INK, MARGIN, PAPER, WHITE, WIDTH

GPU, GAP = 6, 2  # pixels
OF_CLASS: Final = ((158, 188, 218), (76, 120, 168), (44, 62, 92))
LEAVING, ASKED = (242, 183, 89), (98, 168, 96)


def draw_cluster(cluster: Cluster) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3): a column of squares for each node, a square for each of its GPUs.

    Grey: free; light to dark blue: preemptible, normal, grand challenge; yellow: told to stop; green: the job at hand;
    black: none. A leaf switch is followed by a gap.
    """
    colours = _colours(cluster)
    n, g = colours.shape[:2]
    pitch = GPU + GAP
    x = np.arange(n) * pitch + cluster.nodes.leaf * 2 * GAP
    across = WIDTH - 2 * MARGIN
    height = g * pitch + 2 * GAP
    rows = int(x.max()) // across + 1
    picture = np.empty((2 * MARGIN + rows * height, WIDTH, 3), dtype=np.uint8)
    picture[:] = WHITE
    for node in range(n):
        left, top = MARGIN + int(x[node]) % across, MARGIN + int(x[node]) // across * height
        for k in range(g):
            picture[top + k * pitch : top + k * pitch + GPU, left : left + GPU] = colours[node, k]
    return picture


def _colours(cluster: Cluster) -> NDArray[np.uint8]:
    """Return the colour of each GPU, (N, G, 3)."""
    nodes, at = cluster.nodes, cluster.at[0]
    colours = np.empty((*nodes.gpu.shape, 3), dtype=np.uint8)
    colours[:] = PAPER
    colours[np.arange(nodes.gpu.shape[1])[None, :] >= nodes.gpus[:, None]] = INK
    for j in cluster.running[: at["running"]]:
        run, work = cluster.run[j], cluster.work[j]
        if not run["lifted"]:
            _paint(cluster, int(j), colours, LEAVING if run["status"] == STOPPING else OF_CLASS[work["rank"]])
    return colours


def _paint(cluster: Cluster, j: int, colours: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    first = cluster.work[j]["entries"]
    for place in cluster.places[first : first + cluster.run[j]["tasks"]]:
        bits = (int(place["gpus"]) >> np.arange(colours.shape[1])) & 1
        colours[place["node"], bits > 0] = colour


def write_cluster(cluster: Cluster, options: list[str]) -> str:
    """Return the same in words: the instant, the machine, the job at hand and what could be done."""
    at = cluster.at[0]
    lines = [
        f"{float(at['now']):.0f} s: {at['free'] / MILLI:g} of {cluster.total[2] / MILLI:g} GPUs free, "
        f"{at['running']} running, {at['queued']} waiting"
    ]
    if at["asked"] >= 0:
        j = at["asked"]
        run, work = cluster.run[j], cluster.work[j]
        lines.append(
            f"job {j}, {CLASSES[work['rank']]}: {run['tasks']} pods of {work['gpu'] / MILLI:g} GPUs, "
            f"waited {float(at['now'] - run['queued']):.0f} s"
        )
    return "\n".join([*lines, *options])
