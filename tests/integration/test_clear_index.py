"""`publish-test --clear`: the embedded index is emptied by a step of the plan, and a rerun resumes."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from releases import Package, release

from relnox.cli import main
from relnox.indexes.embedded import EmbeddedIndex

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.core.release.manifest import Manifest

CLEAR = ("publish-test", "--index", "embedded", "--no-verify", "--clear")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    release(tmp_path, [Package("core"), Package("demo", ("core",))], content="first = 1\n")
    assert main(["publish-test", "--index", "embedded", "--no-verify"]) == 0
    return tmp_path


def _index(root: Path) -> EmbeddedIndex:
    (directory,) = (path.parent for path in root.rglob("files") if path.is_dir() and "dist" not in path.parts)
    return EmbeddedIndex(directory)


def _hashes(manifest: Manifest) -> dict[str, str]:
    return {file.filename: file.sha256 for file in manifest.distributions}


def _statuses(root: Path, *options: str) -> tuple[int, dict[str, str]]:
    report = root / "report.json"
    code = main([*CLEAR, *options, "--report", str(report)])
    steps = json.loads(report.read_text(encoding="utf-8"))["steps"]
    return code, {step["title"]: step["status"] for step in steps}


def test_files_of_another_release_are_removed_and_the_release_is_uploaded(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = release(root, [Package("core")], content="second = 2\n")
    assert main(["publish-test", "--index", "embedded", "--no-verify"]) == 4
    assert "machine first: relnox publish-test --index embedded --clear" in capsys.readouterr().err
    code, statuses = _statuses(root)
    assert code == 0
    assert set(statuses.values()) == {"success"}
    assert next(iter(statuses)) == "remove all content of index embedded"
    assert _index(root).store.holds_only(_hashes(manifest))


def test_a_second_sdist_in_another_spelling_is_refused_as_by_the_public_index(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(root, [Package("core")], version="1.0.0")
    assert main(["publish-test", "--index", "embedded", "--no-verify"]) == 4
    refused = capsys.readouterr().err
    assert "embedded has another sdist of core 1.0.0, and accepts only one for each release" in refused
    assert all("1.0.0" not in file.filename for file in _index(root).store.files())


def test_a_dry_run_shows_all_uploads_and_removes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in root.rglob("*.tar.gz"))
    release(root, [Package("core")], content="second = 2\n")
    assert main([*CLEAR, "--dry-run"]) == 0
    assert "upload core-1.0.tar.gz" in capsys.readouterr().out
    assert not _index(root).store.holds_only({})
    assert before == sorted(path.name for path in root.rglob("*.tar.gz"))


def test_nothing_is_removed_where_the_plan_is_blocked(root: Path) -> None:
    release(root, [Package("core")], content="second = 2\n")
    next((root / "dist").glob("core-*.whl")).write_bytes(b"damaged")
    assert main(list(CLEAR)) == 4  # the file is not the one that was built
    assert not _index(root).store.holds_only({})


def test_a_rerun_keeps_what_an_interrupted_run_uploaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relnox.indexes.uploads import upload_file

    manifest = release(root, [Package("core"), Package("demo", ("core",))], content="second = 2\n")
    uploads: list[object] = []

    def interrupted(*words: object, **options: object) -> str:
        if len(uploads) == 1:
            raise KeyboardInterrupt
        uploads.append(words[1])
        return upload_file(*words, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("relnox.steps.upload.upload_file", interrupted)
        assert main(list(CLEAR)) in {2, 3, 130}
    code, statuses = _statuses(root)
    assert code == 0
    assert statuses["remove all content of index embedded"] == "skipped"
    assert sorted(status for title, status in statuses.items() if title.startswith("upload")) == [
        *["skipped"],
        *["success"] * (len(manifest.distributions) - 1),
    ]


@pytest.mark.parametrize("content", [b"changed", None])
def test_a_release_that_is_partly_public_is_not_rebuilt(
    root: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    sdist = next((root / "dist").glob("core-*.tar.gz"))
    shutil.rmtree(next(path for path in root.rglob(sdist.name) if path.is_dir()))
    sdist.unlink()
    if content is not None:
        sdist.write_bytes(content)
    assert main(["publish", "--index", "embedded"]) in (3, 4)
    said = capsys.readouterr().err
    assert "copy it from the build whose files are public" in said
    assert "build-all" not in said
