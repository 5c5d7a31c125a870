"""Weather made up for tests of cooling: a year of sinusoids as an EPW file."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

_HEADER = (
    "LOCATION,Sinewave,-,TST,TMY3,1,41.98,-87.92,-6.0,201.0",
    "DESIGN CONDITIONS,0",
    "TYPICAL/EXTREME PERIODS,0",
    "GROUND TEMPERATURES,0",
    "HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0",
    "COMMENTS 1,",
    "COMMENTS 2,",
    "DATA PERIODS,1,1,Data,Sunday,1/ 1,12/31",
)


def write_epw(path: Path, mean: float = 12.0, yearly: float = 12.0, daily: float = 5.0) -> Path:
    """Write a year whose dry bulb (°C) swings about ``mean`` with seasons and days, warmest in July and at 15:00."""
    rows = []
    for i in range(8760):
        at = datetime(1999, 1, 1) + timedelta(hours=i)
        season = -math.cos(2 * math.pi * (i - 15 * 24) / 8760)
        day = math.cos(2 * math.pi * (at.hour - 14) / 24)
        dry = mean + yearly * season + daily * day
        dew = mean + yearly * season - daily - 2.0
        humid = 100 * math.exp(17.62 * dew / (243.1 + dew) - 17.62 * dry / (243.1 + dry))
        rows.append(
            f"1999,{at.month},{at.day},{at.hour + 1},60,?9,{dry:.2f},{dew:.2f},{humid:.0f},99500"
            ",0,0,0,0,0,0,0,0,0,0,180,2.5,0,0,9,77777,9,9,0,0,0,88,0,0,0"
        )
    path.write_text("\n".join((*_HEADER, *rows)) + "\n")
    return path
