"""Time of building a whole workspace: relnox against other tools, and against the backends alone.

All build an sdist of every package, and a wheel from that sdist, isolated. They run interleaved, each on a fresh
copy of a generated workspace; afterwards the archives must exist and have the same files. Requirements are
downloaded before, and nothing is downloaded while the clock runs. The other tools are installed into their own
environment. Needs uv, git and POSIX; memory is measured on Linux only.

    python -m benchmarks.build [RUNS] [--sizes 1 20 100] [--mixed 20] [--peers NAME ...] [--longest-loop 5]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import bump, workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ONCE_FROM = 100
"""Tools that create environments per package run once at this size, and not at all above."""
PEERS = ("uv", "build", "build-uv")
RELNOX, FLOOR = "relnox", "floor: the backends alone"
SIDE_FILES = frozenset({"manifest.json", "BUILD_MANIFEST.txt", ".gitignore"})
"""Other files in the output directory."""

BACKENDS_ALONE = """\
import importlib
import os
import sys
import tarfile

module, output, unpacked, *directories = sys.argv[1:]
backend = importlib.import_module(module)
for directory in directories:
    os.chdir(directory)
    sdist = backend.build_sdist(output)
    with tarfile.open(os.path.join(output, sdist)) as archive:
        archive.extractall(unpacked, filter="data")
    os.chdir(os.path.join(unpacked, sdist.removesuffix(".tar.gz")))
    backend.build_wheel(output)
"""
"""The least work that does it: one process that imports the backend once, no environment, no checks."""


class Run(NamedTuple):
    """Cost of a run.

    Attributes:
        seconds: Wall time.
        cpu: Processor time of all processes, in seconds; other work on the machine hardly changes it.
        memory: Peak memory of all processes together, in bytes.
    """

    seconds: float
    cpu: float
    memory: int


class Copy(NamedTuple):
    """A workspace to build: its root, the packages' backends by name, and an empty directory outside."""

    root: Path
    backends: Mapping[str, str]
    scratch: Path


@dataclass(frozen=True)
class Tool:
    """A tool that builds the packages.

    Attributes:
        name: Its name in the table.
        calls: The programs to run one after the other, for the packages that are to be built.
        per_package: Whether it creates environments for every package, and is slow.
        loop: Whether it runs a program per package.
    """

    name: str
    calls: Callable[[Copy, Sequence[str]], list[tuple[str, ...]]]
    per_package: bool = False
    loop: bool = False


@dataclass(frozen=True)
class Benchmark:
    """Settings of all comparisons.

    Attributes:
        directory: Temporary directory for workspaces, caches and archives.
        programs: The environment with the peers and the backends.
        uv: The uv that all use.
        peers: The peers to run.
        runs: How often each tool runs.
        longest_loop: How many packages a loop builds at most.
    """

    directory: Path
    programs: Path
    uv: str
    peers: Sequence[str]
    runs: int
    longest_loop: int

    def environment(self, *, online: bool = False) -> dict[str, str]:
        """Return variables for the programs: one uv and one interpreter for all, and separate caches."""
        variables = workspaces.environment() | {
            "PATH": os.pathsep.join([str(Path(self.uv).parent), os.environ.get("PATH", os.defpath)]),
            "UV_CACHE_DIR": str(self.directory / "uv-cache"),
            "UV_PYTHON": sys.executable,
            "XDG_CACHE_HOME": str(self.directory / "cache"),
        }
        if online:
            del variables["UV_OFFLINE"]
            return variables
        return variables | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.directory / "wheels")}


def main() -> None:
    options = parser().parse_args()
    workspaces.compile_relnox()
    uv_path = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv_path is None:
        sys.exit("uv is needed")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        peers = ("build", "pip", *workspaces.BACKENDS)
        programs = bump.install(directory / "peers", peers) / "bin"
        bench = Benchmark(directory, programs, uv_path, options.peers, options.runs, options.longest_loop)
        uv = subprocess.run([uv_path, "--version"], check=True, capture_output=True, text=True).stdout.split()[:2]
        print(
            f"Python {sys.version.split()[0]}, {cores()} cores; {' '.join(uv)}, {bump.versions(programs, peers)}"
        )
        fetch(bench)
        for size in options.sizes:
            print(f"\n{size} package{'s' * (size > 1)}, hatchling; medians of {options.runs}\n")
            compare(bench, size, ["hatchling"])
        if options.mixed:
            print(f"\n{options.mixed} packages, five backends mixed; medians of {options.runs}\n")
            compare(bench, options.mixed, list(workspaces.BACKENDS))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare the cost of building a workspace with that of peers.")
    parser.add_argument("runs", nargs="?", type=int, default=3, metavar="RUNS", help="how often each runs")
    parser.add_argument("--sizes", nargs="*", type=int, default=[1, 20, 100], help="how many hatchling packages")
    parser.add_argument("--mixed", type=int, default=20, help="how many packages of five backends; 0 for none")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="the peers to run")
    parser.add_argument(
        "--longest-loop", type=int, default=5, help="a loop of one program per package builds at most so many"
    )
    return parser


