"""Releases that are built already: small archives, their manifest, and a project whose index is where a test says.

And a clock that is advanced when nobody does anything but wait, so that an hour of it takes a moment.
"""

from __future__ import annotations

import io
import json
import threading
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import packed
from packaging.version import Version
from projects import write
from running import Ran

from relnox import network
from relnox.building.archives import digests
from relnox.cli import main
from relnox.core.manifest import Distribution, Manifest
from relnox.indexes import client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.indexes.embedded import EmbeddedIndex

__all__ = ["Package", "SimulatedClock", "is_whole", "public", "publish", "publish_to", "release"]

INDEX = "own"


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
    files: list[Distribution] = []
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
        made = [
            packed.wheel(root / "dist", module, name=f"{stem}-{tag}.whl", metadata=metadata)
            for tag in tags[: package.wheels]
        ]
        if package.sdist:
            sources = {"PKG-INFO": metadata, "pyproject.toml": "", **module}
            made.append(packed.sdist(root / "dist", sources, name=f"{stem}.tar.gz", top=stem))
        for path in made:
            found = digests(path)
            files.append(
                Distribution(
                    package=package.name,
                    version=Version(version),
                    filename=path.name,
                    kind="wheel" if path.suffix == ".whl" else "sdist",
                    size=path.stat().st_size,
                    sha256=found.sha256,
                    blake2b_256=found.blake2b_256,
                )
            )
    manifest = Manifest(
        distributions=tuple(files),
        commit=None,
        dirty=False,
        time="2026-01-01T00:00:00Z",
        needs=tuple((package.name, package.needs) for package in packages),
    )
    (root / "dist" / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def publish(root: Path, index: EmbeddedIndex, *options: str) -> Ran:
    """Publish what is in `dist` to an index, in the process of the test."""
    return publish_to(root, index.upload_url, index.simple_url, *options)


def publish_to(
    root: Path, upload: str, simple: str, *options: str, staged: bool = False, production: bool = False
) -> Ran:
    """Publish to these addresses."""
    write(
        root,
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\n'
            f'[tool.relnox.indexes.{INDEX}]\nupload = "{upload}"\nsimple = "{simple}"\n\n'
            f"production = {str(production).lower()}\n"
            f"staged = {str(staged).lower()}\n"
        },
    )
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["publish", "--project", str(root), "--index", INDEX, "--reporter", "plain", *options])
    return Ran(code, out.getvalue(), err.getvalue())


def public(index: EmbeddedIndex, manifest: Manifest) -> dict[str, str]:
    """SHA-256 by name of all that an index holds of a manifest's packages."""
    return {
        name: file.sha256 or ""
        for package in manifest.packages
        for name, file in client.listed_files(index.simple_url, package).items()
    }


def is_whole(index: EmbeddedIndex, manifest: Manifest) -> bool:
    """Whether an index holds exactly the manifest's files, byte for byte."""
    return public(index, manifest) == {file.filename: file.sha256 for file in manifest.distributions}


class SimulatedClock(network.Clock):
    """Goes on when every request has its answer and somebody waits: to the next moment that anybody waits for.

    Args:
        grace: Seconds of real time that threads have, which neither ask nor wait, before it goes on.
    """

    def __init__(self, grace: float = 0.0005) -> None:
        self._grace = grace
        self._start = datetime.now(UTC)
        self._passed = 0.0
        self._lock = threading.Lock()
        self._waits: list[float] = []

    def now(self) -> float:
        return self._passed

    def today(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def time(self) -> float:
        """Seconds since 1970, for an index that lives by the same clock."""
        return self.today().timestamp()

    def pause(self, seconds: float, woken: threading.Event) -> None:
        with self._lock:
            until = self._passed + seconds
            self._waits.append(until)
        while self._passed < until and not woken.wait(self._grace):
            with self._lock:
                if network.requests_under_way() == 0:
                    self._passed = max(self._passed, min(self._waits))
        with self._lock:
            self._waits.remove(until)
