"""Releases that are built already: small archives, their manifest, and a project whose index is where a test says.

`release` makes the archives of whole packages; `project_of` makes a project of archives that a test brings. And a
clock that is advanced when all threads wait, so that an hour of it takes a moment.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

import packed
import running
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from projects import write

from relnox.building.archives import hash_file
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.indexes.index import Index as IndexClient
from relnox.indexes.targets import Target
from relnox.system import retries
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from running import RunResult

INDEX = "own"


class Index(Protocol):
    """An index that runs."""

    @property
    def upload_url(self) -> str: ...

    @property
    def simple_url(self) -> str: ...


class Package(NamedTuple):
    """What is in a release: a name, the packages it needs, how many wheels it has beside its sdist."""

    name: str
    needs: tuple[str, ...] = ()
    wheels: int = 1
    sdist: bool = True


def release(root: Path, packages: Sequence[Package], *, version: str = "1.0", content: str = "") -> Manifest:
    """A workspace with these packages, in release order, and their archives with the manifest in `dist`."""
    (root / "dist").mkdir(parents=True, exist_ok=True)
    write(root, {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\n'})
    paths: list[Path] = []
    for package in packages:
        requires = list(package.needs)
        write(
            root,
            {
                f"packages/{package.name}/pyproject.toml": f'[project]\nname = "{package.name}"\n'
                f'version = "{version}"\ndependencies = {json.dumps(requires)}\n'
                '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            },
        )
        stem = f"{package.name.replace('-', '_')}-{version}"
        lines = [f"Requires-Dist: {name}" for name in requires]
        metadata = "\n".join(
            ["Metadata-Version: 2.1", f"Name: {package.name}", f"Version: {version}", *lines, "", ""]
        )
        module = {f"{package.name.replace('-', '_')}.py": content}
        tags = ["py3-none-any", *(f"cp3{minor}-none-any" for minor in range(10, 9 + package.wheels))]
        paths += [
            packed.wheel(root / "dist", module, name=f"{stem}-{tag}.whl", metadata=metadata)
            for tag in tags[: package.wheels]
        ]
        if package.sdist:
            sources = {"PKG-INFO": metadata, "pyproject.toml": "", **module}
            paths.append(packed.sdist(root / "dist", sources, name=f"{stem}.tar.gz", top=stem))
    return write_manifest(root, paths, {package.name: package.needs for package in packages})


def made_wheel(
    directory: Path,
    name: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    version: str = "1.0",
    requires: Iterable[str] = (),
    fields: Iterable[str] = (),
    python: str = ">=3.8",
    entries: str = "",
    tag: str = "py3-none-any",
    record: str | None = None,
) -> Path:
    """A wheel of a package.

    Args:
        directory: Where to.
        name: Of the package; it has a module of that name, unless there are files.
        files: What is in it.
        version: Its version.
        requires: What it requires.
        fields: More lines of its metadata.
        python: Its `Requires-Python`.
        entries: Its `entry_points.txt`.
        tag: What it is for.
        record: Its RECORD, where that is not right.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.5", f"Name: {name}", f"Version: {version}", f"Requires-Python: {python}"]
    lines += [*(f"Requires-Dist: {each}" for each in requires), *fields]
    content = {f"{name.replace('-', '_')}.py": ""} if files is None else files
    directory.mkdir(parents=True, exist_ok=True)
    return packed.wheel(
        directory,
        {**content, f"{stem}.dist-info/entry_points.txt": entries},
        name=f"{stem}-{tag}.whl",
        metadata="\n".join([*lines, "", ""]),
        record=record,
    )


