"""Start-up time: listings of nox and invoke with all tasks against ones without, and the import of the API.

Runs both interleaved and prints medians and their ratio. Byte code is compiled first, as installers do.

    python benchmarks/startup.py [RUNS]
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import relnox

FILES = {
    "nox": (
        "noxfile.py",
        "import nox\n",
        "from relnox.sessions import *\n",
        "@nox.session\ndef own(session): ...\n",
    ),
    "invoke": (
        "tasks.py",
        "from invoke import task\n",
        "from relnox.tasks import *\n",
        "@task\ndef own(c): ...\n",
    ),
}

IMPORTS = ("import nox", "from relnox import Workspace")


def main(runs: int) -> None:
    compileall.compile_dir(Path(relnox.__file__).parent, quiet=1)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    print(f"{'':<8}{'without':>10}{'with':>10}{'ratio':>8}   (medians of {runs}, seconds)")
    with tempfile.TemporaryDirectory() as directory:
        for tool, (name, first, relnox_line, last) in FILES.items():
            bare, full = Path(directory) / f"{tool}-bare", Path(directory) / f"{tool}-full"
            for project, text in ((bare, first + last), (full, first + relnox_line + last)):
                project.mkdir()
                (project / name).write_text(text, encoding="utf-8")
                seconds(tool, project, environment)
            pairs = [(seconds(tool, bare, environment), seconds(tool, full, environment)) for _ in range(runs)]
            without, with_all = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{tool:<8}{without:>10.3f}{with_all:>10.3f}{with_all / without:>8.2f}")
    imports = [tuple(import_seconds(code, environment) for code in IMPORTS) for _ in range(runs)]
    nox, api = (statistics.median(column) for column in zip(*imports, strict=True))
    print(f"\n{IMPORTS[0]}: {nox:.3f}; {IMPORTS[1]}: {api:.3f}; ratio {api / nox:.2f}")


def import_seconds(code: str, environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return time.perf_counter() - begin


def seconds(tool: str, directory: Path, environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", tool, "-l"], cwd=directory, env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
