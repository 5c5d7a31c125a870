"""HiGHS through SciPy, without the lines that it writes to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scipy.optimize import Bounds, LinearConstraint, milp

from hpcai.device_placement.graph import Floats


def solve(
    objective: Floats, constraints: list[LinearConstraint], upper: Floats, integral: Floats, seconds: float
) -> Any:
    """Return what SciPy finds with variables from 0 to ``upper``; its ``x`` is None if nothing was found in time."""
    with _without_output():
        return milp(
            objective,
            constraints=constraints,
            bounds=Bounds(0.0, upper),
            integrality=integral,
            options={"time_limit": seconds},
        )


@contextmanager
def _without_output() -> Iterator[None]:
    """Send what compiled code writes to standard output nowhere: HiGHS reports on inner solvers whatever it is told."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
