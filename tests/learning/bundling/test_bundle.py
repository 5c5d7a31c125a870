"""Bundles: what was exported is what is followed, and nothing else is read."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.learning.bundling.checks import TOLERANCE, ExportError, Observed, compare
from hpcai.learning.bundling.export import export_policy
from hpcai.learning.bundling.recorded import _shares, recorded_states
from hpcai.learning.bundling.source import exportable
from hpcai.learning.logs import read_logs
from hpcai.live.bundle import KNOWN, MANIFEST, SUMS, write_bundle
from hpcai.live.ranking import BundleRanker, load_ranker
from hpcai.scheduling.outlook import VARIABLES

LOG = "lublin-256.swf.gz"
GPU_LOG = "slurm-64gpu.sacct.txt"
QUICK = {"windows": "2x100", "states": 30, "quiet": True}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Smallest area first, exported."""
    out = tmp_path_factory.mktemp("bundle") / "saf.hpcai"
    return export_policy("saf", out, trace=[LOG], estimate="actual", **QUICK)


def recorded(source: str, log: str, states: int = 30, **given):
    policy = exportable(source, {"trace": [log], **given})
    (read,) = read_logs(policy.config)
    return list(recorded_states(read, policy.policy, states=states, windows=3, length=200, seed=0))


def test_a_bundle_says_what_it_is(bundle):
    manifest = bundle.manifest
    assert (manifest.domain, manifest.kind, manifest.name, manifest.fallback) == (
        "scheduling",
        "formula",
        "saf",
        "fcfs",
    )
    (variables,) = manifest.inputs
    requested, size = variables.features
    assert (requested.name, requested.unit, size.name) == ("requested_time", "s", "size")
    assert 1 <= size.least <= size.low <= size.high <= size.most <= 256
    assert manifest.checked["states"] == 30
    assert manifest.checked["largest_difference"] <= 1e-5
    (metric,) = manifest.metrics
    assert (metric.rival, metric.part) == ("fcfs", "test")  # not itself
    assert metric.low <= metric.ratio <= metric.high
    assert manifest.validity["queue_length"].most >= manifest.validity["queue_length"].least >= 1
    card = bundle.files["MODEL_CARD.md"].decode()
    assert "Lowest value starts first: `saf`" in card
    assert "a live adapter leaves the site's own order" in card
    assert "live it reads the requested times. Where a job of its logs has none" in card
    assert requested.most < 30 * 86400  # not that of a job without one


def test_sha256sum_agrees(bundle):
    done = subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=bundle.where, check=False)
    assert done.returncode == 0


BY_HAND = {
    "saf": lambda jobs, now: jobs["requested_time"] * jobs["processors"],
    "wfp3": lambda jobs, now: -(((now - jobs["submit"]) / jobs["requested_time"]) ** 3) * jobs["processors"],
    "f1": lambda jobs, now: (
        np.log10(np.maximum(jobs["requested_time"], 1)) * jobs["processors"]
        + 870 * np.log10(np.maximum(jobs["submit"], 1))
    ),
}


@pytest.mark.parametrize("source", BY_HAND)
def test_a_bundle_orders_as_its_formula_says(tmp_path, source):
    """The log has no requested times; a policy that learned with run times known is asked about those."""
    ranker = load_ranker(export_policy(source, tmp_path / "b", trace=[LOG], estimate="actual", **QUICK).where)
    for state in recorded(source, LOG, estimate="actual"):
        jobs = state.waiting
        judgement = ranker.judge(state)
        values = BY_HAND[source](jobs, state.now).to_numpy()
        np.testing.assert_allclose(judgement.values, values, rtol=1e-9)
        order = np.lexsort((np.arange(len(jobs)), jobs["submit"], judgement.values))
        assert judgement.order.tolist() == order.tolist()
        assert judgement.judged == len(jobs)


def test_a_bundle_orders_the_queue_of_a_cluster_of_gpus(tmp_path):
    ranker = load_ranker(export_policy("saf", tmp_path / "b", trace=[GPU_LOG], **QUICK).where)
    for state in recorded("saf", GPU_LOG):
        judgement = ranker.judge(state)
        assert sorted(judgement.order.tolist()) == list(range(len(state.waiting)))
        assert (np.diff(judgement.values[judgement.order]) >= 0).all()


def test_recorded_queues_are_as_the_policy_is_asked_about_them():
    """At a submission nobody is started yet; the quiet windows' share goes to others."""
    states = recorded("saf", LOG, states=60, estimate="actual")
    assert len(states) == 60
    for state in states:
        assert state.waiting["submit"].max() == state.now
        assert (state.running["start"] < state.now).all()
        assert state.waiting["run_time"].isna().all()
        assert state.waiting["requested_time"].notna().all()
    assert sum(len(state.running) == 0 for state in states) < len(states)


