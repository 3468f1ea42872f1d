"""A release of a workspace: the packages tagged at the built commit, or not public yet. Others are skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, set_versions, workspace, write
from releases import made_wheel, write_manifest
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy

SKIPPED = "not part of this release: {} (released earlier, already on shop)"


def demo(root: Path, shop: Trusting, settings: str, **versions: str) -> Path:
    """A repository with packages of these versions."""
    return workspace(root, f"{settings}\n{shop.settings('shop', production=True)}", **versions)


def commit(root: Path, *tags: str) -> str:
    """Commit and push everything, with tags."""
    head = commit_all(root)
    for tag in tags:
        git(root, "tag", tag)
    git(root, "push", "--quiet", "origin", "main", "--tags")
    return head


def build(root: Path, needs: dict[str, tuple[str, ...]] | None = None, **versions: str) -> None:
    """Write the output of a build of the current commit: every commit makes other bytes."""
    head = git(root, "rev-parse", "HEAD")
    paths = [
        made_wheel(
            root / "dist",
            name,
            {f"{name}.py": f"commit = '{head}'\n"},
            version=version,
            requires=(needs or {}).get(name, ()),
        )
        for name, version in versions.items()
    ]
    write_manifest(root, paths, needs or {}, commit=head)


def publish(root: Path, *options: str, code: int = 0) -> RunResult:
    return run_in_process(root, "publish", "--index", "shop", "--yes", *options, code=code)


@pytest.fixture
def released(tmp_path: Path, shop: Trusting) -> Path:
    """A workspace whose two packages were released once."""
    root = demo(tmp_path / "demo", shop, 'versions = "independent"', one="1.0.0", two="1.0.0")
    for tag in ("one-v1.0.0", "two-v1.0.0"):
        git(root, "tag", tag)
    build(root, one="1.0.0", two="1.0.0")
    publish(root)
    return root


def test_a_package_that_was_not_bumped_is_skipped(released: Path, shop: Trusting) -> None:
    before = dict(shop.hashes)
    write(released, {"packages/two/two.py": "unreleased = 1\n"})  # two has changes, and is not released
    set_versions(released, one="1.1.0")
    commit(released, "one-v1.1.0")
    build(released, one="1.1.0", two="1.0.0")
    ran = publish(released)
    assert SKIPPED.format("two 1.0.0") in ran.err
    assert shop.hashes.keys() - before.keys() == {"one-1.1.0-py3-none-any.whl"}
    assert {name: shop.hashes[name] for name in before} == before
    rerun = publish(released)
    assert "1 file listed and served with the built hashes" in rerun.err
    assert "SKIPPED upload" not in rerun.err  # a line for each package is enough


def test_a_clone_without_tags_asks_the_remote_for_them(released: Path, shop: Trusting) -> None:
    set_versions(released, one="1.1.0")
    commit(released, "one-v1.1.0")
    clone = released.parent / "clone"
    remote = released.parent / "demo.git"
    git(released, "clone", "--quiet", "--depth", "1", "--no-tags", remote.as_uri(), str(clone))
    build(clone, one="1.1.0", two="1.0.0")
    ran = publish(clone)
    assert SKIPPED.format("two 1.0.0") in ran.err


def test_a_new_package_is_part_of_the_release_and_a_public_one_without_tags_is_not(
    tmp_path: Path, shop: Trusting
) -> None:
    root = demo(tmp_path / "demo", shop, 'versions = "independent"', one="1.0.0")
    build(root, one="1.0.0")
    publish(root)
    set_versions(root, two="0.1.0")
    commit(root)
    build(root, one="1.0.0", two="0.1.0")
    ran = publish(root)
    assert SKIPPED.format("one 1.0.0") in ran.err
    assert "two-0.1.0-py3-none-any.whl" in shop.hashes


def test_other_content_of_a_version_that_is_tagged_at_the_built_commit_is_a_conflict(
    released: Path, shop: Trusting
) -> None:
    set_versions(released, one="1.1.0")
    commit(released, "one-v1.1.0")
    git(released, "tag", "--force", "two-v1.0.0")
    build(released, one="1.1.0", two="1.0.0")
    ran = publish(released, code=4)
    assert "shop has a different two-1.0.0-py3-none-any.whl" in ran.err
    assert "one-1.1.0-py3-none-any.whl" not in shop.hashes


def test_a_selected_package_is_compared_with_the_public_files(released: Path) -> None:
    set_versions(released, one="1.1.0")
    commit(released, "one-v1.1.0")
    build(released, one="1.1.0", two="1.0.0")
    publish(released, "--package", "two", code=4)


def test_an_earlier_tag_without_public_files_is_released_as_well(tmp_path: Path, shop: Trusting) -> None:
    root = demo(tmp_path / "demo", shop, 'versions = "independent"', one="1.0.0", two="1.0.0")
    git(root, "tag", "two-v1.0.0")
    set_versions(root, one="1.1.0")
    commit(root, "one-v1.1.0")
    build(root, one="1.1.0", two="1.0.0")
    publish(root)
    assert shop.hashes.keys() == {"one-1.1.0-py3-none-any.whl", "two-1.0.0-py3-none-any.whl"}


@pytest.mark.parametrize("settings", ['versions = "lockstep"', '[tool.relnox.groups.all]\npackages = ["*"]\n'])
def test_a_part_of_packages_with_one_version_is_published_on_request_only(
    settings: str, tmp_path: Path, shop: Trusting
) -> None:
    root = demo(tmp_path / "demo", shop, settings, one="1.0.0", two="1.0.0")
    build(root, one="1.0.0")
    for task in ("publish", "publish-test"):
        ran = run_in_process(root, task, "--index", "shop" if task == "publish" else "embedded", code=1)
        assert "dist/manifest.json lacks files of two (their builds" in ran.err
        assert "or publish only the others: --package one" in ran.err
    assert not shop.hashes
    publish(root, "--package", "one")


def test_packages_with_one_version_are_not_divided(tmp_path: Path, shop: Trusting) -> None:
    root = demo(tmp_path / "demo", shop, 'versions = "lockstep"', one="1.0.0", two="1.0.0")
    build(root, one="1.0.0", two="1.0.0")
    ran = publish(root, "--package", "one")
    assert "PART OF A RELEASE: this run does not publish two of this build, although released together" in ran.err
    write(root, {"notes.md": ""})
    commit(root)
    build(root, one="1.0.0", two="1.0.0")
    for selection in ((), ("--package", "two")):  # two is not public, and one was published from another commit
        ran = publish(root, *selection, code=4)
        assert "shop has a different one-1.0.0-py3-none-any.whl" in ran.err
        assert "two-1.0.0-py3-none-any.whl" not in shop.hashes
    ran = publish(root, "--package", "two", "--allow-mismatch")
    assert "--allow-mismatch ignores: shop has a different one-1.0.0-py3-none-any.whl" in ran.err


def test_files_of_the_version_that_this_build_lacks_are_named(tmp_path: Path, shop: Trusting) -> None:
    root = demo(tmp_path / "demo", shop, "", one="1.0.0")
    build(root, one="1.0.0")
    foreign = "one-1.0.0-cp313-cp313-win_amd64.whl"
    shop.hold("one", foreign, b"of another job")
    shop.hold("one", "one-0.9.0.tar.gz", b"of an earlier release")
    ran = publish(root)
    assert (
        f"of one 1.0.0, which installers may prefer, and which are not in dist/manifest.json: {foreign}\n"
        in ran.err
    )


def test_the_index_of_the_settings_is_that_of_the_tagged_packages(tmp_path: Path, shop: Trusting) -> None:
    targets = f'[tool.relnox.targets]\nfinal = "shop"\nprerelease = "other"\n{shop.settings("other")}'
    root = demo(tmp_path / "demo", shop, f'versions = "independent"\n{targets}', one="1.0.0", two="1.0.0rc1")
    git(root, "tag", "two-v1.0.0rc1")
    build(root, two="1.0.0rc1")
    run_in_process(root, "publish", "--yes", code=0)
    set_versions(root, one="1.1.0")
    commit(root, "one-v1.1.0")
    build(root, one="1.1.0", two="1.0.0rc1")
    ran = run_in_process(root, "publish", "--yes", code=0)
    assert "not part of this release: two 1.0.0rc1" in ran.err


def test_what_was_released_earlier_is_installed_as_it_is_public(released: Path, shop: Trusting) -> None:
    set_versions(released, one="1.1.0")
    commit(released, "one-v1.1.0")
    build(released, {"one": ("two",)}, one="1.1.0", two="1.0.0")
    publish(released)
    for selection in ((), ("--package", "one")):
        ran = run_in_process(released, "verify-install", "--index", "shop", "--wait", "5", *selection, code=0)
        assert SKIPPED.format("two 1.0.0") in ran.err
        assert "with two-1.0.0-py3-none-any.whl" in ran.err


def test_collect_expects_the_tagged_packages(tmp_path: Path, shop: Trusting) -> None:
    settings = 'versions = "independent"'
    root = demo(tmp_path / "demo", shop, settings, one="1.0.0", two="1.0.0", three="1.0.0")
    build(root, one="1.0.0", two="1.0.0")
    (root / "dist").rename(root / "job")
    collect = ("collect", "--from", "job", "--dry-run")
    ran = run_in_process(root, *collect, code=1)
    assert "the files of three lack " in ran.text
    git(root, "tag", "one-v1.0.0")
    ran = run_in_process(root, *collect)
    assert "the files of three lack " not in ran.text
    assert "not part of this release: three (no tag at this commit)" in ran.text
    git(root, "tag", "three-v1.0.0")
    assert "the files of three lack " in run_in_process(root, *collect).text
