"""What building a whole workspace costs: relnox against its peers, and against the backends' own work alone.

All make the same: an sdist of every package, and a wheel from that sdist, isolated. They run interleaved, each on
a fresh copy of a generated workspace, and afterwards it is seen whether the archives are there, and whether the
same files are in them. What the builds need is fetched before; nothing is fetched while the clock runs. The
peers are installed into an environment of their own. Needs uv, git and POSIX; memory is told on Linux only.

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
"""What makes environments for every package runs once from so many packages on, and not at all above."""
PEERS = ("uv", "build", "build-uv")
WARM, FLOOR = "relnox, warm", "floor: the backends alone"
SIDE_FILES = frozenset({"manifest.json", "BUILD_MANIFEST.txt", ".gitignore"})
"""What else may be in the output folder."""

BACKENDS_ALONE = """\
import importlib
import os
import sys
import tarfile

module, output, unpacked, *folders = sys.argv[1:]
backend = importlib.import_module(module)
for folder in folders:
    os.chdir(folder)
    sdist = backend.build_sdist(output)
    with tarfile.open(os.path.join(output, sdist)) as archive:
        archive.extractall(unpacked, filter="data")
    os.chdir(os.path.join(unpacked, sdist.removesuffix(".tar.gz")))
    backend.build_wheel(output)
"""
"""The least that could do it: a process that imports the backend once, no environment, no look at the archives."""


class Run(NamedTuple):
    """What a run cost.

    Attributes:
        seconds: Wall time.
        cpu: Processor time of all processes, in seconds; other work on the machine hardly changes it.
        memory: The most that all processes had together, in bytes.
    """

    seconds: float
    cpu: float
    memory: int


class Copy(NamedTuple):
    """A workspace to build: its root, the packages' backends by name, and an empty folder outside."""

    root: Path
    backends: Mapping[str, str]
    scratch: Path


@dataclass(frozen=True)
class Way:
    """One way to build the packages.

    Attributes:
        name: What the table calls it.
        calls: The programs to run one after the other, for the packages that are to be built.
        each: Whether it makes environments for every package, and so takes long.
        loop: Whether it runs a program per package.
        cold: Whether relnox's cache is emptied before.
        again: Whether it goes on in the copy of the way before.
        changes: Whether a commit changes one package before.
    """

    name: str
    calls: Callable[[Copy, Sequence[str]], list[tuple[str, ...]]]
    each: bool = False
    loop: bool = False
    cold: bool = False
    again: bool = False
    changes: bool = False


@dataclass(frozen=True)
class BuildSession:
    """What all comparisons share.

    Attributes:
        folder: For workspaces, caches and archives; gone afterwards.
        programs: The environment with the peers and the backends.
        uv: The uv that all use.
        peers: The peers to run.
        runs: How often each way runs.
        longest_loop: How many packages a loop builds at most.
    """

    folder: Path
    programs: Path
    uv: str
    peers: Sequence[str]
    runs: int
    longest_loop: int

    def environment(self, *, online: bool = False) -> dict[str, str]:
        """What the programs find: one uv and one interpreter for all, caches of the benchmark's own."""
        usual = workspaces.environment() | {
            "PATH": os.pathsep.join([str(Path(self.uv).parent), os.environ.get("PATH", os.defpath)]),
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            "UV_PYTHON": sys.executable,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        if online:
            del usual["UV_OFFLINE"]
            return usual
        return usual | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder / "wheels")}


def main() -> None:
    options = parser().parse_args()
    workspaces.compile_relnox()
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        sys.exit("uv is needed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = ("build", "pip", *workspaces.BACKENDS)
        programs = bump.install(folder / "peers", peers) / "bin"
        bench = BuildSession(folder, programs, found, options.peers, options.runs, options.longest_loop)
        uv = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout.split()[:2]
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
    made = argparse.ArgumentParser(description="Compare the cost of building a workspace with that of peers.")
    made.add_argument("runs", nargs="?", type=int, default=3, metavar="RUNS", help="how often each runs")
    made.add_argument("--sizes", nargs="*", type=int, default=[1, 20, 100], help="how many hatchling packages")
    made.add_argument("--mixed", type=int, default=20, help="how many packages of five backends; 0 for none")
    made.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="the peers to run")
    made.add_argument(
        "--longest-loop", type=int, default=5, help="a loop of one program per package builds at most so many"
    )
    return made