def tools(bench: Benchmark) -> list[Tool]:
    """Return all tools, in the order of their runs."""

    def relnox(_copy: Copy, _names: Sequence[str]) -> list[tuple[str, ...]]:
        return [(str(bump.own("relnox")), "build-all")]

    def uv(copy: Copy, _names: Sequence[str]) -> list[tuple[str, ...]]:
        return [(bench.uv, "build", "--quiet", "--all-packages", "--out-dir", str(copy.root / "dist"))]

    def build(*options: str) -> Callable[[Copy, Sequence[str]], list[tuple[str, ...]]]:
        words = (str(bench.programs / "python"), "-m", "build", *options, "--outdir")
        return lambda copy, names: [(*words, str(copy.root / "dist"), f"packages/{name}") for name in names]

    peers = {
        "uv": Tool("`uv build --all-packages`", uv, per_package=True),
        "build": Tool("`python -m build`", build(), per_package=True, loop=True),
        "build-uv": Tool(
            "`python -m build --installer uv`", build("--installer", "uv"), per_package=True, loop=True
        ),
    }
    return [
        Tool(FLOOR, lambda copy, names: list(backends_alone(bench, copy, names))),
        Tool(RELNOX, relnox),
        *(peers[peer] for peer in bench.peers),
    ]


def backends_alone(bench: Benchmark, copy: Copy, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield one process for each backend and its packages."""
    start = (str(bench.programs / "python"), "-c", BACKENDS_ALONE)
    output = copy.root / "dist"
    output.mkdir()
    for backend in dict.fromkeys(copy.backends.values()):
        directories = [str(copy.root / "packages" / name) for name in names if copy.backends[name] == backend]
        yield (*start, workspaces.BACKENDS[backend].module, str(output), str(copy.scratch), *directories)


def fetch(bench: Benchmark) -> None:
    """Run everything that uses the package index once, to fill the caches."""
    requirements = [backend.requirement for backend in workspaces.BACKENDS.values()]
    wheels = ("--only-binary=:all:", "--dest", str(bench.directory / "wheels"))
    copy = Copy(
        bench.directory / "first", backends_by_package(len(workspaces.BACKENDS), list(workspaces.BACKENDS)), Path()
    )
    workspaces.generate_sources(copy.root, len(copy.backends), list(workspaces.BACKENDS))
    online = bench.environment(online=True)
    measure(
        [(str(bench.programs / "python"), "-m", "pip", "download", "--quiet", *wheels, *requirements)],
        bench.directory,
        online,
    )
    for tool in tools(bench):
        if not tool.loop and tool.name != FLOOR:
            measure(tool.calls(copy, list(copy.backends)), copy.root, online)
    shutil.rmtree(copy.root)


def backends_by_package(size: int, backends: Sequence[str]) -> dict[str, str]:
    """Assign the backends to the packages of a workspace, in rotation."""
    return {name: backends[index % len(backends)] for index, name in enumerate(workspaces.names(size))}


def compare(bench: Benchmark, size: int, backends: Sequence[str]) -> None:
    """Run all tools interleaved, check the archives, and print their table."""
    original, scratch = bench.directory / "original", bench.directory / "scratch"
    workspaces.generate_sources(original, size, backends)
    copy = Copy(bench.directory / "copy", backends_by_package(size, backends), scratch)
    every = list(copy.backends)
    looped = every[-bench.longest_loop :]  # the last ones require others
    selected = [tool for tool in tools(bench) if size <= ONCE_FROM or tool.loop or not tool.per_package]
    costs: dict[str, list[Run]] = {tool.name: [] for tool in selected}
    contents_by_name: dict[str, tuple[str, ...]] = {}
    for number in range(bench.runs):
        for tool in selected:
            if number and tool.per_package and size >= ONCE_FROM:
                continue
            fresh(original, copy)
            built = looped if tool.loop else every
            costs[tool.name].append(measure(tool.calls(copy, built), copy.root, bench.environment()))
            check(tool.name, copy.root / "dist", built, contents_by_name)
    for directory in (original, copy.root, scratch):
        shutil.rmtree(directory)
    show(selected, costs, size, len(looped), bench.runs)
    if left := [tool.name for tool in tools(bench) if tool.name not in costs]:
        print(f"\nLeft out, environments for each package: {', '.join(left)}")


def fresh(original: Path, copy: Copy) -> None:
    """Create a new copy, with git's index cache filled as in a checkout in use."""
    for directory in (copy.root, copy.scratch):
        if directory.exists():
            shutil.rmtree(directory)
    shutil.copytree(original, copy.root, symlinks=True)
    copy.scratch.mkdir()
    bump.git(copy.root, "update-index", "-q", "--refresh")
    os.sync()  # the copy must not be written to disk while the clock runs


def measure(calls: Iterable[tuple[str, ...]], directory: Path, environment: Mapping[str, str]) -> Run:
    """Run programs one after the other; exit with the output of one that fails."""
    seconds, cpu, memory = 0.0, 0.0, 0
    with tempfile.TemporaryFile() as output:
        for words in calls:
            begin = time.perf_counter()
            process = subprocess.Popen(
                words,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            sampler = MemorySampler(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += usage.ru_utime + usage.ru_stime
            memory = max(memory, sampler.peak())
            if process.returncode != 0:
                output.seek(0)
                text = output.read().decode(errors="replace")
                sys.exit(f"{text}\n{' '.join(words[:4])} failed ({process.returncode})")
    return Run(seconds, cpu, memory)


class MemorySampler:
    """Thread that samples the memory of a process and its descendants.

    It is their proportional set size: a page that several of them share counts once. A sample takes a small part
    of the interval, so that it does not disturb the processes; peaks shorter than the interval may be missed.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def peak(self) -> int:
        """Stop sampling and return the peak in bytes; 0 if the system does not report it."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _sample(self) -> None:
        pause = 0.02
        while not self._ended.wait(pause):
            begin = time.thread_time()
            self._peak = max(self._peak, sum(map(memory_of, descendants(self._pid))))
            pause = max(0.05, 50 * (time.thread_time() - begin))


def descendants(top: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            parent = (directory / "stat").read_bytes().rpartition(b")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(directory.name))
    queue = [top]
    while queue:
        pid = queue.pop()
        yield pid
        queue += children.get(pid, ())


def memory_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def check(tool: str, dist: Path, names: Sequence[str], contents_by_name: dict[str, tuple[str, ...]]) -> None:
    """Exit if a tool did not build two archives of each package, with the same files as the others.

    Args:
        tool: Name of the tool.
        dist: The output directory.
        names: The packages to build.
        contents_by_name: The files in each archive of earlier runs; new archives are added.
    """
    stems = [f"{workspaces.import_name(name)}-{workspaces.VERSION}" for name in names]
    expected = {f"{stem}{ending}" for stem in stems for ending in (".tar.gz", "-py3-none-any.whl")}
    wrong = [
        f"in dist or not: {name}" for name in expected ^ ({path.name for path in dist.iterdir()} - SIDE_FILES)
    ]
    for name in () if wrong else sorted(expected):
        files = contents(dist / name)
        if contents_by_name.setdefault(name, files) != files:
            wrong.append(f"in {name} or not: {', '.join(sorted(set(files) ^ set(contents_by_name[name])))}")
    if wrong:
        lines = "".join(f"\n  {error}" for error in wrong[:5])
        sys.exit(f"{tool} with {len(names)} packages: {len(wrong)} errors:{lines}")


def contents(archive: Path) -> tuple[str, ...]:
    """List the files in an archive, sorted."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return tuple(sorted(name for name in wheel.namelist() if not name.endswith("/")))
    with tarfile.open(archive) as sdist:
        return tuple(sorted(member.name for member in sdist if not member.isdir()))


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def show(selected: Sequence[Tool], costs: Mapping[str, Sequence[Run]], size: int, looped: int, runs: int) -> None:
    """Print the table, as Markdown."""

    def median(tool: Tool, cost: Callable[[Run], float]) -> float:
        return statistics.median(map(cost, costs[tool.name])) * size / (looped if tool.loop else size)

    def seconds(tool: Tool) -> float:
        return median(tool, lambda run: run.seconds)

    own, floor = (next(seconds(tool) for tool in selected if tool.name == name) for name in (RELNOX, FLOOR))

    def row(name: str, took: float, cpu: str, memory: str) -> str:
        cells = (
            f"{took:.2f}",
            f"{took / own:.2f}",
            f"{took / floor:.2f}",
            f"{1000 * took / size:.0f}",
            cpu,
            memory,
        )
        return f"| {name} | {' | '.join(cells)} |"

    print("| | seconds | to relnox | to the floor | ms per package | CPU seconds | peak memory, MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for tool in selected:
        took, cpu = seconds(tool), median(tool, lambda run: run.cpu)
        memory = max(run.memory for run in costs[tool.name])
        how = [f"loop, from {looped} packages"] * (tool.loop and looped < size)
        how += ["run once"] * (len(costs[tool.name]) < runs)
        name = f"{tool.name} ({'; '.join(how)})" if how else tool.name
        print(row(name, took, f"{cpu:.2f}", f"{memory / bump.MEBIBYTE:.0f}" if memory else ""))
        if tool.name == FLOOR:
            print(row(f"the same, over {cores()} cores", took / cores(), "", ""))


if __name__ == "__main__":
    main()
