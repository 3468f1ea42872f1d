"""`bump --pull-request`: commit and pull request on fake forges, with real git."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from fake_forge import DROP, GitHubServer, GitLabServer, Reply, remote_on_forge
from projects import commit_all, everything, git, pair, remote_of, repository, shell, write
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_forge import ForgeServer
    from releases import SimulatedClock
    from running import RunResult

BRANCH = "relnox/release/main"
REF = f"refs/heads/{BRANCH}"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- {text}\n\n## [2.0.0] - 2026-01-01\n\n- Start\n"
REQUESTS = 5
"""At least as many as a run sends."""
CHANGES = ("POST", "PATCH", "PUT", "DELETE")


def propose(root: Path, *options: str, part: str = "minor", code: int | None = None) -> RunResult:
    ran = run_in_process(root, "bump", part, "--pull-request", *options, code=code)
    assert "Traceback" not in ran.err, ran.text
    return ran


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages in lockstep at 2.0.0, one of which pins the other, with a changelog."""
    root = pair(tmp_path / "pair")
    write(root, {"CHANGELOG.md": CHANGELOG.format(text="A mistake")})
    return repository(root)


@pytest.fixture(params=[GitHubServer, GitLabServer])
def forge(
    request: pytest.FixtureRequest, root: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ForgeServer]:
    """The remote on a forge; git itself reaches it in its directory."""
    del clock
    forge: ForgeServer = request.param(remote_of(root))
    with remote_on_forge(forge, root, monkeypatch.setenv):
        yield forge


