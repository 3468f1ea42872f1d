"""Time of verifying a published workspace: relnox against a loop of `venv`, `pip install` and an import.

All packages are on an index on loopback, each with a module and a script; from the fourth on each requires three
earlier ones, and all require one package of another project. Every tool creates a fresh environment for each
package and each Python, at a new path, and imports the module there. They run interleaved, with caches filled by
an earlier run. The loops run for a few packages, and their times are scaled to all; afterwards, outside the time,
relnox's report must list all installations. Needs uv and POSIX.

    python -m benchmarks.verify_install [RUNS] [--packages 20] [--pythons 3.11 3.12 3.13] [--longest-loop 3]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import bump, workspaces
from benchmarks.build import cores, measure
from relnox.building import archives
from relnox.building.environments import find_interpreter
from relnox.core.release.manifest import Distribution, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.build import Run

EARLIER = 3
THIRD = "third"
PIP, UV = "venv, pip, import: loop", "uv venv, uv pip, import: loop"
RELNOX = "relnox"
TOOLS = {"pip": PIP, "uv": UV, "relnox": RELNOX}


@dataclass(frozen=True)
class Benchmark:
    """Settings of all comparisons.

    Attributes:
        directory: Temporary directory for everything.
        project: The project whose release is verified.
        index: The simple API.
        pythons: Versions with their programs.
        uv: The uv that all use.
        names: The packages.
        looped: Those that the loops install.
    """

    directory: Path
    project: Path
    index: str
    pythons: Mapping[str, Path]
    uv: str
    names: Sequence[str]
    looped: Sequence[str]

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the programs: separate caches, no settings of the user."""
        foreign = ("PIP_", "UV_", "PYTHON")
        variables = {
            name: value for name, value in workspaces.environment().items() if not name.startswith(foreign)
        }
        return variables | {
            "PATH": os.pathsep.join([str(Path(self.uv).parent), os.environ.get("PATH", os.defpath)]),
            "UV_CACHE_DIR": str(self.directory / "uv-cache"),
            "UV_NO_CONFIG": "1",
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, tool: str) -> Run:
        """Run a tool, check its result, remove its environments; return its cost."""
        environments = Path(tempfile.mkdtemp(prefix="environments-", dir=self.directory))
        report = self.directory / "report.json"
        if tool in (PIP, UV):
            calls = [
                call
                for version, python in self.pythons.items()
                for name in self.looped
                for call in self._one(tool, python, environments / f"{name}-{version}", name)
            ]
        else:
            python_options = [word for version in self.pythons for word in ("--python", version)]
            words = (
                "verify-install",
                "--index",
                "bench",
                "--report",
                str(report),
                *python_options,
            )
            calls = [(str(bump.own("relnox")), *words)]
        cost = measure(calls, self.project, self.environment)
        if tool == RELNOX:
            steps = json.loads(report.read_text(encoding="utf-8"))["steps"]
            done = [step for step in steps if step["kind"] == "VerifyInstall" and step["status"] == "success"]
            if len(done) != len(self.names) * len(self.pythons):
                sys.exit(f"{tool} verified {len(done)} installations only")
            return cost
        shutil.rmtree(environments)
        scale = len(self.names) / len(self.looped)
        return cost._replace(seconds=cost.seconds * scale, cpu=cost.cpu * scale)

    def _one(self, tool: str, python: Path, place: Path, name: str) -> Iterator[tuple[str, ...]]:
        inside = str(place / "bin" / "python")
        install_options = ("--index-url", self.index, "--quiet", f"{name}=={workspaces.VERSION}")
        if tool == PIP:
            yield str(python), "-m", "venv", str(place)
            yield inside, "-m", "pip", "install", *install_options
        else:
            yield self.uv, "venv", "--quiet", "--python", str(python), str(place)
            yield self.uv, "pip", "install", "--python", inside, *install_options
        yield inside, "-I", "-c", f"import {workspaces.import_name(name)}"


def main() -> None:
    options = parser().parse_args()
    workspaces.compile_relnox()
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        sys.exit("uv is needed")
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "project" / "dist") as index:
        directory = Path(name)
        names = workspaces.names(options.packages)
        project = release(directory / "project", names, index)
        pythons = {version: find_interpreter(version).path for version in options.pythons}
        looped = typical(names, options.longest_loop)
        bench = Benchmark(directory, project, index, pythons, uv, names, looped)
        tools = tuple(TOOLS[name] for name in options.tools)
        for tool in tools:  # caches are filled, byte code is compiled
            bench.run(tool)
        costs: dict[str, list[Run]] = {tool: [] for tool in tools}
        for _ in range(options.runs):
            for tool in tools:
                costs[tool].append(bench.run(tool))
        print(
            f"Python {sys.version.split()[0]}, {cores()} cores; {len(names)} packages on {', '.join(pythons)}; "
            f"loops run {len(looped)} of them; medians of {options.runs}\n"
        )
        show(costs)


