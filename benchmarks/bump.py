"""Time of a version bump of a whole workspace: relnox against other tools, as ratios to `python -c pass`.

The tools run interleaved, each on a fresh copy of a generated workspace; afterwards the edits are checked. The
other tools are installed into their own environment. Needs uv, git and POSIX.

    python -m benchmarks.bump [RUNS] [--sizes 1 10 100 500] [--peers NAME ...] [--environment DIRECTORY]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NEXT = "1.2.4"
TAG = f"v{NEXT}"
MEBIBYTE = 2**20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Unit of `ru_maxrss` in bytes."""
ONCE_FROM = 100
"""A loop of one process per package runs once from so many packages on."""

FLOOR = f"""\
import re
import subprocess
import sys
from pathlib import Path

for file in [Path("uv.lock"), *Path("packages").glob("*/pyproject.toml")]:
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'(?m)((?:^version = |==)"?){workspaces.VERSION}"', r'\\g<1>{NEXT}"', text))
if sys.argv[1:] == ["--commit"]:
    subprocess.run(["git", "commit", "--quiet", "--all", "--message=Release {NEXT}"], check=True)
    subprocess.run(["git", "tag", "--annotate", "--message=Release {NEXT}", "{TAG}"], check=True)
"""
"""The least work that does it: a regular expression over every file, and git."""

SETTINGS = {
    "tbump.toml": f"""\
[version]
current = "{workspaces.VERSION}"
regex = '\\d+\\.\\d+\\.\\d+'

[git]
message_template = "Release {{new_version}}"
tag_template = "v{{new_version}}"

[[file]]
src = "packages/*/pyproject.toml"

[[file]]
src = "uv.lock"
""",
    ".cz.toml": f"""\
[tool.commitizen]
name = "cz_conventional_commits"
version = "{workspaces.VERSION}"
tag_format = "v$version"
version_files = ["packages/*/pyproject.toml", "uv.lock"]
""",
    ".bumpversion.toml": f"""\
[tool.bumpversion]
current_version = "{workspaces.VERSION}"
commit = true
tag = true

[[tool.bumpversion.files]]
glob = "packages/*/pyproject.toml"

[[tool.bumpversion.files]]
filename = "uv.lock"
""",
}
"""The peers' settings: each replaces the version's text wherever it stands in these files."""


class Call(NamedTuple):
    """A program to run: its words, and in which directory of the workspace."""

    words: tuple[str, ...]
    directory: str = "."


