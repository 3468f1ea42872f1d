"""Write the manifest of what was built, or collected from several jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from relnox.core import graph
from relnox.core.planning.step import Step
from relnox.core.release import collection
from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT, Manifest
from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.steps.built_archives import BuiltPackage, built_packages
from relnox.steps.run import Run
from relnox.system.files import replace_file


class WriteManifest(Step, kw_only=True):
    """Write the manifest of the built files, as JSON and as text.

    Attributes:
        order: Pairs of a package and the packages that it needs.
    """

    key = "manifest"
    exclusive = True
    atomic = True
    output: str
    commit: str | None
    dirty: bool
    order: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def title(self) -> str:
        return f"write the manifest into {self.output}"

    def apply(self, run: Run) -> Manifest:
        output = run.root / self.output
        packages = built_packages(run)
        needs = self._find_needed_siblings(packages)
        failed_packages = {step.invalidated_package for step in run.unsuccessful}
        failed = needs.keys() & failed_packages
        if failed and failed == needs.keys():
            raise Failed(
                "build-failed",
                "no package was built completely; no manifest was written",
                fix="fix the first failure above, then rerun the command",
            )
        order = [name for wave in graph.waves(needs) for name in wave if name not in failed]
        manifest = Manifest(
            distributions=tuple(file for name in order if name in packages for file in packages[name].files),
            commit=self.commit,
            dirty=self.dirty,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            needs=tuple((name, tuple(sorted(graph.closure([name], needs) - {name}))) for name in order),
            missing=tuple(sorted(failed)),
        )
        output.mkdir(parents=True, exist_ok=True)
        _write_manifest_files(output, manifest)
        return manifest

    def _find_needed_siblings(self, packages: Mapping[str, BuiltPackage]) -> dict[str, set[str]]:
        """Return the siblings that each package requires, according to its sources and the metadata of its wheel.

        Requirements that a build hook adds are in the metadata only.
        """
        needs = {name: set(siblings) for name, siblings in self.order}
        for name, package in packages.items():
            needs[name] |= collection.required_names(package.requires) & needs.keys() - {name}
        return needs

    def verify(self, run: Run, result: Manifest) -> str:
        path = run.root / self.output / MANIFEST_JSON
        if Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path)) != result:
            raise Failed(
                "file-changed",
                f"{path} differs from what was written",
                fix="stop other processes that write into that directory, then rerun the command",
            )
        without = f", without {', '.join(result.missing)}" if result.missing else ""
        return f"{self.output}/{MANIFEST_JSON}{without}"


class WriteMergedManifest(Step, kw_only=True):
    """Write the manifest of the collected files."""

    key = "manifest"
    exclusive = True
    output: str
    manifest: Manifest

    @property
    def title(self) -> str:
        return f"write the manifest of {format_count(len(self.manifest.distributions), 'file')} into {self.output}"

    def done(self, run: Run) -> str | None:
        forms = _manifest_contents(run.root / self.output, self.manifest)
        is_written = all(path.is_file() and path.read_bytes() == content for path, content in forms.items())
        return f"{self.output}/{MANIFEST_JSON} is up to date" if is_written else None

    def apply(self, run: Run) -> None:
        _write_manifest_files(run.root / self.output, self.manifest)


def _write_manifest_files(output: Path, manifest: Manifest) -> None:
    """Write both forms of a manifest, as text and then as JSON: when that form exists, the build is complete."""
    for path, content in _manifest_contents(output, manifest).items():
        replace_file(path, content, durable=True)


def _manifest_contents(output: Path, manifest: Manifest) -> dict[Path, bytes]:
    return {
        output / MANIFEST_TEXT: manifest.to_text().encode(),
        output / MANIFEST_JSON: manifest.to_json().encode(),
    }