def ways(bench: BuildSession) -> list[Way]:
    """All ways in the order in which they run."""

    def relnox(_copy: Copy, _names: Sequence[str]) -> list[tuple[str, ...]]:
        return [(str(bump.own("relnox")), "build-all")]

    def uv(copy: Copy, _names: Sequence[str]) -> list[tuple[str, ...]]:
        return [(bench.uv, "build", "--quiet", "--all-packages", "--out-dir", str(copy.root / "dist"))]

    def build(*options: str) -> Callable[[Copy, Sequence[str]], list[tuple[str, ...]]]:
        words = (str(bench.programs / "python"), "-m", "build", *options, "--outdir")
        return lambda copy, names: [(*words, str(copy.root / "dist"), f"packages/{name}") for name in names]

    chosen = {
        "uv": Way("`uv build --all-packages`", uv, each=True),
        "build": Way("`python -m build`", build(), each=True, loop=True),
        "build-uv": Way("`python -m build --installer uv`", build("--installer", "uv"), each=True, loop=True),
    }
    return [
        Way(FLOOR, lambda copy, names: list(backends_alone(bench, copy, names))),
        Way("relnox, cold", relnox, cold=True),
        Way(WARM, relnox),
        Way("relnox, unchanged", relnox, again=True),
        Way("relnox, one changed", relnox, again=True, changes=True),
        *(chosen[peer] for peer in bench.peers),
    ]


