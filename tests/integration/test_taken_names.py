"""Projects of other accounts on the index: a note before the uploads, an error after a rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from accounts import Accounts, Token
from package_index import PackageIndex
from projects import git, repository, write
from releases import Package, made_wheel, release
from running import RunResult, run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

OURS, THEIRS = "pypi-of-anna", "pypi-of-otto"
TAKEN = "project demo on own (0.1, 0.2) may belong to another account"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    tokens = [
        Token(secret=OURS, user="anna"),
        Token(secret=THEIRS, user="otto"),
        Token(secret="pypi-of-other", user="anna", projects=("other",)),
    ]
    with PackageIndex(accounts=Accounts(tokens=tokens)) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a release that is built."""
    root = tmp_path / "home"
    release(root, [Package("core"), Package("demo", needs=("core",))])
    write(root, {".gitignore": "dist/\n"})
    return repository(root)


def publish_test(
    root: Path, index: PackageIndex, *options: str, token: str = OURS, code: int | None = None
) -> RunResult:
    write(
        root,
        {
            "pyproject.toml": f'[tool.relnox]\npackages = ["packages/*"]\ntrusted-index = "{index.simple_url}"\n'
            f'[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
            "production = false\n"
        },
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RELNOX_OWN_TOKEN", token)
        return run_in_process(root, "publish-test", "--index", "own", "--no-verify", *options, code=code)


def put(index: PackageIndex, directory: Path, owner: str, *versions: str) -> None:
    """Have versions of `demo` of an account."""
    index.add(*(made_wheel(directory, "demo", version=version) for version in versions), owner=owner)


def test_a_project_that_may_belong_to_another_account_is_noted_before_any_upload(
    root: Path, index: PackageIndex, tmp_path: Path
) -> None:
    put(index, tmp_path / "theirs", "otto", "0.1", "0.2")
    before = len(index.uploads)
    ran = publish_test(root, index, "--dry-run", code=0)
    assert f"note: {TAKEN}" in ran.out
    assert "project core on own" not in ran.out
    assert len(index.uploads) == before


def test_an_upload_to_the_project_of_another_account_is_an_error(
    root: Path, index: PackageIndex, tmp_path: Path
) -> None:
    put(index, tmp_path / "theirs", "otto", "0.1", "0.2")
    ran = publish_test(root, index, "--package", "demo", "--allow-mismatch", code=1)
    assert f"note: {TAKEN}" in ran.err
    assert "these credentials may not upload to project demo on own: 403 The user 'anna' isn't allowed" in ran.err
    assert f"relnox publish-test --project {root} --index embedded" in ran.err
    assert "rejected the credentials" not in ran.err


def test_a_project_with_a_version_that_is_tagged_here_is_ours(
    root: Path, index: PackageIndex, tmp_path: Path
) -> None:
    put(index, tmp_path / "ours", "anna", "0.1", "0.2")
    git(root, "tag", "demo-v0.2")
    ran = publish_test(root, index, code=0)
    assert "may belong to another account" not in ran.text


def test_a_project_with_one_of_our_files_is_ours(root: Path, index: PackageIndex) -> None:
    assert publish_test(root, index).code == 0
    index.delete("demo-1.0.tar.gz")
    ran = publish_test(root, index, "--dry-run")
    assert "may belong to another account" not in ran.text


def test_where_the_tags_cannot_be_known_nothing_is_guessed(
    root: Path, index: PackageIndex, tmp_path: Path
) -> None:
    put(index, tmp_path / "theirs", "otto", "0.1")
    (root / ".git/shallow").write_text(git(root, "rev-parse", "HEAD") + "\n")
    assert "may belong to another account" not in publish_test(root, index, "--dry-run").text


def test_a_token_for_another_project_is_an_error(root: Path, index: PackageIndex) -> None:
    ran = publish_test(root, index, "--package", "core", token="pypi-of-other", code=1)
    assert "the token for own is for a project other than core: 403 Invalid API Token: project-scoped" in ran.err
    assert "or for the whole account if this is its first release" in ran.err
