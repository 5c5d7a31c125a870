"""Machine code that is kept must not outlive the sources that it was made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "hpcai"
PROGRAM = "from hpcai.cooling.outer import outer; print(outer())"
FILES = {
    "inner": "from hpcai.jit import jit\n\n\n@jit\ndef inner():\n    return {value}\n",
    "outer": "from hpcai.cooling.inner import inner\nfrom hpcai.jit import jit\n\n\n@jit\ndef outer():\n"
    "    return inner() + 1\n",
}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_edit_of_a_called_function_is_noticed(elsewhere, tmp_path):
    """Numba itself looks at the file of the function alone."""
    package = tmp_path / "hpcai/cooling"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    shutil.copy(HERE / "jit.py", package.parent)
    (package / "outer.py").write_text(FILES["outer"])
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    if elsewhere:
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    for value in (1, 20):
        (package / "inner.py").write_text(FILES["inner"].format(value=value))
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert int(found.stdout) == value + 1
    assert list((tmp_path / "cache" if elsewhere else package).rglob("*.nbc"))
