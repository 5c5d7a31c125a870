"""The documentation builds as a site, strictly, fetches nothing, and its examples do what the pages say."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.records.read import find
from tests.live.slurm_cluster import missing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
NO_NETWORK = "import socket\ndef refuse(*a, **k): raise OSError('no network in tests')\nsocket.getaddrinfo = refuse\n"


@cache
def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", DOCS / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: str, language: str, before: str | None = None) -> list[str]:
    """Return the fenced blocks of a page in a language, of the part ``before`` a line if one is given."""
    text = (DOCS / page).read_text("utf-8").partition(f"\n{before}\n")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_site_is_built_strictly_and_without_the_network(tmp_path: Path) -> None:
    """Strictly: a link or an anchor that leads nowhere, or a page that is not in the navigation, is an error."""
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} (pip install 'hpcai[docs]')")
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))
    for page in pages:
        html = page.read_text("utf-8")
        assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=[\"']?(https?:)?//", html), page.name


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_pages_show_the_examples_as_they_are(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.stem == "baselines":
        assert f"(../examples/{path.name})" in (DOCS / "environments" / "index.md").read_text("utf-8")
    else:
        assert len(text.splitlines()) < 50
        assert text in blocks("extending.md", "python")


def test_the_reader_reads_and_counts_what_it_cannot() -> None:
    reader = load("reader")
    table = DOCS / "examples" / "site.csv"
    assert reader.matches(table.read_bytes())
    assert not reader.matches(find("slurm-64gpu.sacct.txt").read_bytes())
    trace = reader.read(table)
    assert trace.jobs["submit"].tolist() == [0.0, 300.0]
    assert trace.jobs["run_time"].tolist() == [3600.0, 1800.0]
    assert trace.jobs["requested_time"].tolist() == [7200.0, 3600.0]
    assert trace.bad_rows.count == {"a field is not a number": 1}


def test_the_ordering_gives_what_the_page_says() -> None:
    waits = load("ordering").compare("slurm-64gpu.sacct.txt")
    printed = "".join(f"{what}: {seconds:.1f} s\n" for what, seconds in waits.items())
    assert printed in blocks("extending.md", "text")


def test_the_controller_gives_what_the_page_says() -> None:
    controller = load("controller")
    printed = "".join(
        "{}: {:.0f} kWh, warmest inlet {:.1f} °C\n".format(name, *controller.energy(made))
        for name, made in {"its own control": controller.Fixed(), "warmest": controller.Warmest()}.items()
    )
    assert printed in blocks("extending.md", "text")


def test_the_environment_keeps_to_gymnasium_and_chance_gains_something() -> None:
    from gymnasium.utils.env_checker import check_env

    env = load("environment").OrderingEnv(windows=2)
    check_env(env, skip_render_check=True)
    assert env.reset(seed=3)[0] == pytest.approx(env.reset(seed=3)[0])
    gains = [env.step(env.action_space.dtype.type(k))[1] for k in (0, 2)]
    assert gains[0] == 0.0
    assert gains[1] > 0.0


def test_baselines_play_an_environment_to_its_end() -> None:
    baselines = load("baselines")
    env = load("environment").OrderingEnv(windows=2)
    env.own_action = lambda: 0
    assert baselines.play(env, baselines.own_action, seed=0)[0] == 0.0


def test_the_tutorial_reads_inspects_and_evaluates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds of it is run as it stands, and prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    said = ""
    for line in "".join(blocks("tutorial.md", "sh", before="## Train")).splitlines():
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
        said += done.output
    for line in "".join(blocks("tutorial.md", "text", before="## Evaluate")).splitlines():
        assert line in [row.rstrip() for row in said.splitlines()]
    for figure in re.findall(r"\d+\.\d+", "".join(blocks("tutorial.md", "text", before="## Train")[2:])):
        assert figure in said, figure
    assert (tmp_path / "runs" / "report" / "report.html").is_file()


@pytest.mark.long
def test_the_tutorial_runs_to_its_end(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(f"no Slurm: {reason}")
    (tmp_path / "size-and-age.yaml").write_text(blocks("tutorial.md", "yaml")[0])
    *steps, down = blocks("tutorial.md", "sh")
    script = (
        'set -euo pipefail\nhpcai() { python -m hpcai.cli "$@"; }\n' + f"trap '{down.strip()}' EXIT\n" + "".join(steps)
    )
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for made in ("runs/learned/report.html", "runs/size-and-age/report.html", "runs/shadow-report/report.html"):
        assert (tmp_path / made).is_file()
    assert "5 wait, 5 in scope  5 would stand elsewhere than in the site's order" in done.stdout
