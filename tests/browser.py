"""A real browser for pages that hpcai writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=30000",
)


def browse(html: str, folder: Path, width: int = 1280) -> tuple[str, list[str]]:
    """Open a page in Chromium; return the document after its scripts, and what the console said."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    page = folder / "page.html"
    page.write_text(html, "utf-8")
    own = (f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1000", "--dump-dom", page.as_uri())
    done = subprocess.run([CHROMIUM, *FLAGS, *own], capture_output=True, text=True, timeout=120, check=False)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert done.stdout, done.stderr[-2000:]
    return done.stdout, console
