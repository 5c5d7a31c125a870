"""Pictures of a cooled hall: temperatures and powers as bars."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.interface import READING_INDEX, SIDES, Floats
from hpcai_envs.render import INK, MARGIN, PAPER, WHITE, WIDTH

BAR, GAP = 14, 4  # pixels
COLD, WITHIN, HOT, POWER = (76, 120, 168), (98, 168, 96), (200, 82, 76), (242, 183, 89)
WARMEST: Final = 45.0  # °C at the right edge
PARTS: Final = ("east_fan", "west_fan", "evaporative", "chiller", "tower", "pumps")


def draw_hall(readings: Floats, design: float, low: float, high: float) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) of readings, with bars for each side and each power.

    First supply, inlet and zone of each side, 0 to 45 °C: inlets blue below ``low``, green, and red above ``high``,
    which black lines mark. Then the powers of PARTS, to a tenth of the ``design`` power (W).
    """
    temperatures = [f"{side}_{point}" for side in SIDES for point in ("supply", "inlet", "zone")]
    rows = len(temperatures) + len(PARTS)
    across = WIDTH - 2 * MARGIN
    picture = np.empty((2 * MARGIN + rows * (BAR + GAP), WIDTH, 3), dtype=np.uint8)
    picture[:] = WHITE
    for row, name in enumerate((*temperatures, *PARTS)):
        value = readings[READING_INDEX[name]]
        is_power = name in PARTS
        length = value / (0.1 * design) if is_power else value / WARMEST
        top = MARGIN + row * (BAR + GAP)
        picture[top : top + BAR, MARGIN : MARGIN + across] = PAPER
        colour = POWER if is_power else COLD if value < low else HOT if value > high else WITHIN
        colour = colour if is_power or name.endswith("inlet") else COLD
        picture[top : top + BAR, MARGIN : MARGIN + round(across * min(max(length, 0.0), 1.0))] = colour
        for limit in () if is_power else (low, high):
            picture[top : top + BAR, MARGIN + round(across * limit / WARMEST)] = INK
    return picture
