"""What a version bump of a whole workspace costs: relnox against its peers, as ratios to `python -c pass`.

Runs everything interleaved, each time on a fresh copy of a generated workspace, and looks afterwards whether
what was to move has moved. The peers are installed into an environment of their own. Needs uv, git and POSIX.

    python -m benchmarks.bump [RUNS] [--sizes 1 10 100 500] [--peers NAME ...] [--environment FOLDER]
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
"""Bytes in which the system tells the memory of a process."""
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
"""The least that could do it: a regular expression over every file, and git."""

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
    """A program to run: its words, and in which folder of the workspace."""

    words: tuple[str, ...]
    folder: str = "."


class Run(NamedTuple):
    """What a run cost: wall time in seconds, and the most memory a process of it had, in bytes."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Way:
    """One way to move the versions.

    Attributes:
        name: What the table calls it.
        calls: The programs to run one after the other, for the names of the packages.
        moves: What it moves and makes: of "versions", "constraints", "lock", "commit and tag".
        loop: Whether it runs a process per package.
        in_git: Whether it works in a git repository only.
    """

    name: str
    calls: Callable[[Sequence[str]], list[Call]]
    moves: tuple[str, ...]
    loop: bool = False
    in_git: bool = True


ALL = ("versions", "constraints", "lock", "commit and tag")
DISTRIBUTIONS = ("tbump", "commitizen", "bump-my-version", "uv", "hatch", "poetry")