def typical(names: Sequence[str], count: int) -> Sequence[str]:
    """Return at most `count` packages whose cost is, on average, that of all: each from the middle of a part.

    A package requires all before it, so that the last costs most.
    """
    count = min(count, len(names))
    return [names[(2 * part + 1) * len(names) // (2 * count)] for part in range(count)]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare the cost of verifying a release with that of a loop.")
    parser.add_argument("runs", nargs="?", type=int, default=3, metavar="RUNS", help="how often each runs")
    parser.add_argument("--packages", type=int, default=20, help="how many packages there are")
    parser.add_argument("--pythons", nargs="+", default=["3.11", "3.12", "3.13"], help="the Pythons to verify on")
    parser.add_argument("--longest-loop", type=int, default=3, help="how many packages the loops install")
    parser.add_argument(
        "--tools", nargs="+", choices=TOOLS, default=list(TOOLS), help="what to compare relnox with"
    )
    return parser


def release(root: Path, names: Sequence[str], index: str) -> Path:
    """Write a project with built packages, its manifest, and the package that they need."""
    dist = root / "dist"
    dist.mkdir(parents=True)
    wheel(dist, THIRD, ())
    settings = f'trusted-index = "{index}"\n[tool.relnox.indexes.bench]\nupload = "{index}"\nsimple = "{index}"\n'
    (root / "pyproject.toml").write_text(
        f'[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n{settings}', encoding="utf-8"
    )
    files: list[Distribution] = []
    needs: list[tuple[str, tuple[str, ...]]] = []
    for number, name in enumerate(names):
        earlier = tuple(names[number - EARLIER : number]) if number >= EARLIER else ()
        path = wheel(dist, name, (*earlier, THIRD))
        hashes = archives.hash_file(path)
        files.append(
            Distribution(
                package=name,
                version=archives.read_archive(path).version,
                filename=path.name,
                kind="wheel",
                size=hashes.size,
                sha256=hashes.sha256,
                blake2b_256=hashes.blake2b_256,
            )
        )
        closure = {name for direct in earlier for name in (direct, *dict(needs)[direct])}
        needs.append((name, tuple(sorted(closure))))
        own = root / "packages" / name
        own.mkdir(parents=True)
        text = f'[project]\nname = "{name}"\nversion = "{workspaces.VERSION}"\n'
        (own / "pyproject.toml").write_text(text, encoding="utf-8")
    manifest = Manifest(
        distributions=tuple(files), commit=None, dirty=False, time="2026-01-01T00:00:00+00:00", needs=tuple(needs)
    )
    (dist / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return root


def wheel(directory: Path, name: str, requires: Sequence[str]) -> Path:
    """Write a wheel with a package of two modules and a script."""
    module = workspaces.import_name(name)
    stem = f"{module}-{workspaces.VERSION}"
    info = f"{stem}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {workspaces.VERSION}\nRequires-Python: >=3.8\n"
    files = {
        f"{module}/__init__.py": f'__version__ = "{workspaces.VERSION}"\n\n\ndef main():\n    return 0\n',
        f"{module}/more.py": "x = 1\n",
        f"{info}/METADATA": head + "".join(f"Requires-Dist: {requirement}\n" for requirement in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
    }
    rows = [f"{path},sha256={digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for member, text in files.items():
            packed.writestr(member, text)
    return path


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve the wheels of a directory on an index on loopback; yields the URL of its simple API."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "simple":
                wheels = directory.glob(f"{workspaces.import_name(name)}-{workspaces.VERSION}-*.whl")
                links = [
                    f'<a href="/files/{path.name}#sha256={archives.hash_file(path).sha256}">{path.name}</a>'
                    for path in wheels
                ]
                body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
            else:
                body = (directory / Path(name).name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Cache-Control", "max-age=600")  # like the public index
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Print no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()


def show(costs: Mapping[str, Sequence[Run]]) -> None:
    """Print the table, as Markdown."""
    fastest = statistics.median(run.seconds for run in costs[RELNOX])
    print("| | seconds | CPU | relnox is faster |\n|---|---:|---:|---:|")
    for tool, runs in costs.items():
        seconds = statistics.median(run.seconds for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        print(f"| {tool} | {seconds:.1f} | {cpu:.1f} | {seconds / fastest:.1f} x |")


if __name__ == "__main__":
    main()