@pytest.fixture
def github(root: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    del clock
    forge = GitHubServer(remote_of(root))
    with remote_on_forge(forge, root, monkeypatch.setenv):
        yield forge


def head_of(forge: ForgeServer) -> str:
    return forge.repository.commit_of(REF)


def is_proposed(forge: ForgeServer, root: Path, version: str = "2.1.0") -> None:
    """Check that there is one branch with one commit, as `bump --commit` makes it, and one open pull request."""
    head, main = head_of(forge), forge.repository.ref("refs/heads/main")
    assert git(remote_of(root), "rev-parse", f"{head}^@").split() == [main]
    branches = git(remote_of(root), "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert sorted(branches) == ["main", BRANCH]
    (request,) = (request for request in forge.pull_requests if request.state == "open")
    assert (request.head, request.base, request.title) == (BRANCH, "main", f"Release {version}")
    assert f"| 2.0.0 | {version} |" in (request.body or "")
    clone = root.parent / f"clone-{len(list(root.parent.iterdir()))}"
    git(root.parent, "clone", "--quiet", str(remote_of(root)), str(clone))
    git(clone, "config", "user.email", "me@example.invalid")
    git(clone, "config", "user.name", "Me")
    assert run_in_process(clone, "bump", "--to", version, "--commit").code == 0
    assert git(clone, "rev-parse", "HEAD^{tree}") == forge.repository.tree_of(head)


def foreign_commit(root: Path, files: dict[str, str], *options: str) -> str:
    """Push another user's commit to the branch of the pull request."""
    clone = root.parent / "colleague"
    git(root.parent, "clone", "--quiet", "--branch", BRANCH, str(remote_of(root)), str(clone))
    git(clone, "config", "user.email", "them@example.invalid")
    git(clone, "config", "user.name", "Them")
    write(clone, files)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", *options, *(() if options else ("--message", "Fix a word")))
    git(clone, "push", "--quiet", "--force", "origin", BRANCH)
    return git(clone, "rev-parse", "HEAD").strip()


# --- once, again, later ----------------------------------------------------------------------------


def test_the_bump_is_on_a_branch_and_nothing_changes_here(root: Path, forge: ForgeServer) -> None:
    before = everything(root)
    ran = propose(root, code=0)
    is_proposed(forge, root)
    assert len(forge.requests) <= REQUESTS
    assert "pull request 1: https://" in ran.err
    assert git(root, "status", "--porcelain") == ""
    git(root, "update-ref", "-d", f"refs/remotes/origin/{BRANCH}")  # where git notes each push
    assert everything(root)._replace(remote=before.remote) == before


def test_a_dry_run_shows_the_plan_and_sends_nothing(root: Path, forge: ForgeServer) -> None:
    ran = propose(root, "--dry-run", code=0)
    assert f"commit 3 files to branch {BRANCH} of origin  [remote]" in ran.out + ran.err
    assert '+version = "2.1.0"' in ran.out + ran.err
    assert forge.sent(*CHANGES) == []


def test_a_second_run_has_nothing_to_do(root: Path, forge: ForgeServer) -> None:
    assert propose(root).code == 0
    head, sent = head_of(forge), len(forge.sent(*CHANGES))
    again = propose(root, code=0)
    assert (head_of(forge), len(forge.sent(*CHANGES))) == (head, sent)
    assert "pull request 1 is up to date" in again.err


def test_the_open_pull_request_follows_the_release_branch(root: Path, forge: ForgeServer) -> None:
    assert propose(root).code == 0
    write(root, {"CHANGELOG.md": CHANGELOG.format(text="Another mistake")})  # conflicts with the first commit
    commit_all(root, push=True)
    ran = propose(root, code=0)
    assert "updates pull request 1" in ran.out + ran.err
    is_proposed(forge, root)
    assert "    - Another mistake" in str(forge.pull_requests[0].body)
    assert len(forge.pull_requests) == 1


def test_another_version_replaces_branch_title_and_body(root: Path, forge: ForgeServer) -> None:
    assert propose(root).code == 0
    assert propose(root, part="major").code == 0
    is_proposed(forge, root, "3.0.0")
    assert len(forge.pull_requests) == 1


def test_a_closed_pull_request_is_followed_by_a_new_one(root: Path, forge: ForgeServer) -> None:
    assert propose(root).code == 0
    forge.pull_requests[0].state = "closed"
    propose(root, code=0)
    is_proposed(forge, root)
    assert [request.state for request in forge.pull_requests] == ["closed", "open"]


def test_the_report_has_number_and_address(root: Path, forge: ForgeServer, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert propose(root, "--report", str(report)).code == 0
    tables = {table["title"]: table for table in json.loads(report.read_text())["tables"]}
    assert tables["pull request"]["columns"] == ["number", "address", "title"]
    ((number, address, title),) = tables["pull request"]["rows"]
    assert (number, title) == ("1", "Release 2.1.0")
    assert address.startswith("https://")
    assert address.endswith("/1")
    assert len(forge.pull_requests) == 1


# --- what it contains ------------------------------------------------------------------------------


def test_text_of_the_changelog_notifies_no_user_and_closes_nothing(root: Path, github: GitHubServer) -> None:
    text = "fixes #1, closes https://github.com/acme/demo/issues/2 by @someone <img src=x> ```\n/merge"
    write(root, {"CHANGELOG.md": CHANGELOG.format(text=text)})
    commit_all(root, push=True)
    assert propose(root).code == 0
    body = str(github.pull_requests[0].body)
    assert (
        "    - fixes #1, closes https://github.com/acme/demo/issues/2 by @someone <img src=x> ```\n    /merge"
        in body
    )


@pytest.mark.parametrize("name", ["script.sh", "windows.txt"])
def test_modes_and_line_ends_are_those_of_git(root: Path, github: GitHubServer, name: str) -> None:
    write(root, {".gitattributes": "*.txt text eol=crlf\n", name: "version 2.0.0\n"})
    (root / name).chmod(0o755)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(
            f"\n[[tool.relnox.version-files]]\nfile = '{name}'\npattern = 'version (?P<version>[0-9.]+)'\n"
        )
    commit_all(root, push=True)
    (root / name).unlink()
    git(root, "checkout", "--", name)
    propose(root, code=0)
    head = head_of(github)
    assert git(remote_of(root), "cat-file", "-s", f"{head}:{name}") == str(len("version 2.1.0\n"))
    assert git(remote_of(root), "ls-tree", head, name).startswith("100755 ")


def test_a_project_in_a_directory_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "top"
    root = pair(top / "python")
    repository(top)
    with remote_on_forge(GitHubServer(remote_of(top)), top, monkeypatch.setenv):
        propose(root, code=0)
    changed = git(remote_of(top), "diff", "--name-only", "main", BRANCH).split()
    assert changed
    assert all(name.startswith("python/") for name in changed)


# --- what blocks it --------------------------------------------------------------------------------


SAVE = "git add -A && git commit -qm x && git push -q origin HEAD"


@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        *(("", options, "cannot be combined with") for options in ("--commit", "--commit --tag", "--undo")),
        ("touch new; git add new; git commit -qm x", "", "is not the head of main on origin"),
        ("", "--then-dev", "cannot be combined"),
        ("git config user.useConfigOnly true; git config user.name ''", "", "[committer-unknown]"),
        (f"touch new; {SAVE}; git reset -q --hard HEAD^", "", "[branch-behind]"),
        ("git push -q origin main:refs/tags/v2.0.0 main:refs/tags/v2.1.0", "", "tag v2.1.0 already exists"),
        ("git rm -q --cached CHANGELOG.md; git commit -qm x; git push -q", "", "[file-untracked]"),
        ("git update-index --assume-unchanged CHANGELOG.md", "", "[git-setting-invalid]"),
        (f"git switch -qc {BRANCH}; git push -q origin {BRANCH}", "--allow-branch", "[branch-wrong]"),
        *(("echo secret >> CHANGELOG.md", options, "[tree-dirty]") for options in ("", "--allow-dirty")),
        (
            f"cd packages/top; mv pyproject.toml ../../top.toml; ln -s ../../top.toml pyproject.toml; {SAVE}",
            "",
            "packages/top/pyproject.toml: a symbolic link cannot be edited in a pull request [file-is-link]",
        ),
        (
            f"mv packages/top elsewhere; ln -s ../elsewhere packages/top; {SAVE}",
            "",
            "packages/top: a symbolic link cannot be edited in a pull request [file-is-link]",
        ),
    ],
)
def test_what_blocks_a_pull_request_before_anything_is_sent(  # noqa: PLR0917 - a table
    root: Path, github: GitHubServer, monkeypatch: pytest.MonkeyPatch, script: str, options: str, words: str
) -> None:
    subprocess.run(script, shell=True, cwd=root, check=True, capture_output=True)
    monkeypatch.delenv("GIT_AUTHOR_NAME", raising=False)
    before = everything(root)
    ran = propose(root, *options.split(), code=4 if words.startswith("tag ") else 1)
    assert words in ran.err
    assert github.sent(*CHANGES) == []
    assert everything(root) == before


def test_a_push_that_the_remote_rejects(root: Path, github: GitHubServer) -> None:
    hook = shell(remote_of(root) / "hooks/pre-receive", "echo 'commits must be signed' >&2\nexit 1")
    ran = propose(root, code=2)
    assert "commits must be signed" in ran.err
    assert "[push-rejected]" in ran.err
    assert github.sent(*CHANGES) == []
    hook.unlink()
    assert propose(root).code == 0
    is_proposed(github, root)


def test_the_commit_is_signed_as_git_is_configured(root: Path, github: GitHubServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", f"{key}.pub"), ("commit.gpgSign", "true")):
        git(root, "config", name, value)
    assert propose(root).code == 0
    assert "\ngpgsig -----BEGIN SSH SIGNATURE-----" in git(remote_of(root), "cat-file", "commit", head_of(github))


def test_a_detached_checkout_of_the_head_is_enough(root: Path, github: GitHubServer) -> None:
    git(root, "checkout", "--quiet", "--detach")
    propose(root, code=0)
    assert propose(root).code == 0
    is_proposed(github, root)


def test_a_shallow_clone_is_enough(root: Path, github: GitHubServer) -> None:
    assert propose(root).code == 0
    write(root, {"new.txt": "new\n"})
    commit_all(root, push=True)
    shallow = root.parent / "shallow"
    git(root.parent, "clone", "--quiet", "--depth", "1", remote_of(root).as_uri(), str(shallow))
    git(shallow, "config", f"url.{remote_of(root).as_uri()}.insteadOf", github.remote)
    git(shallow, "remote", "set-url", "origin", github.remote)
    for _ in range(2):
        propose(shallow, code=0)
    assert git(shallow, "rev-parse", "--is-shallow-repository").strip() == "true"
    is_proposed(github, root)
    assert len(github.pull_requests) == 1


@pytest.mark.parametrize("options", [(), ("--amend", "--no-edit")])
def test_changes_of_others_on_the_branch_are_not_overwritten(
    root: Path, github: GitHubServer, options: tuple[str, ...]
) -> None:
    assert propose(root).code == 0
    theirs = foreign_commit(root, {"fix.txt": "fix\n"}, *options)
    ran = propose(root, code=1)
    assert "has a change that relnox did not make" in ran.err
    assert "fix: merge the pull request; or move the change to main" in ran.err
    assert head_of(github) == theirs
    git(root, "push", "--quiet", "origin", "--delete", BRANCH)
    propose(root, code=0)
    is_proposed(github, root)


def test_a_branch_that_another_run_made_meanwhile_is_not_overwritten(root: Path, github: GitHubServer) -> None:
    plan = root.parent / "plan.json"
    assert propose(root, "--dry-run", "--plan", str(plan)).code == 0
    main = github.repository.commit_of("refs/heads/main")
    theirs = github.repository.commit(github.repository.tree_of(main), [main], "Theirs")
    github.repository.set_ref(REF, theirs)
    ran = propose(root, "--expect-plan", str(plan))
    assert ran.code != 0
    assert head_of(github) == theirs


def test_a_release_that_is_not_tagged_yet_blocks_the_next_one(root: Path, github: GitHubServer) -> None:
    git(root, "tag", "--annotate", "--message", "v2.0.0", "v2.0.0")
    git(root, "push", "--quiet", "origin", "v2.0.0")
    write(root, {"packages/base/new.py": "new = 1\n"})
    commit_all(root, "feat: Something new", push=True)
    assert propose(root, part="auto").code == 0
    is_proposed(github, root)
    github.merge(1)
    git(root, "pull", "--quiet", "--ff-only", "origin", "main")
    ran = propose(root, part="auto", code=1)
    assert "2.1.0 is not tagged yet (its last tag is v2.0.0)" in ran.err
    assert "auto-tag" in ran.err
    assert run_in_process(root, "auto-tag", "--no-check-index").code == 0
    ran = propose(root, part="auto", code=0)
    assert len(github.pull_requests) == 1


# --- interrupted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("number", range(REQUESTS))
@pytest.mark.parametrize("failure", ["rejected", "lost", pytest.param("killed", marks=pytest.mark.heavy)])
def test_a_run_that_fails_at_any_request_is_finished_by_the_same_command(
    root: Path, forge: ForgeServer, failure: str, number: int, stored: bool
) -> None:
    if failure == "killed":
        words = ["bump", "minor", "--pull-request", "--project", str(root)]
        forge.kill_at_request(number, words, stored=stored)
    else:
        reply = DROP if failure == "lost" else Reply(400, {"message": "Bad"})
        forge.fail("", reply, stored=stored, skip=number)
        assert propose(root).code == 0 or failure == "rejected"
    forge.faults.clear()
    propose(root, code=0)
    is_proposed(forge, root)
    assert len(forge.pull_requests) == 1


# --- merged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_the_merged_versions_are_tagged(root: Path, github: GitHubServer, how: str) -> None:
    git(root, "tag", "--annotate", "--message", "v2.0.0", "v2.0.0")
    git(root, "push", "--quiet", "origin", "v2.0.0")
    assert propose(root).code == 0
    tree = github.repository.tree_of(head_of(github))
    if how == "rebase":
        main, head = github.repository.commit_of("refs/heads/main"), head_of(github)
        message = git(remote_of(root), "log", "-1", "--format=%B", head)
        github.repository.set_ref("refs/heads/main", github.repository.commit(tree, [main], message))
        github.pull_requests[0].state = "merged"
    else:
        github.merge(1, squash=how == "squash")
    git(root, "pull", "--quiet", "--ff-only", "origin", "main")
    assert github.repository.tree_of("refs/heads/main") == tree
    run_in_process(root, "auto-tag", "--no-check-index", code=0)
    assert github.repository.commit_of("refs/tags/v2.1.0") == github.repository.ref("refs/heads/main")
    propose(root, part="patch", code=0)
    assert [request.state for request in github.pull_requests] == ["merged", "open"]


def test_a_link_beside_the_edited_files_stays_a_link(root: Path, github: GitHubServer) -> None:
    (root / "notes.md").symlink_to("CHANGELOG.md")
    commit_all(root, "Link", push=True)
    assert propose(root).code == 0
    modes = git(remote_of(root), "ls-tree", head_of(github), "notes.md").split()
    assert modes[0] == "120000"


def test_what_a_person_has_done_stays_done(root: Path, forge: ForgeServer) -> None:
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('check.manual = [{ title = "Ask the designers" }, { title = "Announce it", when = "after" }]\n')
    commit_all(root, "fix: more", push=True)
    assert propose(root).code == 0
    (request,) = forge.pull_requests
    assert "- [ ] Ask the designers\n- [ ] Announce it (after publishing)\n" in (request.body or "")
    request.body = (request.body or "").replace("- [ ] Ask", "- [x] Ask")
    assert "is up to date" in propose(root, "--verbose").err
    assert propose(root, part="major").code == 0
    assert "- [x] Ask the designers\n- [ ] Announce it" in (request.body or "")
    assert "3.0.0" in (request.body or "")
