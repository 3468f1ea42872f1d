"""Time of publishing: relnox against `twine upload` and `uv publish`, with and without `--check-url`.

All upload the same small archives to the embedded index, which runs in its own process and delays each request,
and each upload even more. The tools run interleaved, each with an empty index; afterwards the index must have
every file. relnox reads the index before and after the uploads, and its time includes that. The last table is a
run for which all files exist already.

    python -m benchmarks.publish [RUNS] [--files 1 20 200] [--latency 0 50 200] [--server 0 150] [--no-peers]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILES_OF_A_PROJECT = 2
"""A wheel and an sdist; a single file is a wheel."""
RESUMED = (50, 10)
"""Projects, and files of each, of the run for which all files exist already."""
TOKEN = "any"  # the embedded index accepts any token


class Case(NamedTuple):
    """Number of files, and delays of the index: milliseconds for each request, and more for each upload."""

    files: int
    latency: int
    server: int


class Release(NamedTuple):
    """A workspace with built archives, and the index to publish them to."""

    root: Path
    upload: str
    simple: str

    @property
    def archives(self) -> list[str]:
        """The files, as arguments for the other tools."""
        dist = self.root / "dist"
        return [str(path) for path in sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])]


class Tool(NamedTuple):
    """A tool that publishes."""

    name: str
    words: Callable[[Release], list[str]]


def relnox(_release: Release) -> list[str]:
    return [sys.executable, "-m", "relnox", "publish", "--index", "own"]


def twine(release: Release) -> list[str]:
    options = ["--non-interactive", "--disable-progress-bar", "--repository-url", release.upload]
    return [sys.executable, "-m", "twine", "upload", *options, "-u", "__token__", "-p", TOKEN, *release.archives]


def uv(release: Release) -> list[str]:
    return [sys.executable, "-m", "uv", "publish", "--publish-url", release.upload, "-t", TOKEN, *release.archives]


def uv_checking(release: Release) -> list[str]:
    return [*uv(release), "--check-url", release.simple]


RELNOX = Tool("relnox", relnox)
PEERS = (Tool("twine upload", twine), Tool("uv publish", uv), Tool("uv publish --check-url", uv_checking))


def workspace(root: Path, projects: int, wheels: int, *, sdist: bool) -> None:
    """Write projects, their built archives and the manifest."""
    dist = root / "dist"
    dist.mkdir(parents=True)
    artifacts: list[dict[str, object]] = []
    for number in range(projects):
        name = f"project-{number}"
        directory = root / "packages" / name
        directory.mkdir(parents=True)
        system = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        (directory / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\n{system}')
        stem = f"project_{number}-1.0"
        tags = ["py3-none-any", *(f"cp3{minor}-none-any" for minor in range(5, 4 + wheels))]
        paths = [wheel(dist / f"{stem}-{tag}.whl", name, stem) for tag in tags]
        if sdist:
            paths.append(source(dist / f"{stem}.tar.gz", name, stem))
        for path in paths:
            content = path.read_bytes()
            hashes = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "blake2b_256": hashlib.blake2b(content, digest_size=32).hexdigest(),
            }
            kind = "wheel" if path.suffix == ".whl" else "sdist"
            entry = {"name": path.name, "path": path.name, "kind": kind, "size": len(content)}
            artifacts.append({**entry, "hashes": hashes, "package": name, "package_version": "1.0"})
    document: dict[str, object] = {
        "version": "1.0",
        "artifacts": artifacts,
        "commit": None,
        "dirty": False,
        "time": "2026-01-01T00:00:00+00:00",
        "needs": {},
    }
    (dist / "manifest.json").write_text(json.dumps(document))


def wheel(path: Path, name: str, stem: str) -> Path:
    """Write a wheel of one module."""
    info = f"{stem}.dist-info"
    tag = "-".join(path.stem.split("-")[2:])
    members = {
        f"{stem.partition('-')[0]}.py": "x = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    members[f"{info}/RECORD"] = "".join(
        f"{member},sha256={_record_digest(text)},{len(text)}\n" for member, text in members.items()
    )
    members[f"{info}/RECORD"] += f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def _record_digest(text: str) -> str:
    """Encode the hash of a member for RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def source(path: Path, name: str, stem: str) -> Path:
    """Write an sdist without modules."""
    with tarfile.open(path, "w:gz") as archive:
        for member in ("PKG-INFO", "pyproject.toml"):
            content = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
            member_info = tarfile.TarInfo(f"{stem}/{member}")
            member_info.size = len(content)
            archive.addfile(member_info, io.BytesIO(content))
    return path


