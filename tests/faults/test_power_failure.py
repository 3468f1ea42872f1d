"""Power failures: what is on the disk when, and that the same command finishes whatever of it survived.

A page that was written and not synced may be lost, or reach the disk before one that was written earlier. So the
order in which relnox syncs is held here, and the states are made that this order leaves possible.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import commit_all, copy_of, git, repository
from test_full_disk import sound
from test_interruption import BEFORE, BUMP, RELEASED, bump, state, template

from relnox.cli import main
from relnox.indexes.embedded import EmbeddedIndex
from relnox.source import file_edits
from relnox.steps import bump_record
from relnox.system import files, process, temporary_directories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.planning.changes import Edit

__all__ = ["template"]

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(sys.platform != "linux", reason="it is seen through /proc")]

KILLED_BEFORE = """\
import os, signal, sys

word, *words = sys.argv[1:]

def hook(event, arguments):
    if event == "subprocess.Popen" and list(arguments[1][:2]) == ["git", word]:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
from relnox.cli import main
main(words)
"""


class Log(list[str]):
    """What relnox did to the disk, in order: `sync FILE`, `rename FILE`, `edit FILE`, `git WORD`, `sync all`."""

    def place(self, entry: str) -> int:
        assert entry in self, self
        return self.index(entry)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Calls that write or sync; the name of a temporary directory is left out."""
    log = Log()

    def name_of(path: object) -> str:
        parts = [part for part in Path(str(path)).parts if not temporary_directories._NAME.fullmatch(part)]
        return "/".join(parts[-2:])

    def fsync(descriptor: int, real: object = os.fsync) -> None:
        log.append(f"sync {name_of(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        real(descriptor)  # type: ignore[operator]

    def replace(self: Path, target: Path, real: object = Path.replace) -> Path:
        log.append(f"rename {name_of(target)}")
        return real(self, target)  # type: ignore[operator,no-any-return]

    def overwrite(path: Path, content: bytes, real: object = file_edits._overwrite_in_place) -> None:
        log.append(f"edit {name_of(path)}")
        real(path, content)  # type: ignore[operator]

    def sync_file_system(path: Path, real: object = files._sync_file_system) -> None:
        log.append("sync all")
        real(path)  # type: ignore[operator]

    def run(argv: process.Arguments, real: object = process.run, **named: object) -> process.Completed:
        if argv[0] == "git":
            log.append(f"git {argv[1]}")
        return real(argv, **named)  # type: ignore[operator,no-any-return]

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(file_edits, "_overwrite_in_place", overwrite)
    monkeypatch.setattr(files, "_sync_file_system", sync_file_system)
    monkeypatch.setattr(process, "run", run)
    return log


def test_the_record_is_on_the_disk_before_an_edit_and_all_else_before_a_push(
    template: Path, tmp_path: Path, log: Log
) -> None:
    root = copy_of(template, tmp_path / "pair")
    assert main([*BUMP, "--project", str(root)]) == 0
    assert state(root) == RELEASED
    order = [
        log.place("sync pair/.git"),  # the name of the directory of the record, which is new
        log.place("sync relnox/new"),
        log.place("rename relnox/pending.json"),
        log.place("sync .git/relnox"),
        log.place("edit base/pyproject.toml"),
        log.place("edit top/pyproject.toml"),
        log.place("git commit"),
        log.place("git tag"),
        log.place("sync all"),
        log.place("git push"),
        log.place("rename relnox/last.json"),
    ]
    assert order == sorted(order), log
    assert log.count("sync all") == 1  # however many files there are


def test_without_a_push_all_is_on_the_disk_before_the_record_is_dropped(
    template: Path, tmp_path: Path, log: Log
) -> None:
    root = copy_of(template, tmp_path / "pair")
    assert main(["bump", "--part", "minor", "--commit", "--tag", "--project", str(root)]) == 0
    assert log.place("git tag") < log.place("sync all") < log.place("rename relnox/last.json")


def test_a_few_edited_files_are_synced_with_their_directories(template: Path, tmp_path: Path, log: Log) -> None:
    root = copy_of(template, tmp_path / "pair")
    assert main(["bump", "--part", "minor", "--project", str(root)]) == 0
    edited = log.place("edit top/pyproject.toml")
    for entry in ("base/pyproject.toml", "top/pyproject.toml", "packages/base", "packages/top"):
        assert edited < log.place(f"sync {entry}") < log.place("rename relnox/last.json")
    assert "sync all" not in log


def test_many_edited_files_are_synced_with_their_file_system(
    template: Path, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FEW_FILES", 1)
    root = copy_of(template, tmp_path / "pair")
    assert main(["bump", "--part", "minor", "--project", str(root)]) == 0
    assert log.place("edit top/pyproject.toml") < log.place("sync all") < log.place("rename relnox/last.json")


def test_what_is_undone_is_on_the_disk_before_the_record_is_dropped(
    template: Path, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of(template, tmp_path / "pair")
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)

    def forget(directory: Path, real: object = bump_record.discard_pending) -> None:
        log.append("forget")
        real(directory)  # type: ignore[operator]

    monkeypatch.setattr(bump_record, "discard_pending", forget)
    assert main([*BUMP, "--project", str(root)]) == 2
    edited = len(log) - 1 - log[::-1].index("edit base/pyproject.toml")
    assert edited < log.place("sync all") < log.place("forget")
    assert state(root) == BEFORE


def test_archives_and_their_names_are_on_the_disk_before_the_manifest(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    assert main(["build-all", "--project", str(root)]) == 0
    for name in ("home-1.0.tar.gz", "home-1.0-py3-none-any.whl"):
        assert log.place(f"sync home/{name}") < log.place(f"rename dist/{name}") < log.place("sync home/dist")
    assert log.place("sync home/dist") < log.place("rename dist/manifest.json")
    assert [entry for entry in log if not entry.startswith("git ")][-1] == "sync home/dist"


def test_an_upload_is_on_the_disk_before_the_embedded_index_has_it(tmp_path: Path, log: Log) -> None:
    with EmbeddedIndex(tmp_path / "index") as index:
        store = index.store
        with store.receive() as incoming:
            incoming.write(b"content")
            assert incoming.store("home-1.0.tar.gz")
        assert store.find("home-1.0.tar.gz") is not None
    assert log.place("sync upload/file") < log.place("sync upload/upload.json") < log.place("sync index/files")


# --- what may be left -----------------------------------------------------------------------------------------


def survivors(edit: Edit) -> Iterator[bytes]:
    """What a file may hold that was overwritten, and not synced: old or new, or some sectors of each."""
    before, after = edit.before or b"", edit.after or b""
    yield before
    yield after
    yield before[:512] + after[512:]
    yield after[:512] + before[512:]


@pytest.fixture(scope="module")
def edited(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bump that was edited and not committed: all since the record may be lost. Files have several sectors."""
    root = copy_of(template, tmp_path_factory.mktemp("edited") / "pair")
    for path in root.glob("packages/*/pyproject.toml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{'# long' * 80}\n{text}\n{'# and more' * 40}\n", encoding="utf-8")
    commit_all(root, "Start")
    git(root, "push", "--quiet")
    words = [sys.executable, "-c", KILLED_BEFORE, "commit", *BUMP]
    subprocess.run(words, cwd=root, check=False, capture_output=True)
    assert bump_record.read_pending(root / ".git" / "relnox") is not None
    return root


@pytest.mark.parametrize("number", range(4))
def test_whatever_of_the_edits_survived_the_same_command_finishes(
    edited: Path, tmp_path: Path, number: int
) -> None:
    pending = bump_record.read_pending(edited / ".git" / "relnox")
    assert pending is not None
    planned = pending.edits
    for which, contents in enumerate(itertools.product(*map(survivors, planned))):
        if which % 4 != number:
            continue
        root = copy_of(edited, tmp_path / f"{which}")
        for edit, content in zip(planned, contents, strict=True):
            (root / edit.file).write_bytes(content)
        assert main([*BUMP, "--project", str(root)]) == 0, contents
        found = state(root)
        assert found.versions == RELEASED.versions
        assert found.status == ""
        assert found.left == []
        assert found.remote_tags == RELEASED.remote_tags


def test_a_record_of_which_nothing_but_a_temporary_directory_survived_is_none(
    template: Path, tmp_path: Path
) -> None:
    root = copy_of(template, tmp_path / "pair")
    left = root / ".git" / "relnox" / ".relnox-0123456789abcdef"
    left.mkdir(parents=True)
    for directory in (left, left.parent):
        directory.chmod(0o700)
    ran = bump(root)
    assert ran.code == 0, ran.text
    assert state(root) == RELEASED


@pytest.mark.parametrize(
    "lost",
    [
        ("manifest.json",),
        ("manifest.json", "BUILD_MANIFEST.txt"),
        ("manifest.json", "BUILD_MANIFEST.txt", "home-1.0.tar.gz"),
    ],
)
def test_whatever_of_a_build_survived_the_same_command_finishes(lost: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    assert main(["build-all", "--project", str(root)]) == 0
    for name in lost:
        (root / "dist" / name).unlink()
    sound(root)
