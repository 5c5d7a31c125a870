"""GPU power limits: how much slower a job runs under one, and how much less it draws.

A limit holds back only a job that would draw more. The speed it leaves is read from curves measured with Zeus
(figures.yaml) at the share of the job's dynamic power that remains. Below the lowest power measured it falls in
proportion to power. Use is a mean over the job: one whose power comes in bursts suffers somewhat more than this says.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcai.cluster.power.figures import figures
from hpcai.cluster.power.model import PowerModel

Floats = npt.NDArray[np.float64]

LOWEST = 0.4  # of a GPU's most power; drivers refuse limits much below (V100: 100 of 250 W)


def speed_under(share: Floats, gpu_kind: str) -> Floats:
    """Return the speed with ``share`` of a job's dynamic GPU power left (0..1), as a share of that without a limit."""
    curve = figures().curves[figures().gpu(gpu_kind).curve]
    return np.interp(share, (0.0, *curve.power), (0.0, *curve.speed))


def limited(gpu_use: Floats, limit: Floats, where: Floats, model: PowerModel) -> tuple[Floats, Floats]:
    """Return use and speed of jobs under a power limit.

    Args:
        gpu_use: share of the GPUs' dynamic power that each job has without a limit, 0..1, (jobs,).
        limit: on each of a job's GPUs, as a share of the most it can draw, (jobs,); 1 limits nothing.
        where: share of each job on each group of the model, (jobs, groups).
        model: of the machine.

    Returns:
        use: of the GPUs with the limit, (jobs,), at most ``gpu_use``.
        speed: with the limit, as a share of that without, (jobs,), 1 where it does not bind.
    """
    use, speed = np.zeros(len(gpu_use)), np.zeros(len(gpu_use))
    for g, group in enumerate(model.groups):
        most = np.clip((limit - group.gpu_floor) / (1 - group.gpu_floor), 0.0, 1.0)
        of_group = np.minimum(gpu_use, most)
        left = np.divide(of_group, gpu_use, out=np.ones_like(gpu_use), where=gpu_use > 0)
        use += where[:, g] * of_group
        speed += where[:, g] * speed_under(left, group.gpu_kind)
    return use, speed
