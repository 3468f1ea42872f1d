"""Tag, version, commit and manifest must agree before anything is uploaded; real git, an index on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, workspace, write
from releases import made_sdist, made_wheel, write_manifest
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy


def project(root: Path, shop: Trusting, *names: str, version: str = "1.2.0", settings: str = "") -> Path:
    """A repository with packages of one version."""
    own = f"{settings}\n{shop.settings('shop', production=True)}"
    return workspace(root, own, **dict.fromkeys(names, version))


def raise_version(root: Path, name: str, old: str, new: str) -> None:
    path = root / "packages" / name / "pyproject.toml"
    path.write_text(path.read_text().replace(old, new))
    commit_all(root)


def built(root: Path, version: str, *names: str, sdist_only: bool = False) -> None:
    """Write the output of a build of the current commit, wheels of these packages and sdists, without building."""
    paths = [made_sdist(root / "dist", name, version=version) for name in names]
    if not sdist_only:
        paths += [made_wheel(root / "dist", name, version=version) for name in names]
    write_manifest(root, paths, {}, commit=git(root, "rev-parse", "HEAD"))


def publish(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run_in_process(root, "publish", "--index", "shop", "--yes", *options, code=code)


def refuses(ran: RunResult, *message: str) -> None:
    assert ran.code == 1, ran.text
    for text in message:
        assert text in ran.text


def goes_with_the_option(root: Path, shop: Trusting) -> None:
    """--allow-mismatch publishes anyway, with a note."""
    before = dict(shop.hashes)
    ran = publish(root, "--allow-mismatch", code=0)
    assert "--allow-mismatch ignores: " in ran.text
    assert shop.hashes != before


def test_a_consistent_release_is_published(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta")
    git(root, "tag", "alpha-v1.2.0")
    built(root, "1.2.0", "alpha", "beta")
    assert publish(root).code == 0


def test_a_package_that_was_removed_is_not_published(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta")
    built(root, "1.2.0", "alpha", "beta")
    git(root, "rm", "-r", "--quiet", "packages/beta")
    commit_all(root)
    refuses(publish(root), "dist/manifest.json is a build of beta, but the checkout has no such package")
    assert publish(root, "--package", "alpha").code == 0


def test_a_manifest_of_another_commit_is_blocked_if_its_packages_changed(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta")
    built(root, "1.2.0", "alpha")
    old = git(root, "rev-parse", "HEAD")
    write(root, {"packages/beta/beta.py": "new = 1\n", "notes.md": "", "uv.lock": ""})
    commit_all(root)
    assert publish(root, "--dry-run").code == 0  # alpha is what it was
    write(root, {"packages/alpha/alpha.py": "new = 1\n"})
    new = commit_all(root)
    refuses(
        publish(root),
        f"dist/manifest.json is a build of commit {old[:10]}, but the checkout is at {new[:10]}",
        "packages/alpha/alpha.py changed in alpha",
        f"git switch --detach {old}",
    )
    goes_with_the_option(root, shop)


def test_an_outdated_build_is_blocked_for_a_test_index(shop: Trusting, trying: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", settings=trying.settings("trying"))
    built(root, "1.2.0", "alpha")
    raise_version(root, "alpha", "1.2.0", "1.3.0")
    words = ("publish-test", "--index", "trying", "--no-verify")
    refuses(run_in_process(root, *words), "is a build of alpha 1.2.0, but the checkout has alpha 1.3.0")
    assert not trying.files
    assert run_in_process(root, *words, "--allow-mismatch").code == 0


@pytest.mark.parametrize("tag", ["v1.3.0", "v1.1.0", "v1.3.0rc1"])
def test_the_bump_that_the_fix_names_makes_the_commit_buildable(tag: str, shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", settings='tag-format = "v{version}"')
    git(root, "tag", tag)
    fix = run_in_process(root, "build-all", "--dry-run").text.split("release a version above both: relnox ")[1]
    run_in_process(root, *fix.split(";")[0].replace(f"--project {root}", "").split(), code=0)
    assert run_in_process(root, "build-all", "--dry-run").code == 0
    assert tag in git(root, "tag").split()


def test_the_setting_says_whether_a_tag_is_of_this_project(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha")
    git(root, "tag", "v1.3.0")
    ran = run_in_process(root, "build-all", "--dry-run")
    refuses(
        ran, "tag v1.3.0 is at ", 'tag-format = "v{version}" if v1.3.0 is one, and then release a version above'
    )
    for text, code in (("{name}-v{version}", 0), ("v{version}", 1)):
        root = project(tmp_path / text, shop, "alpha", settings=f'tag-format = "{text}"')
        git(root, "tag", "v1.3.0")
        assert run_in_process(root, "build-all", "--dry-run").code == code


@pytest.mark.parametrize("task", ["build-all", "publish"])
def test_a_tag_without_a_name_is_compared_with_the_one_version_of_all_packages(
    task: str, shop: Trusting, tmp_path: Path
) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta")
    built(root, "1.2.0", "alpha", "beta")
    git(root, "tag", "v1.3.0")
    ran = run_in_process(root, "build-all", "--dry-run") if task == "build-all" else publish(root)
    refuses(ran, "tag v1.3.0 is at ", "alpha, beta", "tag-format = ")
    git(root, "tag", "v1.2.0")
    ran = run_in_process(root, "build-all", "--dry-run") if task == "build-all" else publish(root)
    assert ran.code == 0, ran.text


def test_a_version_that_is_not_committed_does_not_make_a_tag_wrong(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta")
    git(root, "tag", "alpha-v1.2.0")
    assert run_in_process(root, "bump", "minor", "--package", "alpha").code == 0
    ran = run_in_process(root, "build-all", "--dry-run")
    refuses(ran, "uncommitted changes in packages/alpha/pyproject.toml")
    assert "alpha-v1.2.0" not in ran.text


def test_tags_of_the_same_version_and_floating_tags_are_consistent(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha")
    built(root, "1.2.0", "alpha")
    for tag in ("v1.2.0rc1", "v1.2.0", "v1", "other-v9", "latest"):
        git(root, "tag", tag)
    assert run_in_process(root, "build-all", "--dry-run").code == 0
    git(root, "tag", "--delete", "v1.2.0", "v1.2.0rc1")
    assert publish(root).code == 0


def test_a_version_tagged_at_another_commit(shop: Trusting, trying: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha", "beta", settings=trying.settings("trying"))
    git(root, "tag", "alpha-v1.2.0")
    git(root, "tag", "beta-v1.2.0")
    tagged = git(root, "rev-parse", "HEAD")[:10]
    write(root, {"packages/alpha/alpha.py": "new = 1\n"})
    head = commit_all(root)[:10]
    git(root, "push", "--quiet", "origin", "main")
    message = (
        f"alpha 1.2.0 is tagged alpha-v1.2.0 at {tagged}, but differs at {head}: packages/alpha/alpha.py changed"
    )
    ran = run_in_process(root, "build-all", "--dry-run", code=0)  # CI builds commits between two releases
    assert message in ran.text
    built(root, "1.2.0", "alpha", "beta")
    ran = publish(root)
    refuses(ran, message, f"relnox bump --project {root} --part patch --package alpha --commit --tag,")
    assert "beta" not in ran.err
    assert run_in_process(root, "publish-test", "--index", "trying", "--no-verify", "--dry-run").code == 0
    goes_with_the_option(root, shop)


def test_missing_tags_and_commits_are_no_problem(shop: Trusting, tmp_path: Path) -> None:
    """The publish job of a release: one commit, no other tags, archives from the job before."""
    root = project(tmp_path / "demo", shop, "alpha", version="1.1.0")
    git(root, "tag", "v1.1.0")
    raise_version(root, "alpha", "1.1.0", "1.2.0")
    git(root, "tag", "v1.2.0")
    git(root, "push", "--quiet", "--tags", "origin", "main")
    built(root, "1.2.0", "alpha")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--no-tags", (tmp_path / "demo.git").as_uri(), str(clone))
    (root / "dist").rename(clone / "dist")
    assert publish(clone).code == 0
    (clone / ".git").rename(tmp_path / "removed")  # no checkout at all
    assert publish(clone).code == 0


def test_a_shallow_clone_without_the_manifests_commit_is_blocked(shop: Trusting, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", shop, "alpha")
    built(root, "1.2.0", "alpha")
    old = git(root, "rev-parse", "HEAD")
    write(root, {"packages/alpha/alpha.py": "new = 1\n"})
    commit_all(root, push=True)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", (tmp_path / "demo.git").as_uri(), str(clone))
    (root / "dist").rename(clone / "dist")
    refuses(publish(clone), f"is a build of commit {old[:10]}", "that commit is not in this clone")
    assert not shop.hashes


def test_an_sdist_without_the_platform_wheels_is_blocked(shop: Trusting, tmp_path: Path) -> None:
    settings = '[tool.relnox.wheels]\nalpha = ["cp312-manylinux_x86_64"]\n'
    root = project(tmp_path / "demo", shop, "alpha", "beta", settings=settings)
    built(root, "1.2.0", "alpha", "beta", sdist_only=True)
    ran = publish(root)
    refuses(
        ran,
        "dist/manifest.json lacks wheels of alpha 1.2.0: cp312-manylinux_x86_64 ([tool.relnox.wheels])",
        f"relnox collect --project {root} --from DIR",
    )
    assert "sdist of beta" not in ran.err
    assert publish(root, "--package", "beta").code == 0
    goes_with_the_option(root, shop)


def test_a_project_in_a_subdirectory_of_its_repository(shop: Trusting, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    root = top / "python"
    project(root, shop, "alpha")
    git(root, "rev-parse", "HEAD")
    (root / ".git").rename(top / ".git")
    git(top, "add", "--all")
    commit_all(top, "Move down")
    built(root, "1.2.0", "alpha")
    write(top, {"elsewhere/file.txt": ""})
    commit_all(top)
    git(top, "push", "--quiet", "--force", "origin", "HEAD:main")
    assert publish(root, "--dry-run").code == 0
    write(root, {"packages/alpha/alpha.py": "new = 1\n"})
    commit_all(top)
    refuses(publish(root), "packages/alpha/alpha.py changed in alpha")