@pytest.mark.parametrize(
    ("sizes", "total", "shares"),
    [([9, 9, 9], 6, [2, 2, 2]), ([1, 9, 9], 7, [1, 3, 3]), ([0, 2, 9], 9, [0, 2, 7]), ([1, 1], 9, [1, 1]), ([], 3, [])],
)
def test_the_shares_of_windows(sizes, total, shares):
    assert _shares(sizes, total) == shares


def test_fewer_queues_than_asked_are_said(tmp_path, capsys):
    export_policy("saf", tmp_path / "b", trace=[GPU_LOG], **QUICK | {"states": 100_000, "quiet": False})
    assert re.search(
        r"^hpcai: saf: compared on \d+ recorded queues; its logs have no 100,000$", capsys.readouterr().err, re.M
    )


def test_scores_are_judged_beside_those_of_their_queue():
    observed = Observed()
    for largest, apart in ((1e6, 0.0), (1.0, 0.0), (1.0, 1e-6), (2.0, 0.0), (1e-3, 1e-6)):
        observed.compare(np.array([largest], np.float32), np.array([largest + apart], np.float64))
    assert observed.difference == pytest.approx(1e-6, rel=0.1)  # of a median of 1
    observed.compare(np.array([1.0], np.float32), np.array([1.001], np.float64))
    assert observed.difference > TOLERANCE


def test_jobs_that_fit_no_machine_come_last(bundle):
    ranker = BundleRanker(bundle)
    state = next(state for state in recorded("saf", LOG, estimate="actual") if len(state.waiting) > 2)
    state.waiting.loc[0, "processors"] = 10_000
    judgement = ranker.judge(state)
    assert judgement.order[-1] == 0
    assert judgement.judged == len(state.waiting) - 1
    assert np.isnan(judgement.values[0])


def test_an_empty_queue(bundle):
    state = recorded("saf", LOG, states=1, estimate="actual")[0]
    nobody = type(state)(**{**vars(state), "waiting": state.waiting.iloc[:0]})
    assert BundleRanker(bundle).judge(nobody).order.tolist() == []


def test_a_graph_that_says_something_else_is_not_exported(bundle):
    states = recorded("saf", LOG, states=3, estimate="actual")
    with pytest.raises(ExportError, match=r"policy.onnx differs from the policy by"):
        compare(BundleRanker(bundle), lambda inputs: inputs["variables"][0], states)


def test_the_same_export_twice_differs_in_its_time_alone(tmp_path, bundle):
    again = export_policy("saf", tmp_path / "b.tar", trace=[LOG], estimate="actual", **QUICK)
    created = bundle.manifest.created
    assert again.manifest.model_copy(update={"created": created}) == bundle.manifest
    assert {k: v for k, v in again.files.items() if k not in (MANIFEST, SUMS)} == {
        k: v for k, v in bundle.files.items() if k not in (MANIFEST, SUMS)
    }


# What is refused.


@pytest.fixture
def folder(tmp_path, bundle):
    """A copy of the bundle to spoil."""
    path = tmp_path / "spoiled"
    path.mkdir()
    for name, data in bundle.files.items():
        (path / name).write_bytes(data)
    return path


