"""Hostile manifests: reported as a problem, and nothing outside the directory is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import packed
import pytest
import releases
from running import run_in_process

from relnox.core.requirements import transitive_dependencies_among

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

TASKS = (
    ("collect", "--from", "dist", "--output", "out", "--partial"),
    ("publish-test", "--index", "embedded", "--no-verify"),
    ("verify-install", "--from", "dist"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "demo"
    (root / "dist").mkdir(parents=True)
    releases.project_of(root, packed.wheel(root / "dist"))
    return root


def refused(root: Path, *, code: tuple[int, ...] = (1,)) -> list[str]:
    """What each task says."""
    output = []
    for task, *options in TASKS:
        ran = run_in_process(root, task, *options)
        assert ran.code in code, ran.text
        assert "Traceback" not in ran.text
        output.append(ran.err)
    assert not (root / "out").exists()
    return output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is not a valid manifest"),
        (b"[" * 100_000, "is not a valid manifest"),
        (b'{"artifacts": [{"name": "\\u202e\\u001b../x.whl"}]}', "is not a valid manifest"),
        (b"\xff\xfe\0", "is not in UTF-8"),
    ],
    ids=range(4),
)
def test_an_invalid_manifest_is_refused_by_every_task(text: bytes, said: str, root: Path) -> None:
    (root / "dist" / "manifest.json").write_bytes(text)
    for output in refused(root):
        assert said in output
        assert not {"\x1b", "\0", "\u202e"} & set(output)


def test_a_manifest_is_not_read_beyond_its_limit(root: Path) -> None:
    with (root / "dist" / "manifest.json").open("wb") as sparse:
        sparse.truncate(100_000_000)
    assert all("it has more than 64 MiB" in output for output in refused(root))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
@pytest.mark.parametrize("name", ["manifest.json", packed.NAME])
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
def test_what_is_no_file_is_not_waited_for(kind: str, name: str, root: Path) -> None:
    path = root / "dist" / name
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(path.name)
    for output in refused(root, code=(1, 2)):
        assert (
            "nothing was built" in output
            or "although the manifest lists it" in output
            or "no manifest.json" in output
            or "has a manifest.json" in output
        )


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret", "/dev/zero"])
def test_what_a_link_leads_to_outside_is_not_read(target: str, root: Path) -> None:
    (root / "secret").write_text("secret")
    (root / "dist" / packed.NAME).unlink()
    (root / "dist" / packed.NAME).symlink_to(target)
    for output in refused(root, code=(1, 2)):
        assert "although the manifest lists it" in output


def test_a_link_inside_the_directory_is_followed(root: Path) -> None:
    path = root / "dist" / packed.NAME
    path.rename(root / "dist" / "elsewhere.bin")
    path.symlink_to("elsewhere.bin")
    assert run_in_process(root, "publish-test", "--index", "embedded", "--no-verify").code == 0


@pytest.mark.parametrize("text", ["six >= one", "six; " + "(" * 5000 + "a", "", "\0", "six @ "])
def test_a_requirement_that_is_none_needs_nothing(text: str) -> None:
    assert transitive_dependencies_among({"demo": [text, "attrs"], "attrs": ()}) == {
        "demo": {"attrs"},
        "attrs": set(),
    }
