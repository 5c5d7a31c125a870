"""Telemetry: its table in files, what the generator plants, and what is seen of it without looking ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpcai.errors import FormatError, InputError
from hpcai.faults.detection.telemetry import telemetry_features, telemetry_seen
from hpcai.records.generators.telemetry import COMPONENT, Parameters, generate
from hpcai.records.telemetry import METRICS, Telemetry, read_telemetry, telemetry_of, write_telemetry

SMALL = Parameters(nodes=16, days=12, thermal=0.03, memory=0.03, network=0.03, slow=0.03, sudden=0.03)
DAY = 86400.0


@pytest.fixture(scope="module")
def generated():
    return generate(SMALL, seed=2)


def test_the_same_seed_gives_the_same(generated):
    again, other = generate(SMALL, seed=2), generate(SMALL, seed=3)
    pd.testing.assert_frame_equal(again.telemetry.table, generated.telemetry.table)
    assert again.failures.equals(generated.failures)
    assert not other.telemetry.table.equals(generated.telemetry.table)


def test_every_fault_shows_and_ends_as_it_says(generated):
    table, events = generated.telemetry.table, generated.failures.events
    kinds = {fault.kind for fault in generated.planted}
    assert kinds == set(COMPONENT)
    assert len(events) == sum(fault.kind != "slow" for fault in generated.planted)
    signs = {"thermal": "temperature", "memory": "ecc_errors", "network": "link_downs", "slow": "compute_time"}
    for fault in generated.planted:
        if fault.kind == "sudden" or fault.end - fault.begin < 6 * 3600:
            continue
        own = table[table["node"] == fault.node]
        metric = signs[fault.kind]
        late = own["time"].between(fault.begin + 0.7 * (fault.end - fault.begin), fault.end)
        well = table.loc[table["time"].between(fault.begin, fault.end), metric]
        assert own.loc[late, metric].mean() > well.median() + (0.05 if metric != "temperature" else 3)


def test_a_node_that_is_down_is_not_sampled(generated):
    for event in generated.failures.events.itertuples():
        own = generated.telemetry.table[generated.telemetry.table["node"] == event.node]
        assert not own["time"].between(event.start + 1e-6, event.end, inclusive="left").any()


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_files_are_read_as_written(tmp_path, generated, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        write_telemetry(generated.telemetry, path)
    else:
        generated.telemetry.table.to_csv(path, index=False)
    again = read_telemetry(path)
    pd.testing.assert_frame_equal(again.table, generated.telemetry.table)
    assert again.metrics == METRICS
    assert list(again.sha256) == [name]
    if name.endswith("parquet"):
        assert again.origin == generated.telemetry.origin


def test_columns_that_are_not_there_are_unknown(tmp_path):
    (tmp_path / "t.csv").write_text("node,time,power\nb,2,7\na,2,5\na,1,\n")
    found = read_telemetry(tmp_path / "t.csv")
    assert found.table["node"].tolist() == ["a", "a", "b"]
    assert found.metrics == ("power",)
    assert (found.table["job"] == "").all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node,power\na,1\n", "found no column 'time'"),
        ("node,time,voltage\na,1,2\n", "found column 'voltage', expected some of"),
        ("node,time,power\na,1,much\n", "column power: expected numbers"),
        ("node,time\na,\n", "row 1: found no node or time"),
        ("node,time\n,3\n", "row 1: found no node or time"),
    ],
)
def test_bad_tables_are_told(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_telemetry(tmp_path / "t.csv")


def test_bad_files_are_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_telemetry(tmp_path / "gone.csv")
    (tmp_path / "t.txt").write_text("")
    with pytest.raises(InputError, match=r"ends in .parquet, .csv"):
        read_telemetry(tmp_path / "t.txt")
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(FormatError, match="cannot be read"):
        read_telemetry(tmp_path / "t.parquet")


def by_name(telemetry: Telemetry, names, node, time) -> dict[str, np.ndarray]:
    metrics = telemetry.metrics
    x = telemetry_features(telemetry, names, np.asarray(node), np.asarray(time, dtype=float), metrics)
    return {seen.name: x[:, i] for i, seen in enumerate(telemetry_seen(metrics))}


def test_what_is_seen_by_hand():
    """Five nodes with power 100 to 104 + t in hours, sampled each half hour."""
    times = np.arange(1, 97) * 1800.0
    rows = [{"node": f"n{i}", "time": t, "power": 100.0 + i + t / 3600} for i in range(5) for t in times]
    telemetry = Telemetry(telemetry_of(rows))
    x = by_name(telemetry, [f"n{i}" for i in range(5)], [4, 4, 0], [36 * 3600.0, 0.0, 36 * 3600.0])
    assert x["power_1h"][0] == pytest.approx(104 + 35.75)  # samples at 35.5 and 36 h
    assert x["power_1d"][0] == pytest.approx(104 + 24.25)  # from 12.5 to 36 h
    assert x["power_trend"][0] == pytest.approx(24.0)
    assert x["power_apart"][0] == pytest.approx(2 / 1.4826)
    assert x["power_apart"][2] == pytest.approx(-2 / 1.4826)
    assert all(np.isnan(values[1]) for values in x.values())


def test_no_sample_ahead_is_seen(generated):
    telemetry, names = generated.telemetry, [f"n{i:04d}" for i in range(SMALL.nodes)]
    rng = np.random.default_rng(0)
    node, time = rng.integers(SMALL.nodes, size=10), rng.uniform(0.5, SMALL.days, 10) * DAY
    whole = telemetry_features(telemetry, names, node, time, METRICS)
    for k in range(10):
        earlier = Telemetry(telemetry.table[telemetry.table["time"] <= time[k]])
        now = telemetry_features(earlier, names, node[k : k + 1], time[k : k + 1], METRICS)
        np.testing.assert_allclose(now[0], whole[k], rtol=1e-9, atol=1e-9)


def test_parameters_are_checked(tmp_path):
    (tmp_path / "p.yaml").write_text("nodes: 0\n")
    with pytest.raises(InputError, match="nodes"):
        Parameters.load(tmp_path / "p.yaml")
