"""Hostile manifests: reported as a problem, and nothing outside the directory is read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import packed
import pytest
import releases
from running import run_in_process

from relnox.core.release import collection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.heavy

TASKS = (
    ("collect", "--from", "dist", "--output", "out", "--partial"),
    ("publish-test", "--index", "embedded", "--no-verify"),
    ("verify-install", "--from", "dist"),
)
BIDI = "\u202e"
NO_HASHES: tuple[Any, ...] = ({}, {"sha256": "x", "blake2b_256": "y"}, [], None)


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


def first(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["artifacts"][0].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        *(first(name=name) for name in ("../x.whl", "/etc/passwd", "a\\x.whl", "C:x.whl", "x\0.whl", "-r.whl")),
        *(first(name=name) for name in ("x" * 256, "", ".", "..", "x/y.whl", BIDI, 5, None, ["x"])),
        *(first(size=size) for size in (-1, 1 << 60, 1.5, True, "1", None)),
        *(first(package=name) for name in ("../x", "Demo-App", "", 5, "x\n::error::y")),
        *(first(package_version=version) for version in ("../1", "", 1, "9" * 5000)),
        *(first(kind=kind) for kind in ("exe", "", 5)),
        *(first(hashes=hashes) for hashes in NO_HASHES),
        lambda document: document["artifacts"].append(document["artifacts"][0]),
        lambda document: document["artifacts"].append(
            document["artifacts"][0] | {"name": document["artifacts"][0]["name"].upper()}
        ),
        lambda document: document.update(artifacts={"x": 1}),
        lambda document: document.update(artifacts=[[]]),
        lambda document: document.update(artifacts="x"),
        lambda document: document.update(commit="--upload-pack=touch x"),
        lambda document: document.update(commit="x\n::add-mask::y"),
        lambda document: document.update(time="\x1b]0;x\x07"),
        lambda document: document.update(dirty="no"),
        lambda document: document.update(needs={"../x": []}),
        lambda document: document.update(needs={"demo-app": ["\x1b[2J"]}),
        lambda document: document.update(needs=[1]),
        lambda document: document.clear(),
    ],
)
def test_a_manifest_with_what_cannot_be_right_is_refused(change: Callable[[Any], object], root: Path) -> None:
    path = root / "dist" / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    for output in refused(root):
        assert "is not a valid manifest" in output
        assert not {"\x1b", "\0", BIDI} & set(output)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        '{"artifacts":' * 50_000,
        "null",
        "[]",
        '"x"',
        "5",
        "NaN",
        "9" * 10_000,
        '{"artifacts": [5]}',
    ],
    ids=range(10),
)
def test_a_text_that_is_no_manifest_is_refused(text: str, root: Path) -> None:
    (root / "dist" / "manifest.json").write_text(text)
    assert all("is not a valid manifest" in output for output in refused(root))


def test_a_manifest_that_is_not_text_is_refused(root: Path) -> None:
    (root / "dist" / "manifest.json").write_bytes(b"\xff\xfe\0")
    assert all("is not in UTF-8" in output for output in refused(root))


def test_a_manifest_is_not_read_beyond_its_limit(root: Path) -> None:
    with (root / "dist" / "manifest.json").open("wb") as sparse:
        sparse.truncate(100_000_000)
    assert all("it has more than 64 MiB" in output for output in refused(root))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
@pytest.mark.parametrize("name", ["manifest.json", packed.NAME])
def test_a_pipe_is_not_waited_for(name: str, root: Path) -> None:
    (root / "dist" / name).unlink()
    os.mkfifo(root / "dist" / name)
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


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"\xff", b'{"envelope": {"statement": "' + b"W1tb" * 99_999 + b'"}}']
)
def test_an_invalid_attestation_is_an_error(content: bytes) -> None:
    assert collection.attested_sha256(content) is None


@pytest.mark.parametrize("text", ["six >= one", "six; " + "(" * 5000 + "a", "", "\0", "six @ "])
def test_a_requirement_that_is_none_needs_nothing(text: str) -> None:
    assert collection.required_names([text, "attrs"]) == {"attrs"}
