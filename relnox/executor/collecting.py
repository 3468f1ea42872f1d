"""From many jobs' folders to one: files proven by hash, whole or not there, and the manifest of them all.

An attestation goes along with the file that it is of, byte by byte: what was signed cannot be written anew.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.building.archives import digests
from relnox.core.manifest import MANIFEST_JSON, MANIFEST_TEXT
from relnox.errors import Failed
from relnox.files import TemporaryFolder, has_leftovers, make_output, replace_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.core.steps import Collect, WriteCollection
    from relnox.executor.run import Run

__all__ = ["Collecting", "WritingCollection"]

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_READABLE = 0o644


@dataclass
class Collecting:
    """Copies one package's files to where a release takes them from."""

    step: Collect
    run: Run

    def check(self) -> str | None:
        """Done when all of them are there with their bytes."""
        return None if self._missing() else f"{self.step.output} has all {self._count}"

    def do(self) -> None:
        """Copy what is not there."""
        output = self.run.root / self.step.output
        try:
            make_output(output)
            with TemporaryFolder(output) as staging:
                for folder, name, sha256 in self._missing():
                    _copy(self.run.root / folder / name, output / name, sha256, staging.path)
        except OSError as error:
            raise Failed(
                "todo",
                f"{self.step.package}: {error.filename or self.step.output} cannot be copied: {error.strerror}",
                fix="free the disk or mend the permissions, then type the same command again",
            ) from error

    def verify(self) -> str:
        """They are there with their bytes."""
        if missing := self._missing():
            raise Failed(
                "todo",
                f"{self.step.output}/{missing[0][1]} is not as it was copied",
                fix="who else writes into that folder?",
            )
        return f"{self._count}, with the hashes that their jobs told"

    @property
    def _count(self) -> str:
        signed = len(self.step.attestations)
        return f"{len(self.step.files)} files" + (f" and {signed} attestations" if signed else "")

    def _missing(self) -> list[tuple[str, str, str]]:
        """The folder, the name and the SHA-256 of what is to be copied."""
        output = self.run.root / self.step.output
        files = [(folder, file.filename, file.sha256) for folder, file in self.step.files]
        wanted = [*files, *self.step.attestations]
        return [each for each in wanted if not _is_there(output / each[1], each[2])]


@dataclass
class WritingCollection:
    """Writes the one manifest, in both spellings."""

    step: WriteCollection
    run: Run

    def check(self) -> str | None:
        """Done when both spellings are there as they should be, and nothing that a killed run left."""
        present = all(path.is_file() and path.read_bytes() == content for path, content in self._spellings())
        present = present and not has_leftovers(self.run.root / self.step.output)
        return f"{self.step.output}/{MANIFEST_JSON} says so already" if present else None

    def do(self) -> None:
        """Write the spelling for people first: the other one is what counts."""
        sync_folder(self.run.root / self.step.output)  # what the manifest names is on the disk before it
        for path, content in self._spellings():
            replace_file(path, content, keep_mode=False)

    def verify(self) -> str:
        """Both are there."""
        if self.check() is None:
            raise Failed(
                "todo",
                f"{self.step.output}/{MANIFEST_JSON} does not read as it was written",
                fix="does something else write it?",
            )
        return f"{self.step.output}/{MANIFEST_JSON}"

    def _spellings(self) -> tuple[tuple[Path, bytes], ...]:
        output, manifest = self.run.root / self.step.output, self.step.manifest
        return (
            (output / MANIFEST_TEXT, manifest.to_text().encode()),
            (output / MANIFEST_JSON, manifest.to_json().encode()),
        )


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and digests(path).sha256 == sha256


def _copy(source: Path, target: Path, sha256: str, staging: Path) -> None:
    """Copy a file so that it has its name only when all of it is on the disk, and is what it should be."""
    staged = staging / target.name
    copied = hashlib.sha256()
    with source.open("rb") as content, os.fdopen(os.open(staged, _NEW, _READABLE), "wb") as out:
        while chunk := content.read(_CHUNK):
            copied.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if copied.hexdigest() != sha256:
        raise Failed(
            "todo",
            f"{source} changed while it was collected: its hash is not the one that was looked at",
            fix="who writes into that folder? fetch what the job made again",
        )
    staged.replace(target)
