"""From where one publishes and pushes: the remote's release branch, release tags, the branch's upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import releases
from projects import commit_all, git, repository, single, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump, RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy


def project(root: Path, shop: Trusting, settings: str = 'branch = "main"') -> Path:
    single(root)
    text = (root / "pyproject.toml").read_text()
    write(root, {"pyproject.toml": f"{text}\n[tool.relnox]\n{settings}\n{shop.settings('shop', production=True)}"})
    return repository(root)


def change(root: Path) -> str:
    write(root, {"src/demo/new.py": ""})
    return commit_all(root)


def publish(root: Path, *options: str, code: int | None = None) -> RunResult:
    """Publish a build of the current commit to the production index."""
    wheel = releases.made_wheel(root / "dist", "demo", version="1.2.3")
    releases.write_manifest(root, [wheel], {}, commit=git(root, "rev-parse", "HEAD"))
    return run_in_process(root, "publish", "--index", "shop", "--yes", *options, code=code)


@pytest.mark.parametrize("settings", ['branch = "main"', ""])
def test_a_commit_that_is_nowhere_else_is_not_published(settings: str, tmp_path: Path, shop: Trusting) -> None:
    root = project(tmp_path / "demo", shop, settings)
    git(root, "switch", "--quiet", "--create", "feature")
    commit = change(root)
    ran = publish(root, code=1)
    assert (
        f"commit {commit[:10]} of the build is not on the release branch (main of origin) and has no release tag"
    ) in ran.err
    git(root, "push", "--quiet", "--set-upstream", "origin", "feature")  # another branch does not count
    assert publish(root).code == 1
    assert not shop.hashes
    assert publish(root, "--allow-branch").code == 0


@pytest.mark.parametrize("pushed", [True, False])
def test_a_release_tag_is_enough(tmp_path: Path, shop: Trusting, *, pushed: bool) -> None:
    root = project(tmp_path / "demo", shop)
    change(root)
    git(root, "tag", "latest")  # not a release tag
    assert publish(root).code == 1
    git(root, "tag", "v1.2.3")
    if pushed:
        git(root, "push", "--quiet", "origin", "v1.2.3")
        git(root, "tag", "--delete", "v1.2.3")
    git(root, "switch", "--quiet", "--detach")
    assert publish(root).code == 0


@pytest.mark.parametrize("commits_since", [0, 1])
def test_shallow_clones_of_ci_jobs_publish(tmp_path: Path, shop: Trusting, commits_since: int) -> None:
    root = project(tmp_path / "demo", shop)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", (tmp_path / "demo.git").as_uri(), str(clone))
    git(clone, "switch", "--quiet", "--detach")
    git(clone, "branch", "--quiet", "--delete", "--force", "main")
    git(clone, "update-ref", "-d", "refs/remotes/origin/main")
    for _ in range(commits_since):
        change(root)
        git(root, "push", "--quiet", "origin", "main")
    assert publish(clone).code == 0


def test_the_tag_of_the_job_is_enough(tmp_path: Path, shop: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "demo", shop)
    change(root)
    git(root, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    ran = publish(root, code=1)
    assert "git cannot connect to remote origin" in ran.err
    assert "to ignore it: --allow-branch" in ran.err
    monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    monkeypatch.setenv("GITHUB_REF_NAME", "v1.2.3")
    assert publish(root).code == 0


def test_without_a_remote_every_commit_is_published(tmp_path: Path, shop: Trusting) -> None:
    root = project(tmp_path / "demo", shop)
    git(root, "remote", "remove", "origin")
    change(root)
    assert publish(root).code == 0


def test_a_branch_of_the_remote_in_the_settings_is_pushed_there(tmp_path: Path, bump: Bump) -> None:
    single(tmp_path / "demo")
    path = tmp_path / "demo" / "pyproject.toml"
    path.write_text(f'{path.read_text()}\n[tool.relnox]\nremote = "upstream"\n')
    root = repository(tmp_path / "demo")
    git(root, "remote", "rename", "origin", "upstream")
    assert bump(root, "--part", "minor", "--commit", "--tag", "--push").code == 0
    assert git(tmp_path / "demo.git", "rev-parse", "v1.3.0^{commit}") == git(root, "rev-parse", "HEAD")
