"""A consumer on a machine that has nox and nothing of relnox: the noxfile's own header brings it (PEP 723).

relnox is on no index yet, so it is published to the embedded one, which is searched beside the default index.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from projects import repository, single
from running import run

from relnox.indexes.embedded import EmbeddedIndex
from relnox.source import copies
from relnox.source.git import find_repository

pytestmark = pytest.mark.network


def test_the_header_of_the_documented_noxfile_installs_relnox(tmp_path: Path) -> None:
    checkout = find_repository(Path(__file__).parents[2])
    assert checkout is not None
    head = checkout.head()
    assert head is not None
    clone = copies.clone_with_remote(checkout, tmp_path, head, "main", "origin")
    assert run(clone, "relnox", "build-all").code == 0
    assert run(clone, "relnox", "publish-test", "--index", "embedded", "--no-verify").code == 0

    consumer = repository(single(tmp_path / "consumer"))
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "uv", "venv", "--quiet", bare], check=True)
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "-p", bare, "nox", "uv"], check=True)

    directory = clone / ".git" / "relnox" / "index"
    with EmbeddedIndex(directory) as index:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_F"))}
        environment |= {
            "PATH": f"{bare / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "UV_INDEX": index.simple_url,
            "UV_NO_CONFIG": "1",
            "PIP_EXTRA_INDEX_URL": index.simple_url,
        }
        ran = subprocess.run(
            [bare / "bin" / "nox", "-s", "bump", "--", "--part", "minor", "--dry-run"],
            cwd=consumer,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '+version = "1.3.0"' in ran.stdout