def made_sdist(
    directory: Path, name: str, files: Mapping[str, str] | None = None, *, version: str = "1.0"
) -> Path:
    """An sdist of a package, with these files and what an sdist must have."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"
    content = {"PKG-INFO": metadata, "pyproject.toml": "", **(files or {})}
    return packed.sdist(directory, content, name=f"{stem}.tar.gz", top=stem)


def project_of(
    root: Path, *paths: Path, settings: str = "", needs: Mapping[str, Iterable[str]] | None = None
) -> Manifest:
    """Make a directory a project that has built these archives.

    Args:
        root: The project's directory; the archives are in its directory `dist`.
        paths: The archives.
        settings: More of `[tool.relnox]`.
        needs: What the packages need of one another.
    """
    versions = {file.package: file.version for file in map(described, paths)}
    listed = ", ".join(f'"{name}"' for name in versions)
    text = f'[tool.relnox]\npackages = [{listed}]\nversions = "independent"\n{settings}'
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    for name, version in versions.items():
        (root / name).mkdir(exist_ok=True)
        (root / name / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "{version}"\ndynamic = ["optional-dependencies"]\n',
            encoding="utf-8",
        )
    return write_manifest(root, paths, {name: (needs or {}).get(name, ()) for name in versions})


def described(path: Path) -> Distribution:
    """What a manifest tells of a file, by its name and content; it may hold anything."""
    found = hash_file(path)
    if is_wheel := path.suffix == ".whl":
        name, version, _, _ = parse_wheel_filename(path.name)
    else:
        name, version = parse_sdist_filename(path.name)
    return Distribution(
        package=name,
        version=version,
        filename=path.name,
        kind="wheel" if is_wheel else "sdist",
        size=found.size,
        sha256=found.sha256,
        blake2b_256=found.blake2b_256,
    )


def write_manifest(
    root: Path, paths: Iterable[Path], needs: Mapping[str, Iterable[str]], *, commit: str | None = None
) -> Manifest:
    """Write the manifest of what was built into `dist`, as the last thing that `build-all` does."""
    manifest = Manifest(
        distributions=tuple(map(described, paths)),
        commit=commit,
        dirty=False,
        time="2026-01-01T00:00:00+00:00",
        needs=tuple((name, tuple(needed)) for name, needed in needs.items()),
    )
    (root / "dist" / MANIFEST_JSON).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def publish(root: Path, index: Index, *options: str, code: int | None = None) -> RunResult:
    """Publish what is in `dist` to an index, in the process of the test."""
    return publish_to(root, index.upload_url, index.simple_url, *options, code=code)


def publish_to(
    root: Path, upload: str, simple: str, *options: str, production: bool = False, code: int | None = None
) -> RunResult:
    """Publish to these addresses."""
    write(
        root,
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\n'
            f'[tool.relnox.indexes.{INDEX}]\nupload = "{upload}"\nsimple = "{simple}"\n\n'
            f"production = {str(production).lower()}\npublic-rules = {str(production).lower()}\n"
        },
    )
    return running.run_in_process(root, "publish", "--index", INDEX, *options, code=code)


def reading(simple_url: str) -> IndexClient:
    """An index that is read, as relnox reads it."""
    return IndexClient(Target("own", simple_url, simple_url), {})


def public(index: Index, manifest: Manifest) -> dict[str, str]:
    """SHA-256 by name of all that an index holds of a manifest's packages."""
    return {
        name: file.sha256 or ""
        for package in manifest.packages
        for name, file in reading(index.simple_url).fetch_listing(package).items()
    }


def is_whole(index: Index, manifest: Manifest) -> bool:
    """Whether an index holds exactly the manifest's files, byte for byte."""
    return public(index, manifest) == {file.filename: file.sha256 for file in manifest.distributions}


class SimulatedClock(retries.Clock):
    """A clock that advances to the end of the next wait when no request is active.

    Args:
        grace: Seconds of real time that threads have, which neither ask nor wait, before it goes on.
    """

    def __init__(self, grace: float = 0.0005) -> None:
        self._grace = grace
        self._start = datetime.now(UTC)
        self._passed = 0.0
        self._lock = threading.Lock()
        self._waits: list[float] = []

    def monotonic(self) -> float:
        return self._passed

    def utc_now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def time(self) -> float:
        """Seconds since 1970, for an index that lives by the same clock."""
        return self.utc_now().timestamp()

    def pause(self, seconds: float, woken: threading.Event) -> None:
        with self._lock:
            until = self._passed + seconds
            self._waits.append(until)
        while self._passed < until and not woken.wait(self._grace):
            with self._lock:
                if len(current_scope()._waits) <= len(self._waits):  # the others are requests
                    self._passed = max(self._passed, min(self._waits))
        with self._lock:
            self._waits.remove(until)
