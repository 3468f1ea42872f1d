"""Collect the archives of build jobs, compared by hash.

Attestations are copied unchanged with their files, since a signature cannot be created a second time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from packaging.version import Version

from relnox.building import file_hashes
from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.steps.built_archives import staging_directory
from relnox.steps.run import Run
from relnox.system.files import sync

_CHUNK_SIZE = 1 << 20
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FILE_MODE = 0o644


class Collect(Step, kw_only=True):
    """Copy the files of one package from the directories of build jobs, unless they are in the output directory.

    Attributes:
        files: Pairs of a directory and a file in that directory.
        attestations: The attestations of the files (PEP 740), each as its directory, name and SHA-256.
    """

    exclusive = True
    package: str
    version: Version
    files: tuple[tuple[str, Distribution], ...]
    attestations: tuple[tuple[str, str, str], ...] = ()
    output: str

    @property
    def key(self) -> str:
        return f"collect {self.package}"

    @property
    def title(self) -> str:
        files = join_names([file.filename for _, file in self.files])
        attestations = f", and {format_count(len(self.attestations), 'attestation')}" if self.attestations else ""
        return f"collect {self.package} {self.version} into {self.output}: {files}{attestations}"

    def done(self, run: Run) -> str | None:
        if self._missing_files(run):
            return None
        signed = f" and {format_count(len(self.attestations), 'attestation')}" if self.attestations else ""
        return (
            f"{self.output} has {format_count(len(self.files), 'file')}{signed} with the hashes of the manifests"
        )

    def apply(self, run: Run) -> None:
        output = run.root / self.output
        try:
            with staging_directory(output, self.package) as staging:
                for directory, name, sha256 in self._missing_files(run):
                    _copy(run.root / directory / name, output / name, sha256, staging)
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
    return path.is_file() and file_hashes.hash_file(path).sha256 == sha256


def _copy(source: Path, target: Path, sha256: str, staging: Path) -> None:
    """Copy a file; it gets its final name only when it is completely on the disk and its hash is correct."""
    staged_file = staging / target.name
    digest = hashlib.sha256()
    with source.open("rb") as content, os.fdopen(os.open(staged_file, _CREATE_FLAGS, _FILE_MODE), "wb") as out:
        while chunk := content.read(_CHUNK_SIZE):
            digest.update(chunk)
            out.write(chunk)
        sync(out)
    if digest.hexdigest() != sha256:
        raise Failed(
            "file-changed",
            f"{source} changed while it was copied (its hash differs from the manifest's)",
            fix="stop other programs that write into that directory, then rerun the command",
        )
    staged_file.replace(target)
