"""Write the manifest of a build, and collect the files of build jobs.

Attestations are copied unchanged with their files, since a signature cannot be created a second time.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import Version

from relnox.building import archives
from relnox.core import graph
from relnox.core.planning.step import Step
from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT, Distribution, Manifest, PublishingPolicy
from relnox.core.requirements import transitive_dependencies_among
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.steps.built_archives import archive_staging_directory, built_packages, move_files
from relnox.steps.run import Run
from relnox.system.files import replace_file


class WriteManifest(Step, key="manifest", title="write the manifest into {self.output}"):
    """Write the manifest, which lists the built files with their hashes, as JSON and as text.

    Attributes:
        output: The directory to write it to, which has the files, relative to the root.
        commit: The full id of the built commit or, if the working tree is built, of HEAD; None if there is none.
        dirty: Whether uncommitted changes were built.
        dependencies: Pairs of a package and the packages of this build that its sources require.
        policy: What publishing without a checkout needs to know; None outside git.
    """

    exclusive = True
    atomic = True
    output: str
    commit: str | None
    dirty: bool
    dependencies: tuple[tuple[str, tuple[str, ...]], ...]
    policy: PublishingPolicy | None = None

    def apply(self, run: Run) -> Manifest:
        output = run.root / self.output
        packages = built_packages(run)
        needs = {name: set(siblings) for name, siblings in self.dependencies}
        requirements = {name: package.requires for name, package in packages.items()}  # also those of a build hook
        for name, siblings in transitive_dependencies_among(requirements).items():
            needs[name] |= siblings
        failed_packages = {step.package_invalidated_by_failure for step in run.unsuccessful}
        failed = needs.keys() & failed_packages
        if failed and failed == needs.keys():
            raise Failed(
                "build-failed",
                "no package was built completely; no manifest was written",
                fix="fix the first failure above, then rerun the command",
            )
        order = [name for wave in graph.sort_into_waves(needs) for name in wave if name not in failed]
        manifest = Manifest(
            distributions=tuple(file for name in order if name in packages for file in packages[name].files),
            commit=self.commit,
            dirty=self.dirty,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            needs=tuple((name, tuple(sorted(graph.reachable_names([name], needs) - {name}))) for name in order),
            missing=tuple(sorted(failed)),
            policy=self.policy,
        )
        output.mkdir(parents=True, exist_ok=True)
        _write_manifest_files(output, manifest)
        return manifest

    def verify(self, run: Run, result: Manifest) -> str:
        """Return the path of the manifest, and the packages that it lacks because a step for them failed."""
        del run
        without = f", without {', '.join(result.missing)}" if result.missing else ""
        return f"{self.output}/{MANIFEST_JSON}{without}"


class Collect(Step, key="collect {self.package}"):
    """Copy the files of one package from the directories of several build jobs to one, unless it has them.

    Attributes:
        files: Pairs of a build job's directory, relative to the root, and a file in it.
        attestations: The attestations of the files (PEP 740), as triples of such a directory, a file name and the
            SHA-256 of the attestation.
        output: The directory to copy to, relative to the root.
    """

    exclusive = True
    package: str
    version: Version
    files: tuple[tuple[str, Distribution], ...]
    attestations: tuple[tuple[str, str, str], ...] = ()
    output: str

    @property
    def title(self) -> str:
        files = join_names([file.filename for _, file in self.files])
        attestations = f", and {format_count(len(self.attestations), 'attestation')}" if self.attestations else ""
        return f"collect {self.package} {self.version} into {self.output}: {files}{attestations}"

    def reason_to_skip(self, run: Run) -> str | None:
        if self._missing_files(run):
            return None
        signed = f" and {format_count(len(self.attestations), 'attestation')}" if self.attestations else ""
        return (
            f"{self.output} has {format_count(len(self.files), 'file')}{signed} with the hashes of the manifests"
        )

    def apply(self, run: Run) -> None:
        output = run.root / self.output
        try:
            with archive_staging_directory(output, self.package) as staging:
                for directory, name, sha256 in self._missing_files(run):
                    _copy_file(run.root / directory / name, output / name, sha256, staging)
        except OSError as error:
            raise Failed(
                "clone-failed",
                f"{self.package}: cannot copy {error.filename or self.output} ({error.strerror})",
                fix="free disk space or correct the permissions, then rerun the command",
            ) from error

    def _missing_files(self, run: Run) -> list[tuple[str, str, str]]:
        """Return the directory, name and SHA-256 of each file that is not copied yet."""
        files = [(directory, file.filename, file.sha256) for directory, file in self.files]
        return [
            (directory, name, sha256)
            for directory, name, sha256 in (*files, *self.attestations)
            if not _has_hash(run.root / self.output / name, sha256)
        ]


def _has_hash(path: Path, sha256: str) -> bool:
    """Return whether there is a file at `path` with this SHA-256 (hex)."""
    return path.is_file() and archives.hash_file(path).sha256 == sha256


def _copy_file(source: Path, target: Path, sha256: str, staging: Path) -> None:
    """Copy a file to the directory `staging`, and move it to `target` from there, over an existing file.

    Raises:
        Failed: The copy does not have the hash `sha256` (hex); `target` is not changed.
    """
    staged_file = staging / target.name
    shutil.copyfile(source, staged_file)
    if not _has_hash(staged_file, sha256):
        raise Failed(
            "file-changed",
            f"{source} changed while it was copied (its hash differs from the manifest's)",
            fix="stop other programs that write into that directory, then rerun the command",
        )
    move_files(target.parent, [staged_file])


class WriteMergedManifest(Step, key="manifest"):
    """Write the manifest of the files that `Collect` steps copied from several build jobs, as JSON and as text.

    Attributes:
        output: The directory to write it to, relative to the root.
    """

    exclusive = True
    output: str
    manifest: Manifest

    @property
    def title(self) -> str:
        return f"write the manifest of {format_count(len(self.manifest.distributions), 'file')} into {self.output}"

    def reason_to_skip(self, run: Run) -> str | None:
        forms = _manifest_contents(run.root / self.output, self.manifest)
        is_written = all(path.is_file() and path.read_bytes() == content for path, content in forms.items())
        return f"{self.output}/{MANIFEST_JSON} is up to date" if is_written else None

    def apply(self, run: Run) -> None:
        _write_manifest_files(run.root / self.output, self.manifest)


def _write_manifest_files(output: Path, manifest: Manifest) -> None:
    """Write a manifest to `output` as text, then as JSON, whose existence means that the build is complete."""
    for path, content in _manifest_contents(output, manifest).items():
        replace_file(path, content, durable=True)


def _manifest_contents(output: Path, manifest: Manifest) -> dict[Path, bytes]:
    """Return the content of both files of a manifest in the directory `output`, by path: first text, then JSON."""
    return {
        output / MANIFEST_TEXT: manifest.to_text().encode(),
        output / MANIFEST_JSON: manifest.to_json().encode(),
    }