def main() -> None:
    options = parser().parse_args()
    workspaces.compile_relnox()
    chosen = {"floor", "relnox", *options.peers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = (options.environment or install(folder / "peers", options.peers)) / "bin"
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; {versions(programs, options.peers)}")
        floor = folder / "floor.py"
        floor.write_text(FLOOR, encoding="utf-8")
        for size in options.sizes:
            ways = [way for way in of_a_workspace(programs, floor) if way.name in chosen]
            short = [way for way in ways if size <= options.longest_loop or not way.loop]
            print(f"\n{size} package{'s' * (size > 1)}, commit and tag; medians of {options.runs}\n")
            compare(short, size, options.runs, folder / "work")
            if left := [way.name for way in ways if way not in short]:
                print(f"\nLeft out, a process per package: {', '.join(left)}")
        ways = [way for way in of_one_package(programs, floor) if way.name in chosen]
        print(f"\n1 package, files only; medians of {options.runs}\n")
        compare(ways, 1, options.runs, folder / "work")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Compare the cost of a version bump with that of peers.")
    made.add_argument("runs", nargs="?", type=int, default=11, metavar="RUNS", help="how often each runs")
    made.add_argument("--sizes", nargs="*", type=int, default=[1, 10, 100, 500], help="how many packages")
    made.add_argument(
        "--peers", nargs="*", choices=DISTRIBUTIONS, default=list(DISTRIBUTIONS), help="the peers to run"
    )
    made.add_argument("--environment", type=Path, help="a virtual environment that has the peers already")
    made.add_argument(
        "--longest-loop", type=int, default=ONCE_FROM, help="leave a process per package out above this size"
    )
    return made


def of_a_workspace(programs: Path, floor: Path) -> list[Way]:
    """The ways to move all packages, commit and tag."""
    commit = [
        Call(("git", "commit", "--quiet", "--all", f"--message=Release {NEXT}")),
        Call(("git", "tag", "--annotate", f"--message=Release {NEXT}", TAG)),
    ]
    raise_one = ("--bump", "patch", "--frozen")
    return [
        Way("floor", once(sys.executable, floor, "--commit"), ALL),
        Way("relnox", once(own("relnox"), "bump", "--part", "patch", "--commit", "--tag"), ALL),
        Way("tbump", once(programs / "tbump", "--non-interactive", "--no-push", NEXT), ALL),
        Way("commitizen", once(programs / "cz", "bump", "--increment=PATCH", "--yes", "--annotated-tag"), ALL),
        Way("bump-my-version", once(programs / "bump-my-version", "bump", "patch"), ALL),
        Way(
            "uv",
            lambda names: (
                [Call((f"{programs / 'uv'}", "version", "--package", each, *raise_one)) for each in names] + commit
            ),
            ("versions", "commit and tag"),
            loop=True,
        ),
        Way(
            "hatch",
            lambda names: (
                [Call((f"{programs / 'hatch'}", "version", "patch"), f"packages/{each}") for each in names]
                + commit
            ),
            ("versions", "commit and tag"),
            loop=True,
        ),
    ]


def of_one_package(programs: Path, floor: Path) -> list[Way]:
    """The ways to edit the files of one package, outside git where that is possible."""
    no_git = ("--no-commit", "--no-tag")
    only, with_lock = ("versions",), ("versions", "lock")
    return [
        Way("floor", once(sys.executable, floor), with_lock, in_git=False),
        Way("relnox", once(own("relnox"), "bump", "--part", "patch"), with_lock, in_git=False),
        Way("tbump", once(programs / "tbump", "--non-interactive", "--only-patch", NEXT), with_lock, in_git=False),
        Way("commitizen", once(programs / "cz", "bump", "--increment=PATCH", "--yes", "--files-only"), with_lock),
        Way(
            "bump-my-version",
            once(programs / "bump-my-version", "bump", "patch", *no_git),
            with_lock,
            in_git=False,
        ),
        Way(
            "uv",
            lambda names: [
                Call((f"{programs / 'uv'}", "version", "--package", *names, "--bump=patch", "--frozen"))
            ],
            only,
            in_git=False,
        ),
        Way("hatch", in_the_package(programs / "hatch", "version", "patch"), only, in_git=False),
        Way("poetry", in_the_package(programs / "poetry", "version", "patch"), only, in_git=False),
    ]


def once(*words: str | Path) -> Callable[[Sequence[str]], list[Call]]:
    """One program, whatever the packages are."""
    return lambda names: [Call(tuple(str(word) for word in words))]  # noqa: ARG005 - the packages are in its settings


def in_the_package(*words: str | Path) -> Callable[[Sequence[str]], list[Call]]:
    """One program in the folder of the first package."""
    return lambda names: [Call(tuple(str(word) for word in words), f"packages/{names[0]}")]


def own(program: str) -> Path:
    """A program of the environment that this script runs in."""
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        sys.exit(f"{program} is not installed for {sys.executable}")
    return Path(found)


def install(folder: Path, distributions: Sequence[str]) -> Path:
    """Make an environment with the peers, their byte code compiled as relnox's is."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("uv is needed to install the peers")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    if distributions:
        into = ("--compile-bytecode", "--python", str(folder))
        subprocess.run([uv, "pip", "install", "--quiet", *into, *distributions], check=True)
    return folder


def versions(programs: Path, distributions: Sequence[str]) -> str:
    """Names and versions of the installed peers."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    told = subprocess.run(
        [str(programs / "python"), "-c", code, *distributions], check=True, capture_output=True, text=True
    )
    return ", ".join(" ".join(pair) for pair in zip(distributions, told.stdout.split(), strict=True))


def compare(ways: Sequence[Way], size: int, runs: int, folder: Path) -> None:
    """Run the ways interleaved and print their table.

    Args:
        ways: What to run.
        size: How many packages the workspace has.
        runs: How often each runs.
        folder: Where the workspaces are made; gone afterwards.
    """
    for git in {way.in_git for way in ways}:
        workspaces.generate(folder / f"{git}", size, git=git, extra=SETTINGS)
    names = workspaces.names(size)
    base: list[Run] = []
    costs: dict[str, list[Run]] = {way.name: [] for way in ways}
    for number in range(runs):
        base.append(measure([Call((sys.executable, "-c", "pass"))], folder))
        for way in ways:
            if number and way.loop and size >= ONCE_FROM:
                continue
            source, copy = folder / f"{way.in_git}", folder / "copy"
            shutil.copytree(source, copy, symlinks=True)
            if way.in_git:  # git has seen these files, as in a checkout that somebody works in
                git_says(copy, "update-index", "-q", "--refresh")
            costs[way.name].append(measure(way.calls(names), copy))
            check(way, names, source, copy)
            shutil.rmtree(copy)
    shutil.rmtree(folder)
    show(base, ways, costs, size)