def sign(folder) -> None:
    """Make the list of hashes fit again."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


def refused(path, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_ranker(path)
    assert str(caught.value).startswith(f"bundle {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(KNOWN - {SUMS, "network.npz", "predictor.npz", "detector.npz"}))
def test_a_changed_or_missing_file_is_noticed(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(folder, f"{name} has been changed since the export")
    (folder / name).unlink()
    refused(folder, f"{name} is missing")


def test_an_added_file_is_noticed(folder):
    (folder / "extra.py").write_text("raise SystemExit")
    refused(folder, "extra.py was added to it")
    sign(folder)
    refused(folder, "extra.py was added to it")


def test_links_and_folders_are_refused(folder, tmp_path):
    (folder / "policy.onnx").rename(tmp_path / "elsewhere")
    (folder / "policy.onnx").symlink_to(tmp_path / "elsewhere")
    refused(folder, "policy.onnx: expected plain files only")


def changed_manifest(folder, **fields) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | fields))
    sign(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema_name": "hpcai bundle 2"}, "expected schema 'hpcai bundle 1', found 'hpcai bundle 2'"),
        ({"domain": "cooking"}, "manifest.json: domain: "),
        ({"domain": "cooling"}, "expected the domain scheduling, found cooling"),
        ({"colour": "blue"}, "manifest.json: colour: "),
        ({"kind": "network"}, "its network is not of this version"),
        ({"outputs": []}, "policy.onnx: expected outputs"),
        ({"policy": {"ordering": 3}}, "its policy is not of this version"),
        ({"policy": {"ordering": "saf", "predictor": "predictor.npz"}}, "expected predictor.npz"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(folder, fields, message):
    changed_manifest(folder, **fields)
    refused(folder, message)


def test_a_graph_that_cannot_be_run_is_refused(folder):
    (folder / "policy.onnx").write_bytes(b"\x08\x07" * 100)
    sign(folder)
    refused(folder, "policy.onnx cannot be run")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(folder):
    (folder / "predictor.npz").write_bytes(pickle.dumps(Trap()))
    changed_manifest(folder, policy={"ordering": "saf-predicted", "predictor": "predictor.npz"})
    ranker = load_ranker(folder)
    with pytest.raises(InputError, match="predictor"):
        ranker.judge(recorded("saf", LOG, states=1, estimate="actual")[0])


def test_an_archive_with_paths_or_links_is_refused(tmp_path, bundle):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("../policy.onnx")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    refused(path, "not a file of a bundle")
    path.write_bytes(b"no archive")
    refused(path, "not a bundle")
    path.write_bytes(b"")
    refused(path, "not a bundle|expected SHA256SUMS")
    refused(tmp_path / "nowhere", "no such folder or .tar")


def test_writing_spares_what_is_no_bundle(tmp_path, bundle):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="expected an empty folder or an older bundle, found other files"):
        write_bundle(tmp_path, bundle.manifest, bundle.files)
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def test_a_folder_that_is_no_bundle_is_not_read(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"read {path}"))
    (folder / "extra.bin").write_text("")
    refused(folder, "extra.bin was added to it")
    (folder / SUMS).unlink()
    refused(folder, "expected SHA256SUMS, found MODEL_CARD.md, extra.bin")


def test_a_folder_that_cannot_be_read(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    refused(folder, "cannot be read: Permission denied")


def test_a_manifest_nested_without_end(folder):
    (folder / MANIFEST).write_text("[" * 200_000)
    sign(folder)
    refused(folder, "manifest.json: not JSON")


@pytest.mark.parametrize(
    "header",
    [{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}, {"GNU.sparse.map": "0,x"}],
)
def test_an_archive_with_holes_is_refused(tmp_path, header):
    path = tmp_path / "holes.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("policy.onnx")
        info.size, info.pax_headers = 600, header
        tar.addfile(info, io.BytesIO(b"x" * 600))
    refused(path, "not a bundle|not a file of a bundle")


def test_a_digest_pins_a_bundle(folder, bundle):
    assert load_ranker(folder, bundle.digest).bundle.digest == bundle.digest
    with pytest.raises(InputError, match="expected digest 00, found"):
        load_ranker(folder, "00")


# The command line.


def test_commands(folder, bundle):
    shown = CliRunner().invoke(app, ["bundle", "inspect", str(folder)])
    assert shown.exit_code == 0
    assert "a formula of the domain scheduling" in shown.stdout
    assert json.loads(CliRunner().invoke(app, ["bundle", "inspect", str(folder), "--json"]).stdout)["name"] == "saf"
    verified = CliRunner().invoke(app, ["bundle", "verify", str(folder)])
    assert verified.stdout == f"{bundle.digest}  {folder}\n"


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("saf", {}, "expected a run folder, or --trace beside an ordering"),
        ("nonsense", {"trace": [LOG]}, "ordering 'nonsense': expected"),
        ("saf-predicted", {"trace": [LOG]}, "need a predictor"),
        ("multifactor", {"trace": [LOG]}, "it names usage or fairshare, which a live adapter cannot know"),
        ("saf", {"trace": ["nowhere.swf"]}, "nowhere.swf"),
    ],
)
def test_what_cannot_be_exported_is_one_line(tmp_path, source, given, message):
    with pytest.raises(InputError, match=message) as caught:
        export_policy(source, tmp_path / "b", **given, **QUICK)
    assert "\n" not in str(caught.value)


def test_fcfs_has_another_rival(tmp_path):
    (metric,) = export_policy("fcfs", tmp_path / "b", trace=[GPU_LOG], rival="fcfs", **QUICK).manifest.metrics
    assert metric.rival == "saf"


def test_what_cannot_be_written_is_said_before_anything_is_done(tmp_path):
    (tmp_path / "file").write_text("")
    for out, message in (
        ("file", "expected a folder to write, found a file"),
        ("file/b", "cannot be written: Not a directory"),
        ("file/b.tar", "cannot be written: Not a directory"),
    ):
        with pytest.raises(InputError, match=message):
            export_policy("saf", tmp_path / out, trace=["nowhere.swf"])


def test_quiet_is_quiet(tmp_path):
    command = ["export", "saf", "--trace", GPU_LOG, "--out", str(tmp_path / "b"), "--windows", "2x40", "--quiet"]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.output) == (0, "")


def test_the_live_side_imports_no_learner():
    code = (
        "import sys, hpcai.live.ranking, hpcai.live.bundle_commands, hpcai.live.kubernetes.learned, hpcai.cli; "
        "print(sorted({'torch', 'stable_baselines3', 'sb3_contrib', 'gymnasium', 'optuna', 'onnx', 'sklearn'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "wait" in VARIABLES
