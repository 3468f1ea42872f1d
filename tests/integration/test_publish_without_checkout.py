"""`publish --manifest` in a directory with the built files and their manifest, and nothing else of the project."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import running
from backends import READING, SELF_BUILT
from package_index import PackageIndex
from projects import git, repository, write

from relnox.cli import main
from relnox.source.git import Git

HOUSE = """
[tool.relnox.indexes.house]
upload = "{upload}"
simple = "{simple}"

[[tool.relnox.hooks.before-publish]]
run = ["python", "-c", "open('hook-ran', 'w')"]
"""
TOKEN = "ghs_0123456789abcdefghij"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagged release that was built, with an index of its own that no server listens for yet."""
    root = tmp_path_factory.mktemp("built") / "project"
    files = {
        "pyproject.toml": SELF_BUILT
        + HOUSE.format(upload="http://127.0.0.1:9/", simple="http://127.0.0.1:9/simple/"),
        "backend/own.py": READING,
        "demo.py": "",
        ".gitignore": "/dist/\n",
    }
    repository(write(root, files))
    git(root, "tag", "-a", "-m", "1.2.3", "v1.2.3")
    running.run(root, "relnox", "build-all", "--tagged", code=0)
    return root


def copied(built: Path, to: Path, index: PackageIndex | None = None) -> Path:
    """Copy only the built files, with the addresses of a running index in the manifest."""
    shutil.copytree(built / "dist", to / "dist")
    if index is not None:
        path = to / "dist" / "manifest.json"
        document = json.loads(path.read_text())
        document["project"]["settings"]["indexes"]["house"] = {
            "upload": index.upload_url,
            "simple": index.simple_url,
        }
        path.write_text(json.dumps(document))
    return to


def published(directory: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with chdir(directory):
        code = main(["publish", "--manifest", "dist/manifest.json", "--reporter", "plain", *options])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def sha256(directory: Path) -> str:
    return hashlib.sha256((directory / "dist" / "manifest.json").read_bytes()).hexdigest()


def test_the_manifest_has_the_indexes_and_no_hook_runs(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_HOUSE_TOKEN", "any")
    with PackageIndex() as index:
        directory = copied(built, tmp_path, index)
        options = ("--index", "house", "--manifest-sha256", sha256(directory), "--yes")
        code, text = published(directory, *options, capsys=capsys)
        assert code == 0, text
        uploaded = {name for files in index.files.values() for name in files}
        assert uploaded == {path.name for path in (directory / "dist").glob("demo-*")}
        again, text = published(directory, *options, "--verbose", capsys=capsys)
        assert again == 0, text
        assert "SKIPPED" in text
    assert {path.name for path in directory.iterdir()} == {"dist"}


@pytest.mark.parametrize(
    ("change", "options", "code", "text"),
    [
        ("manifest", ("--manifest-sha256", "SHA256"), 4, "manifest-changed"),
        ("file", ("--manifest-sha256", "SHA256"), 4, "archive-changed"),
        ("untagged", (), 1, "has no release tag"),
        ("no project", (), 1, "manifest-incomplete"),
        ("no manifest", (), 1, "manifest-missing"),
        ("other tag", ("--release-tag", "v1.3.0"), 1, "release-version-differs"),
        ("", ("--dist", "dist"), 1, "options-conflict"),
        ("", ("--index", "nowhere"), 1, "index-unknown"),
    ],
)
def test_what_is_not_as_it_was_built_is_not_published(  # noqa: PLR0917 - parameters and fixtures
    change: str,
    options: tuple[str, ...],
    code: int,
    text: str,
    built: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELNOX_HOUSE_TOKEN", "any")
    with PackageIndex() as index:
        directory = copied(built, tmp_path, index)
        words = [sha256(directory) if word == "SHA256" else word for word in options]
        manifest = directory / "dist" / "manifest.json"
        document = json.loads(manifest.read_text())
        if change == "manifest":
            document["time"] = "2026-01-01T00:00:00+00:00"
        elif change == "untagged":
            document["project"]["tags"] = []
        elif change == "no project":
            del document["project"]
        if change in ("manifest", "untagged", "no project"):
            manifest.write_text(json.dumps(document))
        if change == "file":
            (directory / "dist" / "demo-1.2.3.tar.gz").write_bytes(b"another one")
        if change == "no manifest":
            manifest.unlink()
        index_words = () if "--index" in words else ("--index", "house")
        ended, output = published(directory, *index_words, *words, "--yes", capsys=capsys)
        assert (ended, index.files) == (code, {}), output
        assert text in output


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GH_TOKEN"])
def test_git_gets_the_token_of_a_job_only_for_its_server(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(write(tmp_path / "project", {"README.md": ""}))
    for variable, value in (
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        (name, TOKEN),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ):
        monkeypatch.setenv(variable, value)
    own = Git(root).run("credential", "fill", stdin="url=https://github.com/acme/demo\n\n")
    other = Git(root).run("credential", "fill", stdin="url=https://git.example.org/acme/demo\n\n")
    assert own.output.splitlines()[-2:] == ["username=x-access-token", f"password={TOKEN}"]
    assert TOKEN not in other.output
    assert TOKEN not in (root / ".git" / "config").read_text()