class Run(NamedTuple):
    """Cost of a run: wall time in seconds, and the peak memory of its largest process in bytes."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Tool:
    """A tool that bumps versions.

    Attributes:
        name: Its name in the table.
        calls: The programs to run one after the other, for the names of the packages.
        updates: What it updates: of "versions", "constraints", "lock", "commit and tag".
        loop: Whether it runs a process per package.
        in_git: Whether it needs a git repository.
    """

    name: str
    calls: Callable[[Sequence[str]], list[Call]]
    updates: tuple[str, ...]
    loop: bool = False
    in_git: bool = True


ALL = ("versions", "constraints", "lock", "commit and tag")
DISTRIBUTIONS = ("tbump", "commitizen", "bump-my-version", "uv", "hatch", "poetry")


def main() -> None:
    options = parser().parse_args()
    workspaces.compile_relnox()
    selected = {"floor", "relnox", *options.peers}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        programs = (options.environment or install(directory / "peers", options.peers)) / "bin"
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; {versions(programs, options.peers)}")
        floor = directory / "floor.py"
        floor.write_text(FLOOR, encoding="utf-8")
        for size in options.sizes:
            tools = [tool for tool in of_a_workspace(programs, floor) if tool.name in selected]
            short = [tool for tool in tools if size <= options.longest_loop or not tool.loop]
            print(f"\n{size} package{'s' * (size > 1)}, commit and tag; medians of {options.runs}\n")
            compare(short, size, options.runs, directory / "work")
            if left := [tool.name for tool in tools if tool not in short]:
                print(f"\nLeft out, a process per package: {', '.join(left)}")
        tools = [tool for tool in of_one_package(programs, floor) if tool.name in selected]
        print(f"\n1 package, files only; medians of {options.runs}\n")
        compare(tools, 1, options.runs, directory / "work")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare the cost of a version bump with that of peers.")
    parser.add_argument("runs", nargs="?", type=int, default=11, metavar="RUNS", help="how often each runs")
    parser.add_argument("--sizes", nargs="*", type=int, default=[1, 10, 100, 500], help="how many packages")
    parser.add_argument(
        "--peers", nargs="*", choices=DISTRIBUTIONS, default=list(DISTRIBUTIONS), help="the peers to run"
    )
    parser.add_argument("--environment", type=Path, help="a virtual environment that has the peers already")
    parser.add_argument(
        "--longest-loop", type=int, default=ONCE_FROM, help="leave a process per package out above this size"
    )
    return parser


def of_a_workspace(programs: Path, floor: Path) -> list[Tool]:
    """Return the tools that bump all packages, commit and tag."""
    commit = [
        Call(("git", "commit", "--quiet", "--all", f"--message=Release {NEXT}")),
        Call(("git", "tag", "--annotate", f"--message=Release {NEXT}", TAG)),
    ]
    raise_one = ("--bump", "patch", "--frozen")
    return [
        Tool("floor", once(sys.executable, floor, "--commit"), ALL),
        Tool("relnox", once(own("relnox"), "bump", "--part", "patch", "--commit", "--tag"), ALL),
        Tool("tbump", once(programs / "tbump", "--non-interactive", "--no-push", NEXT), ALL),
        Tool("commitizen", once(programs / "cz", "bump", "--increment=PATCH", "--yes", "--annotated-tag"), ALL),
        Tool("bump-my-version", once(programs / "bump-my-version", "bump", "patch"), ALL),
        Tool(
            "uv",
            lambda names: (
                [Call((f"{programs / 'uv'}", "version", "--package", name, *raise_one)) for name in names] + commit
            ),
            ("versions", "commit and tag"),
            loop=True,
        ),
        Tool(
            "hatch",
            lambda names: (
                [Call((f"{programs / 'hatch'}", "version", "patch"), f"packages/{name}") for name in names]
                + commit
            ),
            ("versions", "commit and tag"),
            loop=True,
        ),
    ]


def of_one_package(programs: Path, floor: Path) -> list[Tool]:
    """Return the tools that edit the files of one package, outside git if possible."""
    no_git = ("--no-commit", "--no-tag")
    only, with_lock = ("versions",), ("versions", "lock")
    return [
        Tool("floor", once(sys.executable, floor), with_lock, in_git=False),
        Tool("relnox", once(own("relnox"), "bump", "--part", "patch"), with_lock, in_git=False),
        Tool(
            "tbump", once(programs / "tbump", "--non-interactive", "--only-patch", NEXT), with_lock, in_git=False
        ),
        Tool("commitizen", once(programs / "cz", "bump", "--increment=PATCH", "--yes", "--files-only"), with_lock),
        Tool(
            "bump-my-version",
            once(programs / "bump-my-version", "bump", "patch", *no_git),
            with_lock,
            in_git=False,
        ),
        Tool(
            "uv",
            lambda names: [
                Call((f"{programs / 'uv'}", "version", "--package", *names, "--bump=patch", "--frozen"))
            ],
            only,
            in_git=False,
        ),
        Tool("hatch", in_the_package(programs / "hatch", "version", "patch"), only, in_git=False),
        Tool("poetry", in_the_package(programs / "poetry", "version", "patch"), only, in_git=False),
    ]


def once(*words: str | Path) -> Callable[[Sequence[str]], list[Call]]:
    """Call one program for all packages."""
    return lambda names: [Call(tuple(str(word) for word in words))]  # noqa: ARG005 - settings name the packages


def in_the_package(*words: str | Path) -> Callable[[Sequence[str]], list[Call]]:
    """Call one program in the directory of the first package."""
    return lambda names: [Call(tuple(str(word) for word in words), f"packages/{names[0]}")]


def own(program: str) -> Path:
    """Find a program in the environment that this script runs in."""
    path = shutil.which(program, path=str(Path(sys.executable).parent))
    if path is None:
        sys.exit(f"{program} is not installed for {sys.executable}")
    return Path(path)


def install(directory: Path, distributions: Sequence[str]) -> Path:
    """Create an environment with the other tools, with compiled byte code as relnox has."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("uv is needed to install the peers")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(directory)], check=True)
    if distributions:
        into = ("--compile-bytecode", "--python", str(directory))
        subprocess.run([uv, "pip", "install", "--quiet", *into, *distributions], check=True)
    return directory


