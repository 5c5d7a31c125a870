"""What a user gets from `pip install`: built, installed in a fresh environment and used from another folder."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from hpcai.learning.bundling.export import export_policy

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution, as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"hpcai", "hpcai_envs"}
    shipped = {path.name for path in (ROOT / "traces").iterdir()}
    assert {name.rsplit("/", 1)[1] for name in names if name.startswith("hpcai/_data/traces/")} == shipped
    assert "hpcai/evaluation/templates/report.html.j2" in names
    assert "hpcai/cluster/presets/mn-1a.yaml" in names
    assert "hpcai/py.typed" in names


def test_it_works_in_a_fresh_environment_from_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder = tmp_path / "venv" / "bin"
    constraints = ["-c", str(ROOT / "constraints.txt")]
    installed = subprocess.run(
        [bin_folder / "python", "-m", "pip", "install", "--quiet", *constraints, str(wheel)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if "Could not find a version" in installed.stderr or "connection" in installed.stderr.lower():
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "evaluate" in run(bin_folder / "hpcai", "--help")
    run(bin_folder / "python", "-c", "import hpcai_envs, hpcai; hpcai.Policy()")
    # The environment is made by its id in a process that imports nothing of ours; made, not yet compiled.
    arguments = "length=32, policy={'ordering': 'saf', 'estimate': 'actual'}"
    make = f"import gymnasium; print(gymnasium.make('hpcai_envs:hpcai/Scheduling-v0', {arguments}).action_space.n)"
    assert run(bin_folder / "python", "-c", make).strip() == "128"
    packages = "import importlib.util as u; print([n for n in ('envs', 'traces') if u.find_spec(n)])"
    assert run(bin_folder / "python", "-c", packages).strip() == "[]"
    evaluate = ("evaluate", "--trace", "slurm-64gpu.sacct.txt", "--policies", "fcfs,saf", "--windows", "all")
    run(bin_folder / "hpcai", *evaluate, "--no-fair-start", "--out", "out")
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_follows_a_policy_installs_without_what_learns_one(wheel, tmp_path):
    """As on a login node: the light requirements, and the wheel without its own."""
    bundle = tmp_path / "sjf.hpcai"
    export_policy("sjf", bundle, trace=["slurm-64gpu.sacct.txt"], states=5, windows="1x40", quiet=True)
    venv.create(tmp_path / "venv", with_pip=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    for words in (
        ["-c", str(ROOT / "constraints.txt"), "-r", str(ROOT / "deploy" / "requirements.txt")],
        ["--no-deps", str(wheel)],
    ):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=600, check=False)
        if "Could not find a version" in done.stderr or "connection" in done.stderr.lower():
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr
    hpcai = tmp_path / "venv" / "bin" / "hpcai"
    helped = [["live", adapter, "--help"] for adapter in ("slurm", "kubernetes", "cooling")]
    for command in (["bundle", "verify", str(bundle)], *helped):
        done = subprocess.run([hpcai, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    listed = subprocess.run([*pip[:3], "list"], capture_output=True, text=True, timeout=60, check=True).stdout.lower()
    assert not {"torch", "stable_baselines3", "optuna", "gymnasium"} & {line.split()[0] for line in listed.splitlines()}
