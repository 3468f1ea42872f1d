"""Time of `relnox status` in a long history, against the `git log` of all changes.

Generates a workspace of 500 packages with 2,000 tags and 20,000 commits, runs both interleaved and prints
medians and their ratio. Byte code is compiled first, as installers do.

    python -m benchmarks.status [RUNS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import workspaces

PACKAGES, TAGS, COMMITS = 500, 2000, 20_000
LOG = ("git", "log", "--name-only", "-z", "--format=%H%x1f%P%x1f%B", "HEAD")


def main(runs: int) -> None:
    workspaces.compile_relnox()
    status = (str(Path(sys.executable).parent / "relnox"), "status")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        workspaces.history(directory, PACKAGES, TAGS, COMMITS)
        check(run(status, directory)[1])
        run(LOG, directory)
        pairs = [(run(LOG, directory)[0], run(status, directory)[0]) for _ in range(runs)]
    log, with_relnox = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{'git log':>10}{'status':>10}{'ratio':>8}   (medians of {runs}, seconds)")
    print(f"{log:>10.3f}{with_relnox:>10.3f}{with_relnox / log:>8.2f}")


def run(words: tuple[str, ...], directory: Path) -> tuple[float, str]:
    """Run a program in a directory; return the seconds it takes and its output."""
    begin = time.perf_counter()
    ran = subprocess.run(
        words, cwd=directory, env=workspaces.environment(), check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return time.perf_counter() - begin, ran.stdout


def check(output: str) -> None:
    """End the benchmark if the table does not show each package with its last tag."""
    lines = output.splitlines()
    for index, name in enumerate(workspaces.names(PACKAGES)):
        tag = f"{name}-v1.2.{(TAGS - 1 - index) // PACKAGES}"
        if not any(line.startswith(f"{name} ") and f" {tag} " in line for line in lines):
            sys.exit(f"{output}\nstatus does not show {name} with {tag}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
