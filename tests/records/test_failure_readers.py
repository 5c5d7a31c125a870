"""Failure logs of every format: a few lines each, read line by line; and what is left out is counted."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai.errors import FormatError, InputError
from hpcai.records.failure_readers import _finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failure_readers._xid import XIDS
from hpcai.records.failure_writers import write_failures
from hpcai.records.failures import COMPONENTS, EVENT_COLUMNS, FAILURE_FORMATS, NODE_COLUMNS, SEVERITIES, FailureLog
from hpcai.records.failures import read_failures as read
from tests.failure_samples import FAILURE_SAMPLES, TABLE

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_text(FAILURE_SAMPLES[name])
        return path

    return write


def check(log: FailureLog) -> None:
    """The promises of the canonical tables."""
    assert list(log.events) == [column.name for column in EVENT_COLUMNS]
    assert list(log.nodes) == [column.name for column in NODE_COLUMNS]
    for frame, columns in ((log.events, EVENT_COLUMNS), (log.nodes, NODE_COLUMNS)):
        assert [str(kind) for kind in frame.dtypes] == [column.dtype for column in columns]
        assert not frame.select_dtypes("str").isna().any(axis=None)
    events, nodes = log.events, log.nodes
    assert events["start"].is_monotonic_increasing
    assert events["start"].notna().all()
    assert not (events["end"] < events["start"]).any()
    assert set(events["component"]) <= set(COMPONENTS)
    assert set(events["severity"]) <= set(SEVERITIES)
    assert set(events["node"]) <= set(nodes["node"])
    assert nodes["node"].is_unique
    assert nodes["node"].is_monotonic_increasing
    assert log.observed[0] <= events["start"].min() or events.empty
    assert log.observed[1] >= events["end"].max() or events["end"].isna().all()
    low, high = log.service
    assert (low <= high).all()


def unix(text: str) -> float:
    return pd.Timestamp(text).timestamp()


def rows(log: FailureLog) -> list[tuple[object, ...]]:
    """Return node, component, start, end as dates in UTC, and severity of each event."""
    dates = {name: pd.to_datetime(log.events[name] + log.origin, unit="s").map(str) for name in ("start", "end")}
    table = log.events.assign(**dates)
    return list(table[["node", "component", "start", "end", "severity"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("format", FAILURE_SAMPLES)
def test_told_by_its_content(sample: Callable[[str], Path], tmp_path: Path, format: str) -> None:
    path = sample(format)
    log = read(path)
    assert log.format == format
    check(log)
    packed = tmp_path / "any.name"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed).events.equals(log.events)


def test_lanl(sample: Callable[[str], Path]) -> None:
    log = read(sample("lanl"))
    assert rows(log) == [
        ("7-0", "unknown", "1995-05-19 21:55:00", "1995-05-19 22:58:00", "fatal"),
        ("20-0", "cpu", "2001-12-31 13:56:00", "2001-12-31 16:13:00", "fatal"),
        ("20-0", "software", "2001-12-31 14:00:00", "2001-12-31 14:10:00", "fatal"),
        ("20-2", "power", "2002-01-03 09:00:00", "2002-01-03 09:45:00", "fatal"),
    ]
    assert log.events["cause"].tolist() == ["", "Hardware: CPU", "Software: DST", "Facilities: Power Outage"]
    assert log.dropped.first_lines == {
        "number of fields differs from the header": [10],
        _finish.NOT_A_NUMBER: [8, 11],
        _finish.NO_NODE: [7],
        _finish.END_BEFORE_START: [9],
        _finish.REPEATED: [5],
    }
    nodes = log.nodes.set_index("node")
    assert list(nodes.index) == ["20-0", "20-1", "20-2", "7-0", "7-1", "7-2"]  # each has a size of 3
    assert nodes.loc["20-0", "node_class"] == "cpu2-4p-16GB"
    assert nodes.loc["20-1", "in_service"] + log.origin == unix("2001-12-01")
    assert np.isnan(nodes.loc["7-0", "in_service"])
    assert nodes["out_of_service"].isna().tolist() == [True, True, True, False, False, False]  # March is after the end
    assert nodes.loc["7-0", "out_of_service"] + log.origin == unix("2000-01-01")


def test_lanl_without_planned_work(sample: Callable[[str], Path]) -> None:
    log = read(sample("lanl"), planned="drop")
    assert "Software: DST" not in log.events["cause"].tolist()
    assert log.dropped.first_lines["planned work"] == [3]


def test_infinitehbd(sample: Callable[[str], Path]) -> None:
    log = read(sample("infinitehbd"))
    assert rows(log) == [
        ("s1", "gpu", "2024-04-02 12:00:00", "2024-04-03 12:00:00", "fatal"),
        ("s1", "network", "2024-04-02 18:00:00", "NaT", "fatal"),
        ("s2", "software", "2024-04-09 00:00:00", "NaT", "fatal"),
    ]
    assert log.events["cause"].tolist()[0] == "GPU: GPU xid Error"
    assert log.dropped.first_lines == {
        "a fault ends that never began": [5],
        "not a start or end of a fault": [6, 8],
        _finish.NOT_A_NUMBER: [7],
    }
    assert log.nodes["node"].tolist() == ["s1", "s2"]
    more = read(sample("infinitehbd"), servers=5).nodes
    assert len(more) == 5
    assert (more["gpus"] == 8).all()
    with pytest.raises(InputError, match="servers=1, expected at least the 2"):
        read(sample("infinitehbd"), servers=1)


def test_titan_history(sample: Callable[[str], Path]) -> None:
    log = read(sample("titan_history"))
    assert rows(log) == [
        ("0323812008541", "gpu", "2016-11-08 20:03:59", "NaT", "fatal"),
        ("0320117100219", "gpu", "2018-03-03 10:04:58", "NaT", "fatal"),
    ]
    assert log.events["cause"].tolist() == ["DBE", "OTB"]
    assert log.dropped.first_lines == {
        "no location such as c9-3c1s2n1": [7],
        _finish.END_BEFORE_START: [8],
        _finish.REPEATED: [4],
    }
    nodes = log.nodes.set_index("node")
    assert nodes["node_class"].to_dict() == {"0320117100063": "new", "0320117100219": "old", "0323812008541": "old"}
    assert nodes.loc["0320117100219", ["rack", "place", "switch"]].tolist() == ["c13-5", "cage 2", "c13-5c2s2"]
    assert np.isnan(nodes.loc["0320117100063", "out_of_service"])  # there until the lights went out
    assert nodes.loc["0320117100219", "out_of_service"] + log.origin == unix("2018-05-12 22:41:16")
    places = read(sample("titan_history"), unit="location").nodes
    assert places["node"].tolist() == ["c13-5c2s2n1", "c24-4c2s3n0", "c3-2c0s3n0", "c6-2c1s2n0"]


def test_titan_lifetimes(sample: Callable[[str], Path]) -> None:
    log = read(sample("titan_lifetimes"))
    assert rows(log) == [("0323812008541", "gpu", "2016-11-08 20:03:59", "NaT", "fatal")]
    nodes = log.nodes.set_index("node")
    assert list(nodes.index) == ["0320117100063", "0323812008541", "0323812008542"]
    lives = np.subtract(*log.service[::-1])
    np.testing.assert_allclose(lives, [72916274, 88335309, 86400])
    assert nodes["out_of_service"].isna().tolist() == [True, False, False]
    assert log.dropped.first_lines == {_finish.NOT_A_NUMBER: [6], "negative life": [5]}


def test_bgl(sample: Callable[[str], Path]) -> None:
    log = read(sample("bgl"))
    assert rows(log) == [
        ("R02-M1-N0-C:J12-U11", "memory", "2005-06-03 22:42:50", "NaT", "info"),
        ("R23-M1-N8-I:J18-U11", "software", "2005-06-04 07:24:32", "NaT", "fatal"),
        ("R02-M1-NE", "board", "2005-06-28 16:53:39", "NaT", "degraded"),
    ]
    assert log.events["cause"].str.startswith("APPREAD: ciod").tolist() == [False, True, False]
    assert log.dropped.first_lines == {"not a line of this log": [5], _finish.NO_NODE: [3]}
    nodes = log.nodes.set_index("node")
    assert nodes["node_class"].tolist() == ["compute", "card", "io"]
    assert nodes.loc["R23-M1-N8-I:J18-U11", ["rack", "place", "switch"]].tolist() == ["R23", "M1", "R23-M1-N8"]


def test_hpc(sample: Callable[[str], Path]) -> None:
    log = read(sample("hpc"))
    assert rows(log) == [
        ("gige7", "cooling", "2004-02-26 14:12:20", "NaT", "info"),
        ("node-246", "unknown", "2004-02-26 14:12:22", "NaT", "fatal"),
        ("Interconnect-0N00", "network", "2004-02-26 14:13:20", "NaT", "degraded"),
        ("node-1", "power", "2004-02-26 14:15:00", "NaT", "fatal"),
    ]
    assert set(log.nodes["node_class"]) == {"gige", "node", "Interconnect"}


def test_slurm_nodes(sample: Callable[[str], Path]) -> None:
    log = read(sample("slurm_nodes"))
    assert rows(log) == [
        ("gpu01", "unknown", "2024-01-03 10:00:00", "2024-01-03 12:30:00", "fatal"),
        ("cpu01", "software", "2024-01-10 00:00:00", "2024-01-10 00:20:00", "fatal"),
        ("cpu02", "unknown", "2024-01-11 00:00:00", "2024-01-11 01:00:00", "fatal"),
        ("gpu01", "gpu", "2024-02-03 10:00:00", "NaT", "degraded"),
    ]
    assert log.events["cause"].tolist() == [
        "Not responding",
        "Node unexpectedly rebooted",
        "DOWN",
        "gpu 3: Xid 79 | again",
    ]
    assert log.dropped.first_lines == {
        "about the whole cluster, not a node": [2],
        _finish.NOT_A_NUMBER: [7],
        _finish.END_BEFORE_START: [5],
    }
    assert set(log.nodes["system"]) == {"green"}


def test_slurm_nodes_with_all_nodes(sample: Callable[[str], Path], tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("node,node_class\ngpu01,h100\ngpu02,h100\n")
    log = read(sample("slurm_nodes"), nodes=nodes, since="2024-01-01", until="2024-03-01")
    assert log.nodes["node"].tolist() == ["cpu01", "cpu02", "gpu01", "gpu02"]
    assert log.observed[1] == 60 * DAY
    with pytest.raises(InputError, match="found events before since=2024-01-20 or after until=None"):
        read(sample("slurm_nodes"), since="2024-01-20")


def test_kubernetes_nodes(sample: Callable[[str], Path]) -> None:
    log = read(sample("kubernetes_nodes"))
    assert rows(log) == [
        ("gpu-a", "software", "2026-01-02 00:00:00", "NaT", "fatal"),
        ("gpu-b", "unknown", "2026-01-02 01:00:00", "2026-01-02 01:30:00", "fatal"),
        ("gpu-b", "unknown", "2026-01-02 01:30:00", "NaT", "info"),
        ("gpu-b", "gpu", "2026-01-02 03:00:00", "NaT", "degraded"),
    ]
    assert log.dropped.first_lines == {
        "an event of something else than a node": [6],
        _finish.NOT_A_NUMBER: [7],
        "not a node or event as Kubernetes describes one": [8],
    }
    nodes = log.nodes.set_index("node")
    assert nodes.loc["gpu-a", ["node_class", "rack", "gpus"]].tolist() == ["A100", "row-3", 8]
    assert nodes.loc["gpu-a", "in_service"] + log.origin == unix("2026-01-01")
    assert log.observed[1] + log.origin == unix("2026-01-03")


def test_kubernetes_nodes_apart(tmp_path: Path) -> None:
    events, nodes = tmp_path / "events.json", tmp_path / "nodes.json"
    text = FAILURE_SAMPLES["kubernetes_nodes"]
    events.write_text(text)
    nodes.write_text('{"kind": "NodeList", "items": [{"metadata": {"name": "gpu-c"}}]}')
    assert read(events, nodes=nodes).nodes["node"].tolist() == ["gpu-a", "gpu-b", "gpu-c"]
    healthy = read(nodes)
    assert healthy.events.empty
    check(healthy)


def test_syslog(sample: Callable[[str], Path]) -> None:
    log = read(sample("syslog"), year=2023)
    assert rows(log) == [
        ("gpu01", "gpu", "2023-12-31 23:59:50", "NaT", "fatal"),
        ("gpu02", "software", "2024-01-01 01:00:00", "NaT", "info"),
        ("gpu02", "gpu", "2024-01-01 02:00:00", "NaT", "degraded"),
    ]
    causes = ["Xid 79: GPU has fallen off the bus", "Xid 31: GPU memory page fault", "Xid 999: some new error"]
    assert log.events["cause"].tolist() == causes
    assert log.dropped.first_lines == {
        "the same Xid of the same GPU again": [2],
        "not a line of this log": [6, 7],
    }
    undated = read(sample("syslog"))
    assert np.isnan(undated.origin)
    assert undated.events["start"].tolist() == [0.0, HOUR + 10, 2 * HOUR + 10]
    assert len(read(sample("syslog"), coalesce=0).events) == 4


def test_syslog_with_iso_dates(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text(
        "2026-03-01T10:00:00+01:00 gpu01 kernel: NVRM: Xid (PCI:0000:65:00): 48, pid=1, DBE\n"
        "2026-03-01T10:00:01.123456+01:00 gpu01 sshd[1]: hello\n"
    )
    assert rows(read(path)) == [("gpu01", "gpu", "2026-03-01 09:00:00", "NaT", "fatal")]


def test_table(sample: Callable[[str], Path], tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text(
        "node,node_class,gpus,in_service,out_of_service\nn1,a100,8,2023-12-01,\nn3,a100,8,2023-12-01,2024-01-02\n"
    )
    log = read(sample("table"), nodes=nodes, until="2024-02-01")
    assert rows(log) == [
        ("n1", "gpu", "2024-01-01 10:00:00", "2024-01-01 11:30:00", "fatal"),
        ("n2", "memory", "2024-01-02 10:00:00", "NaT", "degraded"),
    ]
    assert log.dropped.first_lines == {
        _finish.NOT_A_NUMBER: [5],
        "severity is none of fatal, degraded, info": [4],
        _finish.NO_NODE: [7],
        _finish.END_BEFORE_START: [6],
    }
    assert log.nodes["node"].tolist() == ["n1", "n2", "n3"]
    assert log.observed[1] + log.origin == unix("2024-02-01")
    assert log.nodes["out_of_service"].isna().tolist() == [True, True, False]
    assert len(log.sha256) == 2


def test_a_table_of_seconds(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    path.write_text("node,start,end\nn1,100.5,1e3\nn1,2000,\n")
    log = read(path, until="5000")
    assert np.isnan(log.origin)
    assert log.observed == (0.0, 5000.0)
    assert log.events["start"].tolist() == [100.5, 2000.0]
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("node,gpus\nn1,many\n")
    with pytest.raises(InputError, match=r"nodes\.csv: line 2: a field is not a number or date"):
        read(path, nodes=nodes)


@pytest.mark.parametrize("format", FAILURE_SAMPLES)
def test_written_and_read_again(sample: Callable[[str], Path], tmp_path: Path, format: str) -> None:
    log = read(sample(format))
    write_failures(log, tmp_path / "log.parquet")
    assert read(tmp_path / "log.parquet").equals(log)
    write_failures(log, tmp_path / "log.csv")
    again = read(
        tmp_path / "log.csv", nodes=tmp_path / "log.nodes.csv", until=str(log.observed[1] + np.nan_to_num(log.origin))
    )
    np.testing.assert_allclose(
        again.events["start"] + np.nan_to_num(again.origin), log.events["start"] + np.nan_to_num(log.origin)
    )
    assert again.events[["node", "component", "severity"]].equals(log.events[["node", "component", "severity"]])
    assert again.nodes[["node", "node_class", "rack"]].equals(log.nodes[["node", "node_class", "rack"]])


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", {}, "found 'an empty file', expected failures in one of: parquet, lanl"),
        ("hello\n", {}, "found 'hello', expected failures in one of"),
        (TABLE, {"format": "swf"}, "found format 'swf', expected one of parquet"),
        (TABLE, {"year": 2024}, r"option 'year' is not one of this format \(it takes: nodes, until\)"),
        (TABLE, {"until": "soon"}, "found until='soon', expected a date or seconds"),
        ("node,start\n", {}, "found no failure, expected a log of them"),
        ("node,start\nn1,\n", {}, r"found no failure \(1 rows left out: no time of failure\)"),
        ("PAR1", {}, "not Parquet"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: str, options: dict[str, str], words: str) -> None:
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read(path, **options)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot be read: No such file"):
        read(tmp_path / "none")


def test_parquet_of_others(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(FormatError, match="no description of failures"):
        read(path)


@pytest.mark.parametrize(
    ("words", "component"),
    [
        ("GPU DBE(Double Bit ECC) > Threshold", "gpu"),
        ("Memory Dimm", "memory"),
        ("psu failure ambient=29", "power"),
        ("CPU", "cpu"),
        ("Parallel File System", "disk"),
        ("Link Down", "network"),
        ("Fan speeds", "cooling"),
        ("Low RealMemory", "memory"),
        ("Kernel panic", "software"),
        ("blinking lights", "unknown"),
    ],
)
def test_words_name_components(words: str, component: str) -> None:
    assert component_of(words) == component


def test_every_xid_has_a_known_severity() -> None:
    assert {severity for _, severity in XIDS.values()} == set(SEVERITIES)
    assert XIDS[79] == ("GPU has fallen off the bus", "fatal")


RECORDED = {  # events, nodes, rows left out: counted with other tools beside
    "lanl_failures_1996-2005.csv.gz": (23588, 5006, 151),
    "infinitehbd_faults_a.json.gz": (386, 154, 0),
    "titan_gpu_history_a.csv.gz": (4236, 20138, 14),
    "titan_gpu_lifetimes_a.csv.gz": (3411, 20138, 0),
    "loghub_BGL_2k.csv.gz": (1955, 1776, 45),
    "loghub_HPC_2k.csv.gz": (1999, 298, 1),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_logs(recorded: Callable[[str], Path], name: str) -> None:
    log = read(recorded(f"data/failures/{name}"))
    check(log)
    assert (len(log.events), len(log.nodes), log.dropped.total) == RECORDED[name]


def test_every_format_has_a_sample() -> None:
    assert {*FAILURE_SAMPLES, "parquet"} == set(FAILURE_FORMATS)
