"""What publishing costs: relnox against `twine upload` and `uv publish`, with and without `--check-url`.

All send the same small archives to the embedded index, which runs in a process of its own and takes its time over
each request, and over each upload. The ways run interleaved, each with an empty index, and afterwards it is seen
whether the index has every file. relnox alone looks at the index before and after, which is part of its time.
The last table is a run that finds everything there already.

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
"""Projects, and files of each, of the run that finds everything there."""
TOKEN = "any"  # the embedded index takes whatever it is given

INDEX = """\
import sys
from pathlib import Path
from relnox.indexes.embedded import EmbeddedIndex
from relnox.indexes.embedded.faults import Rule, Wait

folder, latency, server = sys.argv[1:]
waits = [Rule(Wait(int(latency) / 1000), on="any"), Rule(Wait(int(server) / 1000))]
with EmbeddedIndex(Path(folder), faults=waits) as index:
    print(index.upload_url, index.simple_url, flush=True)
    sys.stdin.read()
"""


class Case(NamedTuple):
    """What is sent, and how slow the index is: milliseconds for each request, and more for each upload."""

    files: int
    latency: int
    server: int


class Place(NamedTuple):
    """A workspace with built archives, and the index that they go to."""

    root: Path
    upload: str
    simple: str

    @property
    def archives(self) -> list[str]:
        """The files, as peers are given them."""
        dist = self.root / "dist"
        return [str(path) for path in sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])]


class Way(NamedTuple):
    """One way to publish."""

    name: str
    words: Callable[[Place], list[str]]


def relnox(_place: Place) -> list[str]:
    return [sys.executable, "-m", "relnox", "publish", "--index", "own"]


def twine(place: Place) -> list[str]:
    options = ["--non-interactive", "--disable-progress-bar", "--repository-url", place.upload]
    return [sys.executable, "-m", "twine", "upload", *options, "-u", "__token__", "-p", TOKEN, *place.archives]


def uv(place: Place) -> list[str]:
    return [sys.executable, "-m", "uv", "publish", "--publish-url", place.upload, "-t", TOKEN, *place.archives]


def uv_checking(place: Place) -> list[str]:
    return [*uv(place), "--check-url", place.simple]


OWN = Way("relnox", relnox)
PEERS = (Way("twine upload", twine), Way("uv publish", uv), Way("uv publish --check-url", uv_checking))


def workspace(root: Path, projects: int, wheels: int, *, sdist: bool) -> None:
    """Built archives of some projects with their manifest, and the projects they are of."""
    dist = root / "dist"
    dist.mkdir(parents=True)
    artifacts: list[dict[str, object]] = []
    for number in range(projects):
        name = f"project-{number}"
        folder = root / "packages" / name
        folder.mkdir(parents=True)
        system = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\n{system}')
        stem = f"project_{number}-1.0"
        tags = ["py3-none-any", *(f"cp3{minor}-none-any" for minor in range(5, 4 + wheels))]
        made = [wheel(dist / f"{stem}-{tag}.whl", name, stem) for tag in tags]
        if sdist:
            made.append(source(dist / f"{stem}.tar.gz", name, stem))
        for path in made:
            content = path.read_bytes()
            hashes = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "blake2b_256": hashlib.blake2b(content, digest_size=32).hexdigest(),
            }
            kind = "wheel" if path.suffix == ".whl" else "sdist"
            known = {"name": path.name, "path": path.name, "kind": kind, "size": len(content)}
            artifacts.append({**known, "hashes": hashes, "package": name, "package_version": "1.0"})
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
    """A wheel of one module."""
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
    """The hash of a member as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def source(path: Path, name: str, stem: str) -> Path:
    """An sdist without anything in it."""
    with tarfile.open(path, "w:gz") as archive:
        for member in ("PKG-INFO", "pyproject.toml"):
            content = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
            told = tarfile.TarInfo(f"{stem}/{member}")
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))
    return path


@contextlib.contextmanager
def index(root: Path, case: Case) -> Iterator[Place]:
    """An empty index in a process of its own, which the workspace's settings name."""
    folder = Path(tempfile.mkdtemp(dir=root.parent))
    command = [sys.executable, "-c", INDEX, str(folder), str(case.latency), str(case.server)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        upload, simple = running.stdout.readline().split()
        (root / "pyproject.toml").write_text(
            '[tool.relnox]\npackages = ["packages/*"]\n[tool.relnox.indexes.own]\n'
            f'upload = "{upload}"\nsimple = "{simple}"\nproduction = false\n'
        )
        yield Place(root, upload, simple)
        running.stdin.close()
        running.wait()
    shutil.rmtree(folder)


def timed(way: Way, place: Place) -> float:
    """How long a way takes, in seconds."""
    environment = {
        **os.environ,
        "RELNOX_OWN_TOKEN": TOKEN,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    begin = time.perf_counter()
    ran = subprocess.run(
        way.words(place), cwd=place.root, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if ran.returncode != 0:
        raise SystemExit(f"{way.name} failed:\n{ran.stdout}{ran.stderr}")
    return seconds


def check(place: Place) -> None:
    """See that the index has every file."""
    there = set()
    for folder in (place.root / "packages").iterdir():
        request = urllib.request.Request(
            f"{place.simple}{folder.name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        with urllib.request.urlopen(request) as answer:
            there |= {file["filename"] for file in json.load(answer)["files"]}
    missing = {Path(name).name for name in place.archives} - there
    if missing:
        raise SystemExit(f"the index lacks {', '.join(sorted(missing))}")


def compare(case: Case, ways: tuple[Way, ...], runs: int, folder: Path) -> None:
    """Print how long each way takes."""
    root = folder / f"{case.files}"
    if not root.exists():
        projects = max(1, case.files // FILES_OF_A_PROJECT)
        workspace(root, projects, wheels=1, sdist=case.files > 1)
    took: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(runs):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            with index(root, case) as place:
                took[way.name].append(timed(way, place))
                check(place)
    own = statistics.median(took[OWN.name])
    print(f"\n{case.files} files, {case.latency} ms a request, {case.server} ms more an upload")
    for name, seconds in took.items():
        median = statistics.median(seconds)
        print(f"  {name:<24} {median:7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {median / own:5.1f} x")


def resume(latency: int, runs: int, folder: Path) -> None:
    """Print how long it takes to see that everything is there."""
    projects, files = RESUMED
    root = folder / "resumed"
    workspace(root, projects, wheels=files - 1, sdist=True)
    case = Case(projects * files, latency, 0)
    with index(root, case) as place:
        timed(OWN, place)
        check(place)
        seconds = [timed(OWN, place) for _ in range(runs)]
    print(f"\n{projects} projects of {files} files that are all there, {latency} ms a request")
    print(f"  {OWN.name:<24} {statistics.median(seconds):7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=3, help="how often each way runs")
    parser.add_argument("--files", nargs="+", type=int, default=[1, 20, 200], help="how many files are sent")
    parser.add_argument("--latency", nargs="+", type=int, default=[0, 50, 200], help="milliseconds a request")
    parser.add_argument("--server", nargs="+", type=int, default=[0, 150], help="milliseconds more an upload")
    parser.add_argument("--no-peers", action="store_true", help="relnox alone")
    options = parser.parse_args()
    ways = (OWN,) if options.no_peers else (OWN, *PEERS)
    with tempfile.TemporaryDirectory() as folder:
        for files in options.files:
            for latency in options.latency:
                for server in options.server:
                    compare(Case(files, latency, server), ways, options.runs, Path(folder))
        resume(50, options.runs, Path(folder))


if __name__ == "__main__":
    main()
