"""Tags of merged versions: with real git, a bare remote and its hooks."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from package_index import serving
from projects import HATCHLING, commit_all, everything, git, remote_of, repository, shell, write
from running import run_in_process
from stops import count_stops, stopped

if TYPE_CHECKING:
    from pathlib import Path

    from releases import SimulatedClock
    from running import RunResult

NAMES = ("core", "agents", "vespa", "runtime", "studio")
TARGETS = '[tool.relnox.targets]\nfinal = "shop"\n[tool.relnox.indexes.shop]\nproduction = true\n'
SETTINGS = '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\ntag-format = "{name}-v{version}"\n'
WITHOUT_INDEX = "[tool.relnox.tag]\ncheck-index = false\n"


def bump(root: Path, version: str, *names: str) -> str:
    """Commit another version of packages."""
    for name in names:
        write(root, {f"packages/{name}/pyproject.toml": pyproject(name, version)})
    return commit_all(root, f"Bump {', '.join(names)} to {version}")


def pyproject(name: str, version: str) -> str:
    return f'[project]\nname = "{name}"\nversion = "{version}"\n\n{HATCHLING}'


def merged(root: Path, version: str, *names: str) -> str:
    """Commit another version of packages, and push it to main."""
    commit = bump(root, version, *names)
    git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    return commit


def tag(root: Path, *options: str, code: int = 0) -> RunResult:
    ran = run_in_process(root, "auto-tag", *options, code=code)
    assert "Traceback" not in ran.err, ran.text
    return ran


def tags_of(root: Path) -> dict[str, str]:
    """The remote's tags, each with its commit."""
    lines = git(
        remote_of(root), "for-each-ref", "--format=%(refname:strip=2) %(*objectname) %(objectname)", "refs/tags"
    )
    return {line.split()[0]: line.split()[1] for line in lines.splitlines()}


def hook(root: Path, name: str, script: str) -> None:
    """Put a hook into the remote."""
    shell(remote_of(root) / "hooks" / name, script)


