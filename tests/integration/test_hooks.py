"""Hooks: when they run, what they get, and what happens if they fail or are killed."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hooked import PUBLISH, Log, hook, own, project
from package_index import PackageIndex
from projects import commit_all, everything, git, write
from running import run, run_in_process, run_process

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("HOOK_LOG", str(tmp_path / "log"))
    return Log(tmp_path / "log")


def settings(root: Path, *more: str) -> None:
    """Change the hooks of a project."""
    text = (root / "pyproject.toml").read_text().partition("\n[[tool.relnox.hooks")[0]
    write(root, {"pyproject.toml": text + "".join(more)})
    commit_all(root)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-secret-token")
    with PackageIndex() as index:
        yield index


# Bump


def test_hooks_of_a_bump_get_old_and_new_versions(tmp_path: Path, log: Log) -> None:
    root = project(tmp_path / "home", hook("edit-bump"))
    run_in_process(root, "bump", "--part", "minor", "--commit", "--tag", code=0)
    (event,) = log.events
    (package,) = event["packages"]
    assert (package["old_version"], package["version"], package["tag"]) == ("1.0", "1.1", "v1.1")
    assert (event["event"], event["task"], event["tags"], event["rehearsal"]) == (
        "edit-bump",
        "bump",
        ["v1.1"],
        False,
    )
    assert event["root"] == log.entries[0]["cwd"] != str(root)


def test_edits_of_a_hook_are_in_the_plan_the_commit_and_the_undo(tmp_path: Path) -> None:
    edit = """\
        import json, os, pathlib
        event = json.loads(pathlib.Path(os.environ["RELNOX_EVENT"]).read_text())
        assert 'version = "1.1"' in pathlib.Path("pyproject.toml").read_text()
        pathlib.Path("docs/version.txt").write_text(event["packages"][0]["version"])
        pathlib.Path("docs/new.txt").write_text("new")
        """
    files = {"edit.py": edit, "docs/version.txt": "1.0"}
    root = project(tmp_path / "home", hook("edit-bump", run='["python", "edit.py"]'), files=files)
    before = git(root, "rev-parse", "HEAD")
    planned = run_in_process(root, "bump", "--part", "minor", "--commit", "--dry-run", "--verbose")
    assert "edit-bump hook (python edit.py) edits docs/new.txt, docs/version.txt" in planned.out
    assert "+1.1" in planned.out
    assert git(root, "status", "--porcelain") == ""
    assert run_in_process(root, "bump", "--part", "minor", "--commit").code == 0
    assert git(root, "show", "--name-only", "--format=").split() == [
        "docs/new.txt",
        "docs/version.txt",
        "pyproject.toml",
    ]
    assert run_in_process(root, "bump", "--undo").code == 0
    assert (git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain")) == (before, "")
    assert not (root / "docs/new.txt").exists()


@pytest.mark.parametrize(
    ("code", "line", "problem", "message"),
    [
        ("raise SystemExit('no schema')", "", "hook-failed", "no schema"),
        ("import time; time.sleep(60)", "time-limit = 1", "hook-failed", "timed out after 1 s"),
        (
            "text = open('pyproject.toml').read(); open('pyproject.toml', 'w').write(text.replace('1.1', '7.0'))",
            "",
            "hook-failed",
            "version of home in pyproject.toml",
        ),
    ],
)
def test_a_failing_edit_hook_changes_nothing(
    tmp_path: Path, code: str, line: str, problem: str, message: str
) -> None:
    root = project(
        tmp_path / "home", hook("edit-bump", line, run='["python", "edit.py"]'), files={"edit.py": code}
    )
    ran = run_in_process(root, "bump", "--part", "minor", "--commit")
    assert (ran.code, git(root, "status", "--porcelain"), git(root, "tag")) == (2, "", "")
    assert f"[{problem}]" in ran.err
    assert message in ran.err
    assert "fix: " in ran.err


GIT = "git -c user.name=n -c user.email=n@example.org"


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        (f"echo 1 > more.py; git add -A; {GIT} commit -qm more", "another current commit or branch"),
        ("git switch -qc other", "another current commit or branch"),
        ("ln -s /etc/hostname more.txt", "more.txt"),
        ("ln -s backend more", "more"),
        ("chmod +x note.py", "note.py"),
        ("git clone -q . vendor/lib", "vendor/lib"),
    ],
)
def test_an_edit_that_a_plan_cannot_hold_fails_the_bump(tmp_path: Path, commands: str, named: str) -> None:
    root = project(tmp_path / "home", hook("edit-bump", run=json.dumps(["sh", "-c", commands])))
    ran = run_in_process(root, "bump", "minor", "--commit", code=2)
    assert "[hook-failed]" in ran.err
    assert named in ran.err
    assert (git(root, "status", "--porcelain"), git(root, "tag")) == ("", "")


# Build


def built(root: Path) -> tuple[set[str], dict[str, bytes]]:
    """The files of the sdist, and those of the wheel."""
    (sdist,), (wheel,) = (root / "dist").glob("*.tar.gz"), (root / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive, zipfile.ZipFile(wheel) as contents:
        return (
            {name.partition("/")[2] for name in archive.getnames()},
            {name: contents.read(name) for name in contents.namelist()},
        )


IGNORED = {".gitignore": "dist/\ngenerated.py\n", "generate.py": "open('generated.py', 'w').write('answer = 42')"}


def test_generated_code_comes_from_the_exported_commit(tmp_path: Path, log: Log) -> None:
    generate = hook("before-build", run='["python", "generate.py"]')
    root = project(tmp_path / "home", generate, hook("before-build"), files=IGNORED)
    write(root, {"generated.py": "from the working tree\n"})
    ran = run_in_process(root, "build-all", "--verbose", code=0)
    assert "wrote generated.py" in ran.text
    assert "archive-content" not in ran.text
    sdist, _ = built(root)
    assert "generated.py" in sdist
    assert (root / "generated.py").read_text() == "from the working tree\n"
    (event,) = log.events
    assert event["root"] == log.entries[0]["cwd"] != str(root)
    assert event["commit"] == git(root, "rev-parse", "HEAD")


def test_a_generated_module_that_the_backend_leaves_out_fails_the_build(tmp_path: Path) -> None:
    """As hatchling does with files that .gitignore matches."""
    files = {
        ".gitignore": "dist/\ntable.py\n",
        "generate.py": "open('stations/table.py', 'w').write('TABLE = []')",
        "stations/__init__.py": "",
    }
    root = project(tmp_path / "home", hook("before-build", run='["python", "generate.py"]'), files=files)
    backend = (root / "backend/house.py").read_text().replace('"dist" not in', '"table.py" not in')
    write(root, {"backend/house.py": backend})
    commit_all(root)
    ran = run_in_process(root, "build-all", code=2)
    message = "lacks modules that a before-build hook generated: stations/table.py"
    assert f"{message} [archive-content]" in ran.err
    assert not (root / "dist/manifest.json").exists()


@pytest.mark.parametrize("from_tree", [False, True])
@pytest.mark.parametrize(
    ("commands", "named"),
    [
        ("echo 1 > more.py", "more.py"),
        ("echo 1 >> home.py", "home.py"),
        ("git clone -q . vendor/lib", "vendor/lib"),
        (f"echo 1 > more.py; git add -A; {GIT} commit -qm more", "another current commit or branch"),
    ],
)
def test_changes_that_a_hook_leaves_fail_the_build(
    tmp_path: Path, commands: str, named: str, *, from_tree: bool
) -> None:
    root = project(tmp_path / "home", hook("before-build", run=json.dumps(["sh", "-c", commands])))
    ran = run_in_process(root, "build-all", *(["--from-tree"] if from_tree else []), code=2)
    assert "[hook-failed]" in ran.err
    assert named in ran.err
    assert not (root / "dist/manifest.json").exists()


# Publish


def test_hooks_of_publishing_get_files_and_no_credentials(
    tmp_path: Path, log: Log, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "for the chat")
    monkeypatch.setenv("OTHER_TOKEN", "for others")
    monkeypatch.setenv("TWINE_PASSWORD", "another-secret")
    passing = '[tool.relnox]\npass-env = ["CHAT_TOKEN"]\n'
    hooks = (hook("before-publish"), hook("after-publish", 'env = { CHANNEL = "releases" }'))
    root = project(tmp_path / "home", passing, own(index), *hooks)
    assert run_in_process(root, "build-all").code == 0
    run_in_process(root, *PUBLISH, code=0)
    before, after = log.entries
    assert log.names == ["before-publish", "after-publish"]
    for entry in (before, after):
        names, values = entry["environment"].keys(), "\n".join(entry["environment"].values())
        assert not {"OTHER_TOKEN", "RELNOX_OWN_TOKEN", "TWINE_PASSWORD"} & names
        assert "secret" not in values
        assert entry["environment"]["CHAT_TOKEN"] == "for the chat"
    assert after["environment"]["CHANNEL"] == "releases"
    event = after["event"]
    assert (event["index"], event["task"], event["rehearsal"], event["tags"]) == (
        "own",
        "publish",
        False,
        ["v1.0"],
    )
    (package,) = event["packages"]
    assert [file["kind"] for file in package["files"]] == ["sdist", "wheel"]


def test_after_a_rerun_everything_is_public_and_hooks_run_again(
    tmp_path: Path, log: Log, index: PackageIndex
) -> None:
    root = project(tmp_path / "home", own(index), hook("before-publish"), hook("after-publish"))
    assert run_in_process(root, "build-all").code == 0
    assert run_in_process(root, *PUBLISH).code == 0
    ran = run_in_process(root, *PUBLISH, code=0)
    assert log.names == ["before-publish", "after-publish", "after-publish"]
    assert "all files are already on own" in ran.err


@pytest.mark.parametrize("script", ["exit 1", "echo more >> home.py"])
def test_a_failing_check_stops_before_the_first_upload(tmp_path: Path, index: PackageIndex, script: str) -> None:
    root = project(tmp_path / "home", own(index), hook("before-publish", run=json.dumps(["sh", "-c", script])))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH, code=2)
    assert "[hook-" in ran.err
    assert list(index.uploads) == []


def test_a_failing_announcement_is_finished_by_the_same_command(
    tmp_path: Path, log: Log, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, pathlib, runpy\nif not pathlib.Path('/dev/null').exists() or os.environ.get('DOWN'):\n"
    code += "    raise SystemExit('the chat is down')\nrunpy.run_path('note.py')\n"
    root = project(
        tmp_path / "home", own(index), hook("after-publish", run='["python", "tell.py"]'), files={"tell.py": code}
    )
    assert run_in_process(root, "build-all").code == 0
    monkeypatch.setenv("DOWN", "1")
    ran = run_in_process(root, *PUBLISH, code=3)
    assert "the chat is down" in ran.err
    monkeypatch.delenv("DOWN")
    uploads = len(index.uploads)
    ran = run_in_process(root, *PUBLISH, code=0)
    assert log.names == ["after-publish"]
    assert len(index.uploads) == uploads


def test_a_test_index_publishes_without_hooks(tmp_path: Path, log: Log, index: PackageIndex) -> None:
    root = project(tmp_path / "home", own(index, production=False), hook("before-publish"), hook("after-publish"))
    assert run_in_process(root, "build-all").code == 0
    run_in_process(root, "publish-test", "--index", "own", "--no-verify", code=0)
    assert log.names == []


@pytest.mark.heavy
def test_a_rehearsal_runs_the_hooks_that_publish_nothing(tmp_path: Path, log: Log) -> None:
    hooks = [hook(event) for event in ("edit-bump", "before-build", "before-publish", "after-publish")]
    root = project(tmp_path / "home", *hooks)
    run(root, "relnox", "rehearse", code=0)
    assert log.names == ["edit-bump", "before-build"]
    assert {event["rehearsal"] for event in log.events} == {True}


# Hooks that do what they should not


def shell(event: str, script: str, *lines: str) -> str:
    """The settings of a hook that is a shell script."""
    return hook(event, *lines, run=json.dumps(["sh", "-c", script]))


@pytest.mark.parametrize("script", ["yes & echo started", "setsid sleep 600 & echo $! > pid; echo started"])
def test_what_a_hook_leaves_running_is_not_waited_for(tmp_path: Path, script: str) -> None:
    root = project(tmp_path / "home", shell("edit-bump", script, "time-limit = 60"))
    try:
        ran = run_in_process(root, "bump", "minor")
    finally:
        if (root / "pid").exists():
            os.kill(int((root / "pid").read_text()), signal.SIGKILL)
    assert ran.code == 0, ran.text
    assert 'version = "1.1"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize("script", ["trap '' TERM INT; while :; do sleep 0.1; done", "cat /dev/zero"])
def test_an_endless_hook_is_killed(tmp_path: Path, script: str) -> None:
    root = project(tmp_path / "home", shell("edit-bump", script, "time-limit = 1"))
    ran = run_in_process(root, "bump", "minor", "--commit", code=2)
    assert "[hook-failed]" in ran.err
    assert len(ran.err) < 10_000
    assert git(root, "status", "--porcelain") == ""


def test_relnox_is_terminated_while_a_hook_runs(tmp_path: Path) -> None:
    root = project(tmp_path / "home", shell("edit-bump", "trap '' TERM; kill -TERM $PPID; sleep 600"))
    run_process(root, "relnox", "bump", "minor", "--commit", code=143)
    assert git(root, "status", "--porcelain") == ""
    assert not list((root / ".git" / "relnox").glob("*.json"))


@pytest.mark.parametrize(
    "script",
    [
        "for file in dist/*.whl; do echo more >> $file; done",
        "for file in dist/*.gz; do cp $file x; cat x x > $file; done",
        "rm -r dist",
    ],
    ids=["wheel", "sdist", "removed"],
)
def test_archives_that_a_hook_changes_are_not_uploaded(tmp_path: Path, index: PackageIndex, script: str) -> None:
    root = project(tmp_path / "home", own(index), shell("before-publish", script))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code in {2, 3, 4}, ran.text
    built = {"home-1.0-py3-none-any.whl", "home-1.0.tar.gz"}
    assert {upload.filename for upload in index.uploads} < built


def test_what_is_uploaded_was_decided_before_the_hook(tmp_path: Path, index: PackageIndex) -> None:
    script = (
        "echo '{}' > dist/manifest.json; touch dist/home-9.9-py3-none-any.whl; git tag -f v1.0; rm -rf .git/relnox"
    )
    root = project(tmp_path / "home", own(index), shell("before-publish", script))
    assert run_in_process(root, "build-all").code == 0
    run_in_process(root, *PUBLISH, code=0)
    assert sorted(upload.filename for upload in index.uploads) == ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]


@pytest.mark.parametrize(
    "script",
    [
        "rm -rf .git",
        "rm -rf *",
        "git config core.worktree /nowhere",
        "printf 1 > \"$(printf 'a\\377b')\"",
        'rm -rf "$PWD"',
        "ln -s / all",
    ],
)
@pytest.mark.parametrize("event", ["edit-bump", "before-build"])
def test_a_copy_is_discarded_whatever_a_hook_does(tmp_path: Path, event: str, script: str) -> None:
    root = project(tmp_path / "home", shell(event, script))
    before = everything(root)
    ran = run(root, "relnox", *(["bump", "minor", "--dry-run"] if event == "edit-bump" else ["build-all"]))
    if ran.code != 0:
        assert "[" in ran.err
        assert "fix: " in ran.err
    after = everything(root)
    assert (after.staged, after.refs, after.head) == (before.staged, before.refs, before.head)
    assert {name: after.files[name] for name in before.files} == before.files
