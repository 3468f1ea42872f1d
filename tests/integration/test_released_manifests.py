"""What a manifest says is not believed: nothing is sent, and nothing called proven, of one that is wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import releases
from package_index import PackageIndex
from releases import Package
from running import run_front_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy

Document = dict[str, Any]


def refuses(ran: RunResult, message: str) -> None:
    assert ran.code == 1, ran.text
    assert re.search(message, ran.err), ran.text


def changed(root: Path, change: Callable[[Document], object]) -> None:
    """Change what the manifest of a project says."""
    path = root / "dist" / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def only_top(document: Document) -> None:
    document["artifacts"] = [each for each in document["artifacts"] if each["package"] == "top"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda document: document["artifacts"][0].update(package="top"),
            r"lists core-1\.0\S* for top 1\.0",
        ),
        (
            lambda document: document["artifacts"][0].update(package_version="9"),
            r"lists core-1\.0\S* for core 9",
        ),
        (lambda document: document["needs"].update(core=["top"], top=["core"]), "in a cycle: "),
        (lambda document: document["needs"].update(core=["core"]), "in a cycle: core -> core"),
        (lambda document: document["artifacts"].clear(), "lists no files"),
    ],
    ids=["package", "version", "circle", "itself", "empty"],
)
def test_a_manifest_that_cannot_be_right_is_neither_sent_nor_verified(
    change: Callable[[Document], object], message: str, index: PackageIndex, tmp_path: Path
) -> None:
    root = tmp_path / "demo"
    releases.release(root, [Package("core"), Package("top")])
    changed(root, change)
    for ran in (releases.publish(root, index), run_front_end("relnox", root, "verify-install", "--from", "dist")):
        refuses(ran, message)
    assert index.log == []


def test_a_package_that_was_not_built_is_not_called_published(index: PackageIndex, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    releases.release(root, [Package("core"), Package("top")])
    changed(root, only_top)
    for ran in (
        releases.publish(root, index, "--package", "core"),
        run_front_end("relnox", root, "verify-install", "--from", "dist", "--package", "core"),
    ):
        refuses(ran, r"dist/manifest\.json lists no files of core")


def test_existing_files_are_reported_before_any_upload(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    releases.release(tmp_path, [Package("demo"), Package("more")])
    assert releases.publish(tmp_path, index, "--package", "demo").code == 0
    files = len(index.uploads)
    dry = releases.publish(tmp_path, index, "--dry-run", code=0)
    assert f"skipping {files} of {2 * files} files: already on own" in dry.text
    assert len(index.uploads) == files
