"""Time of `relnox ci --matrix` for a workspace of 2,000 packages that all changed, with four platform wheels each.

Prints the seconds, also those of the processor, and the number of jobs; fails if there are more than GitHub runs.

    python -m benchmarks.matrices [PACKAGES]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import workspaces
from relnox.ci.matrices import MAX_JOBS

PLATFORMS = ("manylinux_x86_64", "manylinux_aarch64", "macosx_arm64", "win_amd64")


def main(count: int) -> None:
    workspaces.compile_relnox()
    relnox = str(Path(sys.executable).parent / "relnox")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "workspace"
        workspaces.generate(root, count)
        wheels = json.dumps([f"cp{{312,313}}-{platform}" for platform in PLATFORMS])
        names = workspaces.names(count)
        with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
            settings.write('\n[tool.relnox.verify]\npython = ["3.11", "3.12", "3.13"]\n\n[tool.relnox.wheels]\n')
            settings.writelines(f"{package} = {wheels}\n" for package in names)
        workspaces.commit(root, "List the wheels")
        for kind in ("packages", "verify", "wheels"):
            begin, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            ran = subprocess.run(
                (relnox, "ci", "--matrix", kind),
                cwd=root,
                env=workspaces.environment(),
                check=True,
                stdout=subprocess.PIPE,
            )
            seconds, jobs = time.perf_counter() - begin, json.loads(ran.stdout)["include"]
            cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - cpu
            if not 0 < len(jobs) <= MAX_JOBS:
                sys.exit(f"{kind}: {len(jobs)} jobs")
            print(f"{kind:<10}{count:>6} packages{len(jobs):>6} jobs{seconds:>8.1f} s{cpu:>8.1f} s of CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
