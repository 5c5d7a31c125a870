"""Weather files: what is read, what is filled, what is refused, and the steps between readings."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import FormatError, InputError
from hpcai.records import moist_air
from hpcai.records.weather import WEATHER_COLUMNS, read_weather

_RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "weather"
_HEADER = [
    "LOCATION,Testville,-,UTO,TMY3,1,41.98,-87.92,-6.0,201.0",
    "DESIGN CONDITIONS,0",
    "TYPICAL/EXTREME PERIODS,0",
    "GROUND TEMPERATURES,0",
    "HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0",
    "COMMENTS 1,",
    "COMMENTS 2,",
]


def _row(year: int, at: datetime, dry: float, dew: float, humid: float, pressure: float, wind: float) -> str:
    """A row for the hour that begins at ``at``."""
    before = f"{year},{at.month},{at.day},{at.hour + 1},60,?9,{dry},{dew},{humid},{pressure:g}"
    return before + ",0,0,0,0,0,0,0,0,0,0,180," + f"{wind},0,0,9,77777,9,9,0,0,0,88,0,0,0"


def _epw(path: Path, rows: list[str], period: str = "1/ 1, 1/ 2") -> Path:
    path.write_text("\n".join([*_HEADER, f"DATA PERIODS,1,1,Data,Sunday,{period}", *rows]) + "\n")
    return path


def _rows(days: int = 2, year: int = 1999) -> list[str]:
    """Rows of 2 days in which the dry bulb (°C) is the number of the row."""
    first = datetime(2001, 1, 1)
    return [_row(year, first + timedelta(hours=i), i, i - 3.0, 80, 99500, 2.5) for i in range(24 * days)]


def _recorded(name: str) -> Path:
    path = _RECORDED / name
    if not path.is_file():
        pytest.skip(f"the recorded weather {name} is not part of the repository")
    return path


def test_a_row_of_an_epw_file_is_the_weather_at_the_end_of_its_hour(tmp_path: Path) -> None:
    weather = read_weather(_epw(tmp_path / "a.epw", _rows()))
    assert weather.location == "Testville, UTO"
    assert (weather.latitude, weather.longitude, weather.utc_offset, weather.elevation) == (41.98, -87.92, -6.0, 201.0)
    assert (weather.start, weather.duration, weather.step) == (datetime(1999, 1, 1), 172800.0, 3600.0)
    assert list(weather.frame) == [column.name for column in WEATHER_COLUMNS]
    assert weather.frame["time"].tolist() == [3600.0 * (i + 1) for i in range(48)]
    assert weather.frame["dry_bulb"].tolist() == list(range(48))
    assert weather.frame["relative_humidity"].eq(0.8).all()
    assert weather.filled == {}
    assert weather.typical


def test_steps_lie_in_straight_lines_between_readings_and_the_first_hour_starts_from_hour_24(tmp_path: Path) -> None:
    weather = read_weather(_epw(tmp_path / "a.epw", _rows())).at(900)
    dry = weather.frame["dry_bulb"].to_numpy()
    assert len(dry) == 2 * 96
    assert dry[:4] == pytest.approx([23 * 0.75, 23 * 0.5, 23 * 0.25, 0.0])  # from hour 24 (23 °C) to hour 1 (0 °C)
    assert dry[4:8] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert weather.frame["time"].iloc[-1] == weather.duration


def test_humidity_ratio_and_wet_bulb_follow_at_every_step_from_what_is_interpolated(tmp_path: Path) -> None:
    columns = read_weather(_epw(tmp_path / "a.epw", _rows())).at(300).arrays()
    ratio = moist_air.humidity_ratio(columns.dry_bulb, columns.relative_humidity, columns.pressure)
    np.testing.assert_array_equal(columns.humidity_ratio, ratio)
    assert np.all(columns.wet_bulb <= columns.dry_bulb)
    assert np.all(columns.wet_bulb >= moist_air.dew_point(columns.dry_bulb, columns.relative_humidity) - 0.01)
    assert all(column.flags["C_CONTIGUOUS"] and column.dtype == np.float64 for column in columns)


def test_moist_air_is_that_of_the_ashrae_handbook() -> None:
    """40 °C and 20 °C wet bulb at 101.325 kPa: 6.5 g/kg, dew point 7 °C (Fundamentals 2017, ch. 1, example 1)."""
    dry, pressure = np.array([40.0]), np.array([101325.0])
    ratio = np.array([0.0065])
    assert moist_air.wet_bulb(dry, ratio, pressure)[0] == pytest.approx(20.0, abs=0.1)
    humid = moist_air.relative_humidity(dry, np.array([7.0]))
    assert humid[0] == pytest.approx(0.14, abs=0.005)
    assert moist_air.dew_point(dry, humid)[0] == pytest.approx(7.0, abs=0.01)
    assert moist_air.standard_pressure(1500) == pytest.approx(84556, rel=1e-3)  # Table 1 of the chapter


def test_short_gaps_are_filled_and_counted(tmp_path: Path) -> None:
    rows = _rows()
    rows[10] = _row(1999, datetime(2001, 1, 1, 10), 99.9, 99.9, 999, 999999, 999)
    del rows[20:23]
    weather = read_weather(_epw(tmp_path / "a.epw", rows))
    assert len(weather.frame) == 48
    np.testing.assert_allclose(weather.frame["dry_bulb"], np.arange(48))
    names = ("dry_bulb", "dew_point", "relative_humidity", "pressure", "wind_speed")
    assert weather.filled == dict.fromkeys(names, 4)


def test_humidity_and_dew_point_stand_in_for_each_other(tmp_path: Path) -> None:
    rows = [_row(1999, datetime(2001, 1, 1 + i // 24, i % 24), 20, 12, 999, 101325, 1) for i in range(48)]
    weather = read_weather(_epw(tmp_path / "a.epw", rows))
    assert weather.frame["relative_humidity"].iloc[0] == pytest.approx(0.60, abs=0.005)
    assert weather.filled == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[:20] + r[30:], "line 28: no dry bulb for 10 hours after it, expected a gap of at most 6"),
        (lambda r: r[:40], "line 48: no dry bulb for 8 hours after it"),
        (lambda r: r[8:], "line 9: no dry bulb for 8 hours before it"),
        (
            lambda r: [*r[:5], r[5].replace(",5,2.0,", ",warm,2.0,"), *r[6:]],
            "line 14: found 'warm' for dry bulb, expected a num",
        ),
        (
            lambda r: [*r[:5], r[5].replace(",5,2.0,", ",80,2.0,"), *r[6:]],
            "line 14: found 80 for dry bulb, expected -70 to 70",
        ),
        (lambda r: [*r[:5], r[4], *r[5:]], "line 14: found 1/1 hour 5 again or out of order"),
        (lambda r: [*r[:5], r[5].replace("1999,1,1,6,", "1999,1,32,6,"), *r[6:]], "line 14: found 1/32 hour 6"),
        (lambda r: [*r[:5], "1999,1,1,6,60", *r[6:]], "line 14: found 5 fields, expected 35"),
        (lambda r: [], "found 8 lines of header and no data"),
    ],
)
def test_what_is_wrong_in_an_epw_file_is_said_with_its_line(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = _epw(
        tmp_path / "a.epw",
        change([row.replace(f",{i},{i - 3.0},", f",{i},2.0,") if i == 5 else row for i, row in enumerate(_rows())]),
    )
    with pytest.raises(InputError, match=r"line|header") as error:
        read_weather(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_header_that_says_nonsense_is_refused(tmp_path: Path) -> None:
    path = _epw(tmp_path / "a.epw", _rows())
    good = path.read_text()
    for old, new, message in (
        ("41.98", "north", "line 1: found 'north' for latitude"),
        ("DATA PERIODS,1,1", "DATA PERIODS,2,1", "line 8: found 2 data periods, expected 1"),
        ("DATA PERIODS,1,1", "DATA PERIODS,1,7", "line 8: found 7 records an hour"),
        ("1/ 1, 1/ 2", "January", "line 8: found 6 fields"),
        ("DATA PERIODS", "DATES", "found no line DATA PERIODS"),
    ):
        path.write_text(good.replace(old, new))
        with pytest.raises(InputError, match="expected") as error:
            read_weather(path)
        assert message in str(error.value)


def test_a_leap_day_counts_where_the_file_has_one(tmp_path: Path) -> None:
    rows = [_row(2012, datetime(2000, 2, 28) + timedelta(hours=i), 9, 6, 80, 1e5, 1) for i in range(72)]
    weather = read_weather(_epw(tmp_path / "a.epw", rows, "2/28, 3/ 1"))
    assert weather.duration == 3 * 86400
    assert weather.start == datetime(2012, 2, 28)
    assert len(weather.frame) == 72


def test_half_hours_are_read_in_their_order(tmp_path: Path) -> None:
    rows = [_row(1999, datetime(2001, 1, 1, i // 2), i, i - 3, 80, 1e5, 1) for i in range(48)]
    path = _epw(tmp_path / "a.epw", rows, "1/ 1, 1/ 1")
    path.write_text(path.read_text().replace("DATA PERIODS,1,1", "DATA PERIODS,1,2"))
    weather = read_weather(path)
    assert weather.step == 1800
    assert weather.frame["dry_bulb"].tolist() == list(range(48))


def test_a_download_of_open_meteo_says_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text(
        "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n"
        "35.7,139.7,40.0,32400,Asia/Tokyo,JST\n\n"
        "time,temperature_2m (°C),relative_humidity_2m (%),surface_pressure (hPa),wind_speed_10m (km/h)\n"
        "2023-01-01T00:00,10.0,50,1000.0,36.0\n2023-01-01T01:00,12.0,50,1001.0,36.0\n2023-01-01T02:00,14.0,50,1002.0,36.0\n"
    )
    weather = read_weather(path)
    assert (weather.latitude, weather.utc_offset, weather.elevation) == (35.7, 9.0, 40.0)
    assert weather.start == datetime(2023, 1, 1)
    assert weather.duration == 3 * 3600
    assert weather.frame["pressure"].iloc[0] == 100000.0
    assert weather.frame["wind_speed"].iloc[0] == pytest.approx(10.0)
    assert weather.at(1800).frame["dry_bulb"].tolist() == [
        11.0,
        12.0,
        13.0,
        14.0,
        14.0,
        14.0,
    ]  # after the last it stays


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,temp\n2023-01-01T00:00,1\nyesterday,2\n", "line 3: found 'yesterday' for the time"),
        ("time,temp\n2023-01-01T00:00,1\n2023-01-01T00:00,2\n", "line 3: found time '2023-01-01T00:00' again"),
        (
            "time,temp,humidity\n2023-01-01T00:00,1,50\n2023-01-01T01:00,2,500\n",
            "line 3: found '500' for relative humidity",
        ),
        ("time,temp (°F)\n2023-01-01T00:00,1\n2023-01-01T01:00,2\n", "found unit '°f'"),
        ("time,temp\n2023-01-01T00:00,1\n2023-01-01T01:00\n", "line 3: found 1 fields, expected 2"),
        ("time,temp,humidity\n2023-01-01T00:00,1,\n2023-01-01T01:00,2,\n", "no reading of dew point"),
        ("a,b\n1,2\n", "expected an EPW file, or time and temperature"),
        ("", "the file is empty"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_weather(path)
    assert message in str(error.value)


def test_a_file_that_is_not_there_or_cut_short_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_weather(tmp_path / "none.epw")
    plain = _epw(tmp_path / "a.epw", _rows()).read_bytes()
    cut = tmp_path / "a.epw.gz"
    cut.write_bytes(gzip.compress(plain)[:200])
    with pytest.raises(InputError, match="cut short"):
        read_weather(cut)
    assert not issubclass(InputError, FormatError)


@pytest.mark.parametrize(
    ("name", "mean", "low", "high"),
    [
        ("USA_IL_Chicago-OHare_TMY3.epw.gz", 10.0, -22.8, 35.0),
        ("JPN_Tokyo.Hyakuri_IWEC.epw.gz", 13.1, -10.0, 34.0),
        ("SGP_Singapore_IWEC.epw.gz", 27.5, 21.0, 33.8),
        ("SWE_Stockholm.Arlanda_IWEC.epw.gz", 6.5, -17.0, 27.1),
        ("USA_CA_San.Jose-Mineta.epw.gz", 15.2, -0.6, 34.4),
        ("USA_AZ_Davis-Monthan_TMY3.epw.gz", 21.7, -1.1, 42.0),
    ],
)
def test_recorded_years(name: str, mean: float, low: float, high: float) -> None:
    weather = read_weather(_recorded(name))
    dry = weather.frame["dry_bulb"]
    assert (len(dry), weather.duration, weather.step) == (8760, 8760 * 3600.0, 3600.0)
    assert (round(dry.mean(), 1), dry.min(), dry.max()) == (mean, low, high)
    assert weather.typical
    assert len(weather.at(900).frame) == 35040


def test_a_recorded_weather_station_is_laid_on_a_grid() -> None:
    weather = read_weather(_recorded("fasrc_holyoke_weather_2025-06.csv.gz"), utc_offset=-5)
    assert (weather.step, weather.utc_offset, weather.typical) == (300.0, -5, False)
    assert np.diff(weather.frame["time"]).tolist() == [300.0] * (len(weather.frame) - 1)
    assert 0 < weather.filled["dry_bulb"] < 0.02 * len(weather.frame)


def test_the_command_line_says_what_a_file_holds(tmp_path: Path) -> None:
    path = _epw(tmp_path / "a.epw", _rows())
    said = CliRunner().invoke(app, ["weather", "inspect", str(path)])
    assert said.exit_code == 0
    assert "Testville, UTO" in said.output
    as_json = CliRunner().invoke(app, ["weather", "inspect", str(path), "--json"])
    assert '"hours": 48.0' in as_json.output


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    lines = _epw(tmp_path / "a.epw", _rows()).read_text().splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        line = data.draw(st.integers(0, len(lines) - 1))
        fields = lines[line].split(",")
        fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(
            st.sampled_from(["", "nan", "inf", "-1", "99.9", "1e999", "x", "0", "24", "29", "999999"])
        )
        change = data.draw(st.sampled_from(["field", "drop", "twice", "cut"]))
        edited = {"field": [",".join(fields)], "drop": [], "twice": [lines[line]] * 2, "cut": [lines[line][:7]]}
        lines[line : line + 1] = edited[change]
    damaged = tmp_path / "b.epw"
    damaged.write_text("\n".join(lines))
    said, weather = "", None
    try:
        weather = read_weather(damaged)
    except InputError as error:
        said = str(error)
    if weather is None:
        assert str(damaged) in said
        assert "\n" not in said
    else:
        assert np.isfinite(weather.at(900).frame.to_numpy()).all()