def backends_alone(bench: BuildSession, copy: Copy, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One process for each backend and its packages."""
    start = (str(bench.programs / "python"), "-c", BACKENDS_ALONE)
    output = copy.root / "dist"
    output.mkdir()
    for backend in dict.fromkeys(copy.backends.values()):
        folders = [str(copy.root / "packages" / name) for name in names if copy.backends[name] == backend]
        yield (*start, workspaces.BACKENDS[backend].module, str(output), str(copy.scratch), *folders)


def fetch(bench: BuildSession) -> None:
    """Let everything that uses the package index do it once: afterwards what it needs is in its cache."""
    requirements = [backend.requirement for backend in workspaces.BACKENDS.values()]
    wheels = ("--only-binary=:all:", "--dest", str(bench.folder / "wheels"))
    copy = Copy(bench.folder / "first", turns(len(workspaces.BACKENDS), list(workspaces.BACKENDS)), Path())
    workspaces.generate_sources(copy.root, len(copy.backends), list(workspaces.BACKENDS))
    online = bench.environment(online=True)
    measure(
        [(str(bench.programs / "python"), "-m", "pip", "download", "--quiet", *wheels, *requirements)],
        bench.folder,
        online,
    )
    for way in ways(bench):
        if not way.loop and way.name != FLOOR:
            measure(way.calls(copy, list(copy.backends)), copy.root, online)
    shutil.rmtree(copy.root)


def turns(size: int, backends: Sequence[str]) -> dict[str, str]:
    """The packages of a workspace with the backends that they use in turn."""
    return {name: backends[index % len(backends)] for index, name in enumerate(workspaces.names(size))}


def compare(bench: BuildSession, size: int, backends: Sequence[str]) -> None:
    """Run all ways interleaved, look at what they made, and print their table."""
    original, scratch = bench.folder / "original", bench.folder / "scratch"
    workspaces.generate_sources(original, size, backends)
    copy = Copy(bench.folder / "copy", turns(size, backends), scratch)
    every = list(copy.backends)
    looped = every[-bench.longest_loop :]  # the last ones require others
    todo = [way for way in ways(bench) if size <= ONCE_FROM or way.loop or not way.each]
    costs: dict[str, list[Run]] = {way.name: [] for way in todo}
    listed: dict[str, tuple[str, ...]] = {}
    for number in range(bench.runs):
        for way in todo:
            if number and way.each and size >= ONCE_FROM:
                continue
            if not way.again:
                fresh(original, copy)
            if way.cold:
                shutil.rmtree(bench.folder / "cache")
            changed = {every[size // 2]} if way.changes else set()
            for name in changed:
                module = copy.root / "packages" / name / "src" / workspaces.import_name(name) / "third.py"
                module.write_text(module.read_text(encoding="utf-8") + "\n\nCHANGED = True\n", encoding="utf-8")
                workspaces.commit(copy.root, f"fix({name}): change a module")
            before = stamps(copy.root / "dist")
            built = looped if way.loop else every
            costs[way.name].append(measure(way.calls(copy, built), copy.root, bench.environment()))
            check(way.name, copy.root / "dist", built, listed)
            if way.again:
                check_kept(way.name, before, stamps(copy.root / "dist"), changed)
    for folder in (original, copy.root, scratch):
        shutil.rmtree(folder)
    show(todo, costs, size, len(looped), bench.runs)
    if left := [way.name for way in ways(bench) if way.name not in costs]:
        print(f"\nLeft out, environments for each package: {', '.join(left)}")


def fresh(original: Path, copy: Copy) -> None:
    """A new copy, whose files git has seen, as in a checkout that somebody works in."""
    for folder in (copy.root, copy.scratch):
        if folder.exists():
            shutil.rmtree(folder)
    shutil.copytree(original, copy.root, symlinks=True)
    copy.scratch.mkdir()
    bump.git_says(copy.root, "update-index", "-q", "--refresh")
    os.sync()  # what was copied is not to be written while the clock runs


def measure(calls: Iterable[tuple[str, ...]], folder: Path, environment: Mapping[str, str]) -> Run:
    """Run programs one after the other; one that fails ends the benchmark with what it printed."""
    seconds, cpu, memory = 0.0, 0.0, 0
    with tempfile.TemporaryFile() as printed:
        for words in calls:
            begin = time.perf_counter()
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            watched = Children(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += usage.ru_utime + usage.ru_stime
            memory = max(memory, watched.peak())
            if process.returncode != 0:
                printed.seek(0)
                text = printed.read().decode(errors="replace")
                sys.exit(f"{text}\n{' '.join(words[:4])} failed ({process.returncode})")
    return Run(seconds, cpu, memory)


class Children:
    """Looks again and again how much memory a process and all that descend from it have together.

    That is their proportional set size: a page that several of them share counts once. A look is short against the
    pause after it, so that it costs the processes nothing that could be told; what is shorter than a pause
    may not be seen.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def peak(self) -> int:
        """The most that was seen, in bytes; 0 where the system does not tell. It looks no more."""
        self._ended.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        pause = 0.02
        while not self._ended.wait(pause):
            begin = time.thread_time()
            self._most = max(self._most, sum(map(memory_of, descendants(self._pid))))
            pause = max(0.05, 50 * (time.thread_time() - begin))


def descendants(top: int) -> Iterator[int]:
    """A process, and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(folder.name))
    waiting = [top]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def memory_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def check(way: str, dist: Path, names: Sequence[str], listed: dict[str, tuple[str, ...]]) -> None:
    """End the benchmark if a way did not make two archives of each package, with the files that others put in.

    Args:
        way: What made them.
        dist: Where they are.
        names: The packages that were to be built.
        listed: The files in each archive, as others listed them; those of new ones are added.
    """
    stems = [f"{workspaces.import_name(name)}-{workspaces.VERSION}" for name in names]
    expected = {f"{stem}{ending}" for stem in stems for ending in (".tar.gz", "-py3-none-any.whl")}
    wrong = [
        f"in dist or not: {name}" for name in expected ^ ({path.name for path in dist.iterdir()} - SIDE_FILES)
    ]
    for name in () if wrong else sorted(expected):
        files = contents(dist / name)
        if listed.setdefault(name, files) != files:
            wrong.append(f"in {name} or not: {', '.join(sorted(set(files) ^ set(listed[name])))}")
    if wrong:
        shown = "".join(f"\n  {each}" for each in wrong[:5])
        sys.exit(f"{way} with {len(names)} packages: {len(wrong)} things are not as they should be:{shown}")


def check_kept(way: str, before: Mapping[str, int], after: Mapping[str, int], changed: Iterable[str]) -> None:
    """End the benchmark if other archives were made anew than those of packages that changed."""
    made = {name for name, stamp in after.items() if before.get(name) != stamp}
    expected = {name for name in after for each in changed if name.startswith(f"{workspaces.import_name(each)}-")}
    if made != expected:
        sys.exit(f"{way}: made {sorted(made)} instead of {sorted(expected)}")


def stamps(dist: Path) -> dict[str, int]:
    """The archives with the times they were written."""
    paths = (path for path in (dist.iterdir() if dist.is_dir() else ()) if path.name not in SIDE_FILES)
    return {path.name: path.stat().st_mtime_ns for path in paths}


def contents(archive: Path) -> tuple[str, ...]:
    """The names of the files in an archive, sorted."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return tuple(sorted(name for name in wheel.namelist() if not name.endswith("/")))
    with tarfile.open(archive) as sdist:
        return tuple(sorted(member.name for member in sdist if not member.isdir()))


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def show(todo: Sequence[Way], costs: Mapping[str, Sequence[Run]], size: int, looped: int, runs: int) -> None:
    """Print the table, as Markdown."""

    def median(way: Way, cost: Callable[[Run], float]) -> float:
        return statistics.median(map(cost, costs[way.name])) * size / (looped if way.loop else size)

    def seconds(way: Way) -> float:
        return median(way, lambda run: run.seconds)

    warm, floor = (next(seconds(way) for way in todo if way.name == name) for name in (WARM, FLOOR))

    def row(name: str, took: float, cpu: str, memory: str) -> str:
        cells = (
            f"{took:.2f}",
            f"{took / warm:.2f}",
            f"{took / floor:.2f}",
            f"{1000 * took / size:.0f}",
            cpu,
            memory,
        )
        return f"| {name} | {' | '.join(cells)} |"

    print("| | seconds | to relnox, warm | to the floor | ms per package | CPU seconds | peak memory, MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way in todo:
        took, cpu = seconds(way), median(way, lambda run: run.cpu)
        memory = max(run.memory for run in costs[way.name])
        how = [f"loop, from {looped} packages"] * (way.loop and looped < size)
        how += ["run once"] * (len(costs[way.name]) < runs)
        name = f"{way.name} ({'; '.join(how)})" if how else way.name
        print(row(name, took, f"{cpu:.2f}", f"{memory / bump.MEBIBYTE:.0f}" if memory else ""))
        if way.name == FLOOR:
            print(row(f"the same, over {cores()} cores", took / cores(), "", ""))


if __name__ == "__main__":
    main()