def measure(calls: Iterable[Call], folder: Path) -> Run:
    """Run programs one after the other; one that fails ends the benchmark with what it printed."""
    environment = workspaces.environment()
    seconds, memory = 0.0, 0
    with tempfile.TemporaryFile() as printed:
        for call in calls:
            begin = time.perf_counter()
            process = subprocess.Popen(
                call.words,
                cwd=folder / call.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                printed.seek(0)
                text = printed.read().decode(errors="replace")
                sys.exit(f"{text}\n{' '.join(call.words)} failed ({process.returncode})")
            memory = max(memory, usage.ru_maxrss * RSS_UNIT)
    return Run(seconds, memory)


def check(way: Way, names: Sequence[str], before: Path, after: Path) -> None:
    """End the benchmark if a way did not do what it says: every byte is compared, then git is asked."""
    wrong = [
        file
        for file, text in expected(way, names, before).items()
        if (after / file).read_text(encoding="utf-8") != text
    ]
    if "commit and tag" in way.moves:
        if git_says(after, "status", "--porcelain"):
            wrong.append("the tree is not clean")
        commits = git_says(after, "rev-list", "HEAD").split()
        tags = git_says(after, "tag", "--points-at", "HEAD").split()
        if tags != [TAG] or commits[1:] != git_says(before, "rev-list", "HEAD").split():
            wrong.append("the tag is not on one new commit")
    if wrong:
        shown = "".join(f"\n  {each}" for each in wrong[:5])
        sys.exit(f"{way.name} with {len(names)} packages: {len(wrong)} things are not as they should be:{shown}")


def expected(way: Way, names: Sequence[str], before: Path) -> Mapping[str, str]:
    """The files that a way may edit, with the text they have afterwards."""
    old, new = f'version = "{workspaces.VERSION}"', f'version = "{NEXT}"'
    texts = {}
    for name in names:
        file = f"packages/{name}/pyproject.toml"
        text = (before / file).read_text(encoding="utf-8").replace(old, new)
        moves = "constraints" in way.moves
        texts[file] = text.replace(f"=={workspaces.VERSION}", f"=={NEXT}") if moves else text
    lock = (before / "uv.lock").read_text(encoding="utf-8")
    return {**texts, "uv.lock": lock.replace(old, new) if "lock" in way.moves else lock}


def git_says(folder: Path, *arguments: str) -> str:
    told = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=workspaces.environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return told.stdout


def show(base: Sequence[Run], ways: Sequence[Way], costs: Mapping[str, Sequence[Run]], size: int) -> None:
    """Print the table, as Markdown."""
    unit = statistics.median(run.seconds for run in base)
    print("| | seconds | ratio | ms per package | peak memory, MiB | moves |")
    print("|---|---:|---:|---:|---:|---|")
    print(f"| `python -c pass` | {unit:.3f} | 1.0 | | | |")
    for way in ways:
        seconds = statistics.median(run.seconds for run in costs[way.name])
        memory = max(run.memory for run in costs[way.name])
        how = (", a process per package" if way.loop else "") + (", run once" if len(costs[way.name]) == 1 else "")
        print(
            f"| {way.name}{how} | {seconds:.3f} | {seconds / unit:.1f} "
            f"| {1000 * seconds / size:.1f} | {mebibytes(memory)} | {', '.join(way.moves)} |"
        )


def mebibytes(memory: int) -> str:
    """A process is born with its parent's peak: what is not above this script's own is not known."""
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    return f"{memory / MEBIBYTE:.0f}" if memory > own_peak else f"below {own_peak / MEBIBYTE:.0f}"


if __name__ == "__main__":
    main()