@contextlib.contextmanager
def index(root: Path, case: Case) -> Iterator[Release]:
    """Start an empty index in its own process, and configure the workspace for it."""
    directory = Path(tempfile.mkdtemp(dir=root.parent))
    command = [sys.executable, "-m", "benchmarks.slow_index", str(directory), str(case.latency), str(case.server)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        upload, simple = running.stdout.readline().split()
        (root / "pyproject.toml").write_text(
            '[tool.relnox]\npackages = ["packages/*"]\n[tool.relnox.indexes.own]\n'
            f'upload = "{upload}"\nsimple = "{simple}"\nproduction = false\n'
        )
        yield Release(root, upload, simple)
        running.stdin.close()
        running.wait()
    shutil.rmtree(directory)


def timed(tool: Tool, release: Release) -> float:
    """Run a tool; return the seconds it takes."""
    environment = {
        **os.environ,
        "RELNOX_OWN_TOKEN": TOKEN,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    begin = time.perf_counter()
    ran = subprocess.run(
        tool.words(release), cwd=release.root, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if ran.returncode != 0:
        raise SystemExit(f"{tool.name} failed:\n{ran.stdout}{ran.stderr}")
    return seconds


def check(release: Release) -> None:
    """Check that the index has every file."""
    served = set()
    for directory in (release.root / "packages").iterdir():
        request = urllib.request.Request(
            f"{release.simple}{directory.name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        with urllib.request.urlopen(request) as response:
            served |= {file["filename"] for file in json.load(response)["files"]}
    missing = {Path(name).name for name in release.archives} - served
    if missing:
        raise SystemExit(f"the index lacks {', '.join(sorted(missing))}")


def compare(case: Case, tools: tuple[Tool, ...], runs: int, directory: Path) -> None:
    """Print the times of all tools."""
    root = directory / f"{case.files}"
    if not root.exists():
        projects = max(1, case.files // FILES_OF_A_PROJECT)
        workspace(root, projects, wheels=1, sdist=case.files > 1)
    times: dict[str, list[float]] = {tool.name: [] for tool in tools}
    for number in range(runs):
        for tool in tools[number % len(tools) :] + tools[: number % len(tools)]:
            with index(root, case) as release:
                times[tool.name].append(timed(tool, release))
                check(release)
    own = statistics.median(times[RELNOX.name])
    print(f"\n{case.files} files, {case.latency} ms a request, {case.server} ms more an upload")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"  {name:<24} {median:7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {median / own:5.1f} x")


def resume(latency: int, runs: int, directory: Path) -> None:
    """Print the time of a run for which all files exist already."""
    projects, files = RESUMED
    root = directory / "resumed"
    workspace(root, projects, wheels=files - 1, sdist=True)
    case = Case(projects * files, latency, 0)
    with index(root, case) as release:
        timed(RELNOX, release)
        check(release)
        seconds = [timed(RELNOX, release) for _ in range(runs)]
    print(f"\n{projects} projects of {files} files that exist already, {latency} ms a request")
    print(f"  {RELNOX.name:<24} {statistics.median(seconds):7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=3, help="how often each tool runs")
    parser.add_argument("--files", nargs="+", type=int, default=[1, 20, 200], help="how many files to upload")
    parser.add_argument("--latency", nargs="+", type=int, default=[0, 50, 200], help="milliseconds a request")
    parser.add_argument("--server", nargs="+", type=int, default=[0, 150], help="milliseconds more an upload")
    parser.add_argument("--no-peers", action="store_true", help="run relnox only")
    options = parser.parse_args()
    tools = (RELNOX,) if options.no_peers else (RELNOX, *PEERS)
    with tempfile.TemporaryDirectory() as directory:
        for files in options.files:
            for latency in options.latency:
                for server in options.server:
                    compare(Case(files, latency, server), tools, options.runs, Path(directory))
        resume(50, options.runs, Path(directory))


if __name__ == "__main__":
    main()