def clone(root: Path, name: str, *options: str) -> Path:
    """Clone the remote; over file://, so that a clone can be shallow."""
    copy = root.parent / name
    git(root.parent, "clone", "--quiet", *options, remote_of(root).as_uri(), str(copy))
    return copy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five packages at 1.0.0, all of them tagged."""
    files = {f"packages/{name}/pyproject.toml": pyproject(name, "1.0.0") for name in NAMES}
    root = repository(write(tmp_path / "demo", {"pyproject.toml": SETTINGS + WITHOUT_INDEX, **files}))
    for name in NAMES:
        git(root, "tag", "--annotate", "--message", name, f"{name}-v1.0.0")
    git(root, "push", "--quiet", "--tags", "origin")
    return root


# --- what is tagged


def test_only_packages_with_another_version_are_tagged(root: Path) -> None:
    commit = merged(root, "1.1.0", "core", "vespa")
    ran = tag(root)
    tags = tags_of(root)
    assert {name for name, target in tags.items() if target == commit} == {"core-v1.1.0", "vespa-v1.1.0"}
    assert len(tags) == 7
    assert git(root, "cat-file", "-t", "core-v1.1.0") == "tag"
    assert "tagged at" in ran.out


def test_nothing_changed_is_nothing_done(root: Path) -> None:
    before = everything(root)
    for _ in range(2):
        tag(root)
    assert everything(root) == before
    merged(root, "1.1.0", "core")
    tag(root)
    before = everything(root)
    again = tag(root)
    assert "tagged at HEAD" in again.out
    assert everything(root) == before


def test_a_dry_run_says_it_all_and_changes_nothing(root: Path) -> None:
    merged(root, "1.1.0", *NAMES)
    before = everything(root)
    ran = tag(root, "--dry-run")
    assert everything(root) == before
    assert ran.out.count("new, after") == len(NAMES)
    assert "push agents-v1.1.0, core-v1.1.0, runtime-v1.1.0 to origin  [remote]" in ran.out + ran.err
    assert "push studio-v1.1.0, vespa-v1.1.0 to origin  [remote]" in ran.out + ran.err


def test_a_package_that_was_never_tagged_is_reported(root: Path) -> None:
    write(root, {"packages/extra/pyproject.toml": pyproject("extra", "0.1.0")})
    merged(root, "1.1.0", "core")
    ran = tag(root)
    assert "extra 0.1.0 is never tagged, and gets no tag" in ran.out + ran.err
    assert "auto-tag --project" in ran.err
    assert "--package extra" in ran.err
    assert {"core-v1.1.0"} == {name for name in tags_of(root) if "1.0.0" not in name}
    tag(root, "--package", "extra")
    assert "extra-v0.1.0" in tags_of(root)


def test_a_first_version_that_the_commit_releases_is_tagged(root: Path) -> None:
    write(root, {"packages/extra/pyproject.toml": pyproject("extra", "0.1.0")})
    commit_all(root, "Add a package\n\nRelease: extra 0.1.0")
    git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    tag(root)
    assert "extra-v0.1.0" in tags_of(root)


def test_a_version_on_the_production_index_is_reported(root: Path) -> None:
    with serving(write(root.parent, {"core-1.1.0.tar.gz": "core"}) / "core-1.1.0.tar.gz") as index:
        settings = f'{TARGETS}upload = "{index.simple_url}"\nsimple = "{index.simple_url}"\n'
        write(root, {"pyproject.toml": SETTINGS + settings})
        merged(root, "1.1.0", "core", "vespa")
        ran = tag(root, "--dry-run")
        assert "core 1.1.0 is already on shop, and gets no tag" in ran.out + ran.err
        tag(root)
        assert {name for name in tags_of(root) if "1.1.0" in name} == {"vespa-v1.1.0"}
        tag(root, "--package", "core", "--no-check-index")
        assert "core-v1.1.0" in tags_of(root)


def test_an_index_that_does_not_answer_is_waited_for_later(root: Path, clock: SimulatedClock) -> None:
    del clock
    settings = f'{TARGETS}upload = "http://127.0.0.1:9/"\nsimple = "http://127.0.0.1:9/"\n'
    write(root, {"pyproject.toml": SETTINGS + settings})
    merged(root, "1.1.0", "core")
    before = everything(root)
    ran = tag(root, code=5)
    assert "cannot read the files of core on shop" in ran.err
    assert "or skip the check: --no-check-index" in ran.err
    assert everything(root) == before
    tag(root, "--no-check-index")


def test_a_lower_version_is_rejected(root: Path) -> None:
    merged(root, "0.9.0", "core")
    before = everything(root)
    ran = tag(root, code=1)
    assert "core 0.9.0 is lower than the last tag, core-v1.0.0" in ran.err
    assert everything(root) == before


def test_a_development_version_gets_no_tag(root: Path) -> None:
    merged(root, "1.1.0.dev0", "core")
    ran = tag(root)
    assert "development version" in ran.out
    assert len(tags_of(root)) == len(NAMES)


def test_files_with_different_versions_are_named_and_nothing_is_tagged(root: Path) -> None:
    write(root, {"packages/core/core/__init__.py": '__version__ = "1.0.9"\n'})
    merged(root, "1.1.0", "core")
    before = everything(root)
    ran = tag(root, code=1)
    assert "the files of core contain different versions" in ran.err
    assert "  1.1.0: packages/core/pyproject.toml\n" in ran.err
    assert "  1.0.9: packages/core/core/__init__.py" in ran.err
    assert everything(root) == before


def test_packages_in_lockstep_get_one_tag(root: Path) -> None:
    settings = '[tool.relnox]\npackages = ["packages/*"]\nversions = "lockstep"\n'
    write(root, {"pyproject.toml": settings + WITHOUT_INDEX})
    git(root, "tag", "v1.0.0")
    merged(root, "1.1.0", *NAMES)
    ran = tag(root, code=1)
    assert "they have several forms" in ran.err
    write(root, {"pyproject.toml": settings + 'tag-format = "v{version}"\n' + WITHOUT_INDEX})
    commit_all(root, push=True)
    tag(root)
    assert {name for name in tags_of(root) if "1.1.0" in name} == {"v1.1.0"}
    merged(root, "1.2.0", "core")
    ran = tag(root, code=1)
    assert "packages with common tags have different versions" in ran.err
    merged(root, "0.9.0", *NAMES)
    ran = tag(root, code=1)
    assert (ran.err.count("lower than the last tag"), ran.err.count("fix:")) == (1, 1)
    assert "agents, core, runtime, studio and 1 more 0.9.0 are lower than the last tag, v1.1.0" in ran.err
    command = ran.err.split("fix: relnox ")[1].splitlines()[0].replace("VERSION", "1.3.0")
    assert run_in_process(root, *command.split(), "--dry-run").code == 0


def test_packages_in_lockstep_without_tags_get_one_note(root: Path) -> None:
    settings = '[tool.relnox]\npackages = ["packages/*"]\nversions = "lockstep"\ntag-format = "r{version}"\n'
    write(root, {"pyproject.toml": settings + WITHOUT_INDEX})
    git(root, "tag", "--delete", *(f"{name}-v1.0.0" for name in NAMES))
    git(root, "push", "--quiet", "origin", "--delete", *(f"{name}-v1.0.0" for name in NAMES))
    commit_all(root, push=True)
    ran = tag(root)
    assert ran.err.count("gets no tag") + ran.err.count("get no tag") == 1
    assert "agents, core, runtime, studio and 1 more 1.0.0 are never tagged, and get no tag" in ran.err
    tag(root, "--package", "agents")
    assert tags_of(root) == {"r1.0.0": git(root, "rev-parse", "HEAD")}


def test_a_name_that_git_cannot_have_leaves_nothing(root: Path) -> None:
    write(root, {"pyproject.toml": SETTINGS.replace("{name}-v", "{name}/v") + WITHOUT_INDEX})
    git(root, "tag", "core")
    merged(root, "1.1.0", "core")
    before = everything(root)
    ran = tag(root, "--package", "core", code=2)
    assert "'refs/tags/core' exists" in ran.err
    assert everything(root) == before


# --- tags that exist


@pytest.mark.parametrize("name", ["core-v1.1", "core==1.1.0"])
def test_a_tag_of_another_tool_counts(root: Path, name: str) -> None:
    merged(root, "1.1.0", "core")
    git(root, "push", "--quiet", "origin", f"HEAD:refs/tags/{name}")  # lightweight, and in another form
    before = everything(root)
    tag(root)
    assert everything(root) == before


def test_the_form_in_the_settings_follows_tags_in_another_form(root: Path) -> None:
    write(root, {"packages/extra/pyproject.toml": pyproject("extra", "0.2.0")})
    git(root, "push", "--quiet", "origin", "HEAD:refs/tags/extra==0.1.0")
    merged(root, "1.2.0", "vespa")
    ran = tag(root, "--package", "extra")
    assert "new, after extra==0.1.0" in ran.out
    assert "extra-v0.2.0" in tags_of(root)


def test_a_job_that_is_rerun_on_an_old_commit_is_done(root: Path) -> None:
    old = merged(root, "1.1.0", "core")
    tag(root)
    merged(root, "1.2.0", "core")
    tag(root)
    git(root, "switch", "--quiet", "--detach", old)
    before = everything(root)
    tag(root)
    assert everything(root) == before


def test_a_tag_on_a_later_commit_with_that_version_is_done(root: Path) -> None:
    old = merged(root, "1.1.0", "core")
    write(root, {"more.txt": "more\n"})
    later = commit_all(root, push=True)
    tag(root)
    git(root, "switch", "--quiet", "--detach", old)
    ran = tag(root)
    assert f"tagged at {later[:10]}" in ran.out


def test_a_tag_on_a_commit_with_another_version_is_a_conflict(root: Path) -> None:
    start = git(root, "rev-parse", "HEAD")
    head = merged(root, "1.1.0", "core")
    git(root, "tag", "core-v1.1.0", start)
    git(root, "push", "--quiet", "origin", "core-v1.1.0")
    before = everything(root)
    ran = tag(root, code=4)
    assert (
        f"tag core-v1.1.0 is on {start[:10]}, which has core 1.0.0; HEAD ({head[:10]}) has core 1.1.0" in ran.err
    )
    assert everything(root) == before


def test_a_tag_on_another_branch_is_a_conflict(root: Path) -> None:
    git(root, "switch", "--quiet", "--create", "side")
    write(root, {"side.txt": "side\n"})
    side = bump(root, "1.1.0", "core")
    git(root, "push", "--quiet", "origin", f"{side}:refs/tags/core-v1.1.0")
    git(root, "switch", "--quiet", "main")
    git(root, "branch", "--quiet", "-D", "side")
    merged(root, "1.1.0", "core")
    ran = tag(clone(root, "other", "--no-tags", "--single-branch"), code=4)
    assert f"tag core-v1.1.0 is on {side[:10]}, which is on another branch" in ran.err


def test_a_moved_tag_is_a_conflict(root: Path) -> None:
    first = merged(root, "1.1.0", "core")
    git(root, "tag", "core-v1.1.0")
    write(root, {"more.txt": "more\n"})
    second = commit_all(root)
    git(root, "push", "--quiet", "origin", "main", f"{second}:refs/tags/core-v1.1.0")
    ran = tag(root, code=4)
    assert f"tag core-v1.1.0 is on {first[:10]} here, but on {second[:10]} on origin" in ran.err


def test_a_tag_that_was_not_pushed_is_pushed(root: Path) -> None:
    commit = merged(root, "1.1.0", "core")
    tag(root, "--no-push")
    assert "core-v1.1.0" not in tags_of(root)
    write(root, {"more.txt": "more\n"})
    commit_all(root, push=True)
    tag(root)
    assert tags_of(root)["core-v1.1.0"] == commit


# --- branches and clones


def test_a_commit_that_the_release_branch_lacks_is_blocked(root: Path) -> None:
    head = bump(root, "1.1.0", "core")
    ran = tag(root, code=1)
    assert f"HEAD ({head[:10]}) is not on branch main of origin yet" in ran.err
    git(root, "reset", "--quiet", "--hard", "HEAD^")
    merged(root, "1.1.0", "vespa")
    git(root, "switch", "--quiet", "--detach", head)
    ran = tag(root, code=1)
    assert f"HEAD ({head[:10]}) is not on the release branch (main of origin)" in ran.err
    assert len(tags_of(root)) == len(NAMES)


def test_a_branch_that_the_settings_do_not_name_is_blocked(root: Path) -> None:
    text = SETTINGS.replace("[tool.relnox]\n", '[tool.relnox]\nbranch = "main"\n') + WITHOUT_INDEX
    write(root, {"pyproject.toml": text})
    merged(root, "1.1.0", "core")
    git(root, "switch", "--quiet", "--create", "feature")
    assert "[branch-not-allowed]" in tag(root, code=1).err
    assert git(root, "tag", "--list", "core-v1.1.0") == ""


def test_a_detached_checkout_of_an_older_commit_is_tagged(root: Path) -> None:
    merged(root, "1.1.0", "core")
    job = clone(root, "job")
    old = git(job, "rev-parse", "HEAD")
    git(job, "switch", "--quiet", "--detach")
    merged(root, "1.1.0", "vespa")  # the job does not have this commit
    tag(job)
    assert tags_of(root)["core-v1.1.0"] == old
    assert "vespa-v1.1.0" not in tags_of(root)


def test_a_shallow_clone_without_tags_asks_the_remote(root: Path) -> None:
    merged(root, "1.1.0", "core")
    job = clone(root, "job", "--depth=1", "--no-tags")
    git(job, "switch", "--quiet", "--detach")
    merged(root, "1.1.0", "vespa")
    ran = tag(job)
    assert {name for name in tags_of(root) if "1.1.0" in name} == {"core-v1.1.0"}
    assert "(not in this shallow clone)" in ran.out
    assert git(job, "rev-parse", "--is-shallow-repository") == "true"
    tag(clone(root, "again", "--depth=1", "--no-tags"))
    assert {name for name in tags_of(root) if "1.1.0" in name} == {"core-v1.1.0", "vespa-v1.1.0"}


# --- pushes


def test_no_push_has_more_than_three_tags(root: Path) -> None:
    journal = root.parent / "pushes"
    hook(root, "pre-receive", f"wc -l >> '{journal}'")
    merged(root, "1.1.0", *NAMES)
    journal.unlink()
    tag(root)
    assert journal.read_text(encoding="utf-8").split() == ["3", "2"]


def test_a_remote_without_atomic_pushes_gets_one_tag_at_a_time(root: Path) -> None:
    git(remote_of(root), "config", "receive.advertiseAtomic", "false")
    merged(root, "1.1.0", "core", "vespa")
    tag(root)
    assert {name for name in tags_of(root) if "1.1.0" in name} == {"core-v1.1.0", "vespa-v1.1.0"}


def test_a_rejected_tag_leaves_nothing(root: Path) -> None:
    hook(root, "update", '[ "$1" != refs/tags/vespa-v1.1.0 ] || { echo "tag rule: ask the owners"; exit 1; }')
    merged(root, "1.1.0", "core", "vespa")
    before = everything(root)
    ran = tag(root, code=2)
    assert "tag rule: ask the owners" in ran.err
    assert "[push-rejected]" in ran.err
    assert everything(root) == before
    (remote_of(root) / "hooks" / "update").unlink()
    tag(root)
    assert len(tags_of(root)) == len(NAMES) + 2


def test_a_later_push_that_is_rejected_leaves_the_run_partly_public(root: Path) -> None:
    hook(root, "update", '[ "$1" != refs/tags/vespa-v1.1.0 ] || exit 1')
    merged(root, "1.1.0", *NAMES)
    tag(root, code=3)
    pushed = {name for name in tags_of(root) if "1.1.0" in name}
    assert len(pushed) == 3
    assert {name for name in git(root, "tag").split() if "1.1.0" in name} == pushed
    (remote_of(root) / "hooks" / "update").unlink()
    tag(root)
    assert len(tags_of(root)) == 2 * len(NAMES)


def test_an_answer_that_is_lost_is_no_failure(root: Path) -> None:
    """The remote has the tags, and the connection ends before it says so."""
    hook(root, "post-update", "kill -9 $PPID")
    merged_tags = merged_without_hook(root, "1.1.0", "core", "vespa")
    tag(root)
    assert merged_tags == {name: tags_of(root)[name] for name in merged_tags}


def merged_without_hook(root: Path, version: str, *names: str) -> dict[str, str]:
    path = remote_of(root) / "hooks" / "post-update"
    script = path.read_bytes()
    path.unlink()
    commit = merged(root, version, *names)
    path.write_bytes(script)
    path.chmod(0o755)
    return {f"{name}-v{version}": commit for name in names}


def test_tags_are_signed_where_git_says_so(root: Path) -> None:
    key = root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    merged(root, "1.1.0", "core")
    git(root, "config", "tag.gpgSign", "true")
    git(root, "config", "gpg.format", "ssh")
    git(root, "config", "user.signingKey", str(key))
    tag(root)
    assert "BEGIN SSH SIGNATURE" in git(remote_of(root), "cat-file", "tag", "core-v1.1.0")


def test_a_job_without_an_identity_is_blocked_before_anything_is_done(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged(root, "1.1.0", "core")
    git(root, "config", "--unset", "user.name")
    git(root, "config", "--unset", "user.email")
    git(root, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    ran = tag(root, code=1)
    assert "[committer-unknown]" in ran.err
    monkeypatch.setenv("GIT_COMMITTER_NAME", "release job")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "release@example.invalid")
    tag(root)


# --- two runs


def other_tags_at_once(root: Path, *names: str, at: str = "HEAD") -> None:
    """Have another run push tags right before a push of this one: the hook of the client runs after its look."""
    other = clone(root, "other-run")
    refs = " ".join(f"refs/tags/{name}:refs/tags/{name}" for name in names)
    create = "\n".join(f"git -C '{other}' tag -a -m other {name} {at}" for name in names)
    path = root / ".git" / "hooks" / "pre-push"
    path.write_text(
        f"#!/bin/sh\nunset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_PREFIX\n"
        f"[ -e '{other}/done' ] && exit 0\n{create}\n"
        f"git -C '{other}' push --quiet origin {refs} && touch '{other}/done'\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


@pytest.mark.parametrize("faster", [("core-v1.1.0",), ("core-v1.1.0", "vespa-v1.1.0")])
def test_of_two_runs_the_slower_one_ends_well(root: Path, faster: tuple[str, ...]) -> None:
    commit = merged(root, "1.1.0", "core", "vespa")
    other_tags_at_once(root, *faster)
    ran = tag(root)
    assert f"tagged by another run: {', '.join(faster)}" in ran.err
    tags = tags_of(root)
    assert tags["core-v1.1.0"] == tags["vespa-v1.1.0"] == commit
    assert "other" in git(remote_of(root), "cat-file", "tag", "core-v1.1.0")
    git(root, "fetch", "--tags")  # no local tag is in the way
    tag(root)


def test_a_faster_run_on_the_commit_before_ends_well(root: Path) -> None:
    merged(root, "1.1.0", "core")
    write(root, {"more.txt": "more\n"})
    commit_all(root, push=True)
    other_tags_at_once(root, "core-v1.1.0", at="HEAD^")
    ran = tag(root)
    assert "tagged by another run: core-v1.1.0" in ran.err


def test_a_faster_run_on_another_branch_is_a_conflict(root: Path) -> None:
    git(root, "switch", "--quiet", "--create", "side")
    write(root, {"side.txt": "side\n"})
    side = commit_all(root)
    git(root, "push", "--quiet", "origin", "side")
    git(root, "switch", "--quiet", "main")
    merged(root, "1.1.0", "core")
    other_tags_at_once(root, "core-v1.1.0", at=side)
    ran = tag(root, code=4)
    assert f"but origin has it on {side[:10]} (on another branch)" in ran.err


def test_two_processes_at_once_make_each_tag_once(root: Path) -> None:
    commit = merged(root, "1.1.0", *NAMES)
    jobs = [clone(root, f"job{number}", "--depth=1", "--no-tags") for number in range(2)]
    words = [sys.executable, "-m", "relnox", "auto-tag", "--reporter", "plain", "--project"]
    running = [subprocess.Popen([*words, str(job)], stderr=subprocess.PIPE, text=True) for job in jobs]
    for process in running:
        _, text = process.communicate(timeout=120)
        assert process.returncode == 0, text
    assert {name: target for name, target in tags_of(root).items() if "1.1.0" in name} == {
        f"{name}-v1.1.0": commit for name in NAMES
    }


# --- killed


@pytest.mark.heavy
def test_a_run_that_is_killed_is_finished_by_the_same_command(root: Path) -> None:
    names, words = ("core", "vespa", "agents", "runtime"), ("auto-tag", "--reporter", "plain")
    merged(root, "1.1.0", *names)
    stops = count_stops(root, words)
    for minor, at in enumerate(range(stops // 2, stops + 1, max(1, stops // 12)), start=2):
        commit = merged(root, f"1.{minor}.0", *names)
        code, output = stopped(root, words, at)
        assert code == -signal.SIGKILL, output
        tag(root)
        assert {name for name, target in tags_of(root).items() if target == commit} == {
            f"{name}-v1.{minor}.0" for name in names
        }, at
    assert minor > 6


# --- credentials


def test_credentials_reach_git_through_the_environment_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers.append(self.headers.get("Authorization"))
            self.send_response(401 if headers[-1] is None else 404)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    ask = write(
        root.parent, {"ask": '#!/bin/sh\ncase "$1" in Username*) echo job;; *) echo "$GITHUB_TOKEN";; esac\n'}
    )
    (ask / "ask").chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(ask / "ask"))
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-job")
    arguments = root.parent / "arguments"
    recorder = f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{arguments}"\nexec "{shutil.which("git")}" "$@"\n'
    (write(root.parent / "recording", {"git": recorder}) / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{root.parent / 'recording'}{os.pathsep}{os.environ['PATH']}")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        git(root, "remote", "set-url", "origin", f"http://127.0.0.1:{server.server_port}/demo.git")
        ran = tag(root, code=2)
        server.shutdown()
        thread.join()
    basic = base64.b64encode(b"job:token-of-the-job").decode()
    assert f"Basic {basic}" in headers
    given = arguments.read_text(encoding="utf-8")
    assert "ls-remote" in given
    for text in (ran.text, given, (root / ".git" / "config").read_text(encoding="utf-8")):
        assert "token-of-the-job" not in text
        assert basic not in text


def test_plain_tags_of_other_packages_are_not_proposed_for_one_without_tags(tmp_path: Path) -> None:
    # As in opentelemetry-python: plain tags for the packages with one version, and others that were never tagged.
    settings = '[tool.relnox]\npackages = ["packages/*"]\n' + WITHOUT_INDEX
    files = {f"packages/{name}/pyproject.toml": pyproject(name, "1.2.0") for name in ("api", "sdk")}
    files["packages/early/pyproject.toml"] = pyproject("early", "0.5b0")
    root = repository(write(tmp_path / "demo", {"pyproject.toml": settings, **files}))
    git(root, "tag", "v1.2.0")
    git(root, "push", "--quiet", "--tags", "origin")
    ran = tag(root, "--dry-run")
    assert "early 0.5b0 is never tagged, and gets no tag" in ran.out + ran.err
    assert "name no package" not in ran.err