def versions(programs: Path, distributions: Sequence[str]) -> str:
    """Return names and versions of the other tools."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    ran = subprocess.run(
        [str(programs / "python"), "-c", code, *distributions], check=True, capture_output=True, text=True
    )
    return ", ".join(" ".join(pair) for pair in zip(distributions, ran.stdout.split(), strict=True))


def compare(tools: Sequence[Tool], size: int, runs: int, directory: Path) -> None:
    """Run the tools interleaved and print their table.

    Args:
        tools: The tools to run.
        size: How many packages the workspace has.
        runs: How often each runs.
        directory: Temporary directory for the workspaces.
    """
    for in_git in {tool.in_git for tool in tools}:
        workspaces.generate(directory / f"{in_git}", size, git=in_git, extra=SETTINGS)
    names = workspaces.names(size)
    base: list[Run] = []
    costs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    for number in range(runs):
        base.append(measure([Call((sys.executable, "-c", "pass"))], directory))
        for tool in tools:
            if number and tool.loop and size >= ONCE_FROM:
                continue
            source, copy = directory / f"{tool.in_git}", directory / "copy"
            shutil.copytree(source, copy, symlinks=True)
            if tool.in_git:  # fill git's index cache, as in a checkout in use
                git(copy, "update-index", "-q", "--refresh")
            costs[tool.name].append(measure(tool.calls(names), copy))
            check(tool, names, source, copy)
            shutil.rmtree(copy)
    shutil.rmtree(directory)
    show(base, tools, costs, size)


def measure(calls: Iterable[Call], directory: Path) -> Run:
    """Run programs one after the other; exit with the output of one that fails."""
    environment = workspaces.environment()
    seconds, memory = 0.0, 0
    with tempfile.TemporaryFile() as output:
        for call in calls:
            begin = time.perf_counter()
            process = subprocess.Popen(
                call.words,
                cwd=directory / call.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                output.seek(0)
                text = output.read().decode(errors="replace")
                sys.exit(f"{text}\n{' '.join(call.words)} failed ({process.returncode})")
            memory = max(memory, usage.ru_maxrss * RSS_UNIT)
    return Run(seconds, memory)


def check(tool: Tool, names: Sequence[str], before: Path, after: Path) -> None:
    """Exit if a tool did not do its work: compare every byte, then check the commit and tag."""
    wrong = [
        file
        for file, text in expected(tool, names, before).items()
        if (after / file).read_text(encoding="utf-8") != text
    ]
    if "commit and tag" in tool.updates:
        if git(after, "status", "--porcelain"):
            wrong.append("the tree is not clean")
        commits = git(after, "rev-list", "HEAD").split()
        tags = git(after, "tag", "--points-at", "HEAD").split()
        if tags != [TAG] or commits[1:] != git(before, "rev-list", "HEAD").split():
            wrong.append("the tag is not on one new commit")
    if wrong:
        lines = "".join(f"\n  {error}" for error in wrong[:5])
        sys.exit(f"{tool.name} with {len(names)} packages: {len(wrong)} errors:{lines}")


def expected(tool: Tool, names: Sequence[str], before: Path) -> Mapping[str, str]:
    """Return the files that a tool may edit, with their expected text."""
    old, new = f'version = "{workspaces.VERSION}"', f'version = "{NEXT}"'
    texts = {}
    for name in names:
        file = f"packages/{name}/pyproject.toml"
        text = (before / file).read_text(encoding="utf-8").replace(old, new)
        updates = "constraints" in tool.updates
        texts[file] = text.replace(f"=={workspaces.VERSION}", f"=={NEXT}") if updates else text
    lock = (before / "uv.lock").read_text(encoding="utf-8")
    return {**texts, "uv.lock": lock.replace(old, new) if "lock" in tool.updates else lock}


def git(directory: Path, *arguments: str) -> str:
    ran = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=workspaces.environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return ran.stdout


def show(base: Sequence[Run], tools: Sequence[Tool], costs: Mapping[str, Sequence[Run]], size: int) -> None:
    """Print the table, as Markdown."""
    unit = statistics.median(run.seconds for run in base)
    print("| | seconds | ratio | ms per package | peak memory, MiB | updates |")
    print("|---|---:|---:|---:|---:|---|")
    print(f"| `python -c pass` | {unit:.3f} | 1.0 | | | |")
    for tool in tools:
        seconds = statistics.median(run.seconds for run in costs[tool.name])
        memory = max(run.memory for run in costs[tool.name])
        how = (", a process per package" if tool.loop else "") + (
            ", run once" if len(costs[tool.name]) == 1 else ""
        )
        print(
            f"| {tool.name}{how} | {seconds:.3f} | {seconds / unit:.1f} "
            f"| {1000 * seconds / size:.1f} | {mebibytes(memory)} | {', '.join(tool.updates)} |"
        )


def mebibytes(memory: int) -> str:
    """Format the peak memory; a process starts with its parent's peak, so that lower values cannot be measured."""
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    return f"{memory / MEBIBYTE:.0f}" if memory > own_peak else f"below {own_peak / MEBIBYTE:.0f}"


if __name__ == "__main__":
    main()
