"""Hooks: when they run, what they get, and what happens if they fail or are killed."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from controlled_index import ControlledIndex
from hooked import NOTE, PUBLISH, Log, hook, own, project
from projects import commit_all, git, repository, write
from running import run, run_in_process

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
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlledIndex]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-secret-token")
    with ControlledIndex(tmp_path / "index") as index:
        yield index


# Bump


def test_hooks_of_a_bump_get_old_and_new_versions(tmp_path: Path, log: Log) -> None:
    root = project(tmp_path / "home", hook("before-bump"), hook("edit-bump"))
    ran = run_in_process(root, "bump", "--part", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert log.names == ["edit-bump", "before-bump"]
    for event in log.events:
        (package,) = event["packages"]
        assert (package["old_version"], package["version"], package["tag"]) == ("1.0", "1.1", "v1.1")
        assert (event["task"], event["tags"], event["rehearsal"]) == ("bump", ["v1.1"], False)
    assert log.events[1]["root"] == log.entries[1]["cwd"] == str(root)
    assert log.events[0]["root"] != str(root)
    assert "noted before-bump" in run_in_process(root, "bump", "--part", "minor", "--verbose", "--again").text


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
        ("import time; time.sleep(60)", "time-limit = 1", "hook-timeout", "timed out after 1 s"),
        ("open('b.txt', 'w')", 'writes = ["a.txt"]', "hook-wrote-undeclared-files", "b.txt"),
        (
            "text = open('pyproject.toml').read(); open('pyproject.toml', 'w').write(text.replace('1.1', '7.0'))",
            "",
            "hook-changed-version",
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
    settings(root, hook("edit-bump", line, 'on-failure = "warn"', run='["python", "edit.py"]'))
    ran = run_in_process(root, "bump", "--part", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert "its edits are left out (on-failure = warn)" in ran.text
    assert git(root, "show", "--name-only", "--format=") == "pyproject.toml"


def test_a_failing_check_before_a_bump_stops_it(tmp_path: Path) -> None:
    root = project(tmp_path / "home", hook("before-bump", run='["python", "-c", "raise SystemExit(3)"]'))
    ran = run_in_process(root, "bump", "--part", "minor", "--commit")
    assert (ran.code, git(root, "status", "--porcelain")) == (2, "")
    assert "failed with status 3" in ran.err
    assert "[hook-failed]" in ran.err
    assert "settings in [[tool.relnox.hooks.before-bump]]; then rerun the command" in ran.err
    assert run_in_process(root, "bump", "--abort").code == 1  # nothing is left of it


def test_a_check_that_creates_the_planned_tag_stops_the_bump(tmp_path: Path) -> None:
    words = ["git", "tag", "v1.1"]
    root = project(tmp_path / "home", hook("before-bump", 'on-failure = "warn"', run=json.dumps(words)))
    head = git(root, "rev-parse", "HEAD")
    ran = run_in_process(root, "bump", "minor", "--commit", "--tag")
    assert ran.code == 2, ran.text
    assert (
        "the before-bump hook (git tag v1.1) created v1.1, which bump creates itself [hook-created-tag]" in ran.err
    )
    assert "git tag -d v1.1" in ran.err
    assert (git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain")) == (head, "")


def test_a_check_may_fetch_and_create_other_tags(tmp_path: Path) -> None:
    root = project(tmp_path / "home", hook("before-bump", run='["git", "tag", "checked"]'))
    ran = run_in_process(root, "bump", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert git(root, "tag").split() == ["checked", "v1.1"]


@pytest.mark.parametrize("reporter", ["plain", "terminal", "github"])
def test_verbose_shows_the_output_of_an_edit_hook(tmp_path: Path, reporter: str) -> None:
    root = project(tmp_path / "home", hook("edit-bump", run='["sh", "-c", "echo updated the schema"]'))
    quiet = run_in_process(root, "bump", "minor", "--dry-run", "--reporter", reporter)
    assert quiet.code == 0, quiet.text
    if reporter != "github":
        assert "updated the schema\n" not in quiet.err
    shown = run_in_process(root, "bump", "minor", "--reporter", reporter, "--verbose")
    assert shown.code == 0, shown.text
    assert "updated the schema\n" in shown.err
    if reporter == "github":
        stop = shown.err.index("::stop-commands::")
        token = shown.err[stop:].split("::")[2].splitlines()[0]
        assert stop < shown.err.index("updated the schema") < shown.err.index(f"::{token}::")
        assert shown.err.index(f"::{token}::") < shown.err.index("::group::")


# Build


def built(root: Path) -> tuple[set[str], dict[str, bytes]]:
    """The files of the sdist, and those of the wheel."""
    (sdist,), (wheel,) = (root / "dist").glob("*.tar.gz"), (root / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive, zipfile.ZipFile(wheel) as contents:
        return (
            {name.partition("/")[2] for name in archive.getnames()},
            {name: contents.read(name) for name in contents.namelist()},
        )


def test_generated_code_comes_from_the_exported_commit(tmp_path: Path, log: Log) -> None:
    generate = hook("before-build", 'writes = ["generated.py", "home.py"]', run='["python", "generate.py"]')
    root = project(tmp_path / "home", generate, hook("before-build"), hook("after-build"))
    write(root, {"generated.py": "from the working tree\n"})
    ran = run_in_process(root, "build-all")
    assert ran.code == 0, ran.text
    assert "untracked-file-in-sdist" not in ran.text
    sdist, wheel = built(root)
    assert "generated.py" in sdist
    assert wheel["home.py"] == b"from generated import answer\n"
    assert (root / "generated.py").read_text() == "from the working tree\n"
    assert log.names == ["before-build", "after-build"]
    before, after = log.events
    assert before["root"] == log.entries[0]["cwd"]
    assert Path(before["root"]) != root
    assert before["commit"] == git(root, "rev-parse", "HEAD")
    (package,) = after["packages"]
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert {file["filename"]: file["sha256"] for file in package["files"]} == {
        file["name"]: file["hashes"]["sha256"] for file in manifest["artifacts"]
    }
    assert after["directory"] == str(root / "dist")


@pytest.mark.parametrize("directory", ["", "libs/home/"])
def test_a_generated_module_that_the_backend_leaves_out_fails_the_build(tmp_path: Path, directory: str) -> None:
    """As hatchling does with files that .gitignore matches."""
    code = f"import pathlib\npathlib.Path('{directory}stations/table.py').write_text('TABLE = []\\n')\n"
    settings = hook("before-build", f'writes = ["{directory}stations/table.py"]', run='["python", "generate.py"]')
    package = tmp_path / "home" / directory
    package.mkdir(parents=True)
    project(package, settings if not directory else "", files={"stations/__init__.py": ""})
    backend = (package / "backend/house.py").read_text().replace('"dist" not in', '"table.py" not in')
    root = write(tmp_path / "home", {f"{directory}backend/house.py": backend, "generate.py": code})
    if directory:
        shutil.rmtree(package / ".git")
        write(root, {"pyproject.toml": f'[tool.relnox]\npackages = ["libs/*"]\n{settings}'})
        repository(root)
    else:
        commit_all(root)
    ran = run_in_process(root, "build-all")
    assert ran.code == 2, ran.text
    message = "lacks modules that a before-build hook generated: stations/table.py"
    assert f"{message} [generated-module-missing]" in ran.err
    assert not (root / "dist/manifest.json").exists()


def test_a_reproducible_build_has_the_generated_code(tmp_path: Path) -> None:
    generate = hook("before-build", 'writes = ["*.py"]', run='["python", "generate.py"]')
    root = project(tmp_path / "home", generate)
    ran = run_in_process(root, "build-all", "--reproducible")
    # The backend in the tree writes the time into the header of the sdist.
    assert "home-1.0-py3-none-any.whl differs" not in ran.err
    assert "second build" not in ran.err


@pytest.mark.parametrize("failure", ["fail", "warn"])
def test_undeclared_files_fail_a_build(tmp_path: Path, failure: str) -> None:
    line = f'on-failure = "{failure}"'
    root = project(tmp_path / "home", hook("before-build", line, run='["python", "generate.py"]'))
    ran = run_in_process(root, "build-all")
    assert ran.code == 2, ran.text
    assert "[hook-wrote-undeclared-files]" in ran.err
    assert "generated.py, home.py" in ran.err
    assert 'writes = ["generated.py", "home.py"]' in ran.err
    assert not (root / "dist/manifest.json").exists()


GIT = "git -c user.name=n -c user.email=n@example.org"


@pytest.mark.parametrize("failure", ["fail", "warn"])
@pytest.mark.parametrize("from_tree", [False, True])
@pytest.mark.parametrize("writes", ["", 'writes = ["vendor/*"]'])
def test_a_repository_that_a_hook_creates_fails_a_build(
    tmp_path: Path, writes: str, from_tree: bool, failure: str
) -> None:
    run_clone = '["git", "clone", "--quiet", ".", "vendor/lib"]'
    settings = hook("before-build", writes, f'on-failure = "{failure}"', run=run_clone)
    root = project(tmp_path / "home", settings)
    ran = run_in_process(root, "build-all", *(["--from-tree"] if from_tree else []))
    assert ran.code == 2, ran.text
    assert "[hook-created-repository]" in ran.err
    assert "vendor/lib" in ran.err
    assert not (root / "dist/manifest.json").exists()


def test_a_repository_that_was_there_before_a_hook_is_unchanged(tmp_path: Path) -> None:
    settings = hook("before-build", 'writes = ["*.py"]', run='["python", "generate.py"]')
    root = project(tmp_path / "home", settings)
    git(root, "init", "--quiet", "scratch")
    ran = run_in_process(root, "build-all", "--from-tree")
    assert ran.code == 0, ran.text


def test_a_warning_about_a_repository_names_its_directory(tmp_path: Path) -> None:
    run_clone = '["git", "clone", "--quiet", ".", "vendor/lib"]'
    root = project(tmp_path / "home", hook("edit-bump", 'on-failure = "warn"', run=run_clone))
    ran = run_in_process(root, "bump", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert "cannot be part of a release: vendor/lib" in ran.err + ran.out
    assert "its edits are left out" in ran.err + ran.out
    assert not (root / "vendor").exists()


@pytest.mark.parametrize("failure", ["fail", "warn"])
def test_ignored_files_are_undeclared_files_too(tmp_path: Path, failure: str) -> None:
    line = f'on-failure = "{failure}"'
    files = {".gitignore": "dist/\ngenerated.py\nhome.py\n"}
    settings = hook("before-build", line, run='["python", "generate.py"]')
    ran = run_in_process(project(tmp_path / "home", settings, files=files), "build-all")
    assert ran.code == 2, ran.text
    assert "[hook-wrote-undeclared-files]" in ran.err


@pytest.mark.parametrize("failure", ["fail", "warn"])
@pytest.mark.parametrize(
    "commands", [f"echo 1 > more.py; git add -A; {GIT} commit -qm more", "git switch -qc other"]
)
@pytest.mark.parametrize(("event", "task"), [("before-build", "build-all"), ("before-bump", "bump")])
def test_a_hook_that_commits_or_switches_branches_fails(
    tmp_path: Path, event: str, task: str, commands: str, failure: str
) -> None:
    line = f'on-failure = "{failure}"'
    root = project(tmp_path / "home", hook(event, line, run=f'["sh", "-c", "{commands}"]'))
    ran = run_in_process(root, task, *(["minor", "--commit", "--tag"] if task == "bump" else []))
    assert ran.code == 2, ran.text
    assert "[hook-changed-commit]" in ran.err
    assert not (root / "dist/manifest.json").exists()
    assert git(root, "tag") == ""


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (f"echo 1 > more.py; git add -A; {GIT} commit -qm more", "hook-changed-commit"),
        ("ln -s /etc/hostname more.txt", "hook-wrote-unsupported-files"),
        ("mkfifo pipe; ln -s pipe more.txt", "hook-wrote-unsupported-files"),
        ("ln -s backend more", "hook-wrote-unsupported-files"),
        ("chmod +x note.py", "hook-wrote-unsupported-files"),
        ("git clone -q . vendor/lib", "hook-created-repository"),
        ("git init -q vendor/lib; echo 1 > vendor/lib/file", "hook-created-repository"),
        (f"{GIT} -c protocol.file.allow=always submodule -q add ./ vendor/lib", "hook-created-repository"),
    ],
)
def test_an_edit_that_a_plan_cannot_hold_fails_the_bump(tmp_path: Path, commands: str, code: str) -> None:
    root = project(tmp_path / "home", hook("edit-bump", run=f'["sh", "-c", "{commands}"]'))
    ran = run_in_process(root, "bump", "minor", "--commit")
    assert ran.code == 2, ran.text
    assert f"[{code}]" in ran.err
    assert git(root, "status", "--porcelain") == ""


def test_an_archive_that_a_hook_changes_fails_the_build(tmp_path: Path) -> None:
    change = "import pathlib\nfor path in pathlib.Path('dist').glob('*.whl'): path.write_bytes(b'')\n"
    root = project(
        tmp_path / "home", hook("after-build", run='["python", "change.py"]'), files={"change.py": change}
    )
    ran = run_in_process(root, "build-all")
    assert ran.code == 2, ran.text
    assert "[archive-changed]" in ran.err
    assert not (root / "dist/manifest.json").exists()


def test_a_hook_runs_if_one_of_its_packages_takes_part(tmp_path: Path, log: Log) -> None:
    root = tmp_path / "two"
    for name in ("alpha", "beta"):
        (root / name).mkdir(parents=True)
        in_tree(root / name, name)
    text = '[tool.relnox]\npackages = ["alpha", "beta"]\nversions = "independent"\n'
    write(
        root,
        {
            "pyproject.toml": text
            + hook("before-build", 'packages = ["al*"]', 'directory = "alpha"', run='["python", "../note.py"]'),
            "note.py": NOTE,
            ".gitignore": "/dist/\n",
        },
    )
    repository(root)
    assert run_in_process(root, "build-all", "--package", "beta").code == 0
    assert log.names == []
    ran = run_in_process(root, "build-all")
    assert ran.code == 0, ran.text
    (event,) = log.events
    assert [package["name"] for package in event["packages"]] == ["alpha"]
    assert Path(log.entries[0]["cwd"]).name == "alpha"
    settings_text = (root / "pyproject.toml").read_text().replace("al*", "gamma")
    write(root, {"pyproject.toml": settings_text})
    ran = run_in_process(root, "build-all")
    assert ran.code == 1
    assert "'gamma' in [tool.relnox.hooks.before-build] packages matches no package" in ran.err


@pytest.mark.parametrize(
    ("words", "line", "problem"),
    [
        ('["no-such-program"]', "", "hook-program-missing"),
        ('["./no-such-program"]', "", "hook-program-missing"),
        ('["python", "note.py"]', 'directory = "nowhere"', "hook-directory-missing"),
        ('["./broken"]', "", "hook-not-runnable"),
    ],
)
def test_a_program_that_cannot_run_is_a_problem(tmp_path: Path, words: str, line: str, problem: str) -> None:
    root = project(
        tmp_path / "home", hook("before-build", line, run=words), files={"broken": "#!/no/interpreter\n"}
    )
    (root / "broken").chmod(0o755)
    commit_all(root)
    ran = run_in_process(root, "build-all")
    assert (ran.code, f"[{problem}]" in ran.err) == (2, True), ran.text


def test_output_is_streamed_and_escaped(tmp_path: Path) -> None:
    code = "print('::error::\\x1b]0;title\\x07 shown')"
    root = project(tmp_path / "home", hook("before-build", run='["python", "print.py"]'), files={"print.py": code})
    ran = run_in_process(root, "build-all", "--verbose")
    assert ran.code == 0, ran.text
    assert "shown" in ran.text
    assert "\x1b]0" not in ran.text


# Publish


def test_hooks_of_publishing_get_files_and_no_credentials(
    tmp_path: Path, log: Log, index: ControlledIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "for the chat")
    monkeypatch.setenv("OTHER_TOKEN", "for others")
    monkeypatch.setenv("TWINE_PASSWORD", "another-secret")
    lines = ('pass-env = ["CHAT_TOKEN"]', 'env = { CHANNEL = "releases" }')
    root = project(tmp_path / "home", own(index), hook("before-publish"), hook("after-publish", *lines))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 0, ran.text
    before, after = log.entries
    assert log.names == ["before-publish", "after-publish"]
    for entry in (before, after):
        names, values = entry["environment"].keys(), "\n".join(entry["environment"].values())
        assert not {"OTHER_TOKEN", "RELNOX_OWN_TOKEN", "TWINE_PASSWORD"} & names
        assert "secret" not in values
    assert "CHAT_TOKEN" not in before["environment"]
    assert (after["environment"]["CHAT_TOKEN"], after["environment"]["CHANNEL"]) == ("for the chat", "releases")
    event = after["event"]
    assert (event["index"], event["task"], event["rehearsal"], event["tags"]) == (
        "own",
        "publish",
        False,
        ["v1.0"],
    )
    (package,) = event["packages"]
    assert [file["kind"] for file in package["files"]] == ["sdist", "wheel"]


def test_after_publish_runs_once_for_a_release(tmp_path: Path, log: Log, index: ControlledIndex) -> None:
    root = project(tmp_path / "home", own(index), hook("before-publish"), hook("after-publish"))
    assert run_in_process(root, "build-all").code == 0
    assert run_in_process(root, *PUBLISH).code == 0
    again = run_in_process(root, *PUBLISH)
    assert again.code == 0, again.text
    assert log.names == ["before-publish", "after-publish"]
    assert "every upload was skipped" in again.err
    assert "all files are already on own" in again.err
    due = root / ".git" / "relnox" / "due-hooks"
    assert list(due.iterdir()) == []


def test_a_failing_check_stops_before_the_first_upload(tmp_path: Path, index: ControlledIndex) -> None:
    root = project(tmp_path / "home", own(index), hook("before-publish", run='["python", "-c", "exit(1)"]'))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 2, ran.text
    assert list(index.uploads) == []


def test_a_failing_announcement_is_finished_by_the_same_command(
    tmp_path: Path, log: Log, index: ControlledIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, pathlib, runpy\nif not pathlib.Path('/dev/null').exists() or os.environ.get('DOWN'):\n"
    code += "    raise SystemExit('the chat is down')\nrunpy.run_path('note.py')\n"
    root = project(
        tmp_path / "home", own(index), hook("after-publish", run='["python", "tell.py"]'), files={"tell.py": code}
    )
    assert run_in_process(root, "build-all").code == 0
    monkeypatch.setenv("DOWN", "1")
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 3, ran.text
    assert "the chat is down" in ran.err
    monkeypatch.delenv("DOWN")
    uploads = len(index.uploads)
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 0, ran.text
    assert log.names == ["after-publish"]
    assert len(index.uploads) == uploads
    assert run_in_process(root, *PUBLISH).code == 0
    assert log.names == ["after-publish"]


def test_a_warning_of_a_hook_is_reported(tmp_path: Path, index: ControlledIndex) -> None:
    line = 'on-failure = "warn"'
    root = project(tmp_path / "home", own(index), hook("after-publish", line, run='["python", "-c", "exit(1)"]'))
    assert run_in_process(root, "build-all").code == 0
    report = tmp_path / "report.json"
    ran = run_in_process(root, *PUBLISH, "--report", str(report))
    assert ran.code == 0, ran.text
    assert "[hook-failed]" in ran.text
    step = json.loads(report.read_text())["steps"][-1]
    assert (step["key"], step["status"]) == ("after-publish 1", "success")
    assert [warning["code"] for warning in step["warnings"]] == ["hook-failed"]


def test_a_test_index_is_a_rehearsal(tmp_path: Path, log: Log, index: ControlledIndex) -> None:
    hooks = [hook(event, "in-rehearsal = true") for event in ("before-publish", "after-publish")]
    hooks.append(hook("after-publish"))
    root = project(tmp_path / "home", own(index, production=False), *hooks)
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, "publish-test", "--index", "own", "--no-verify")
    assert ran.code == 0, ran.text
    assert log.names == ["before-publish", "after-publish"]
    assert [event["rehearsal"] for event in log.events] == [True, True]
    assert log.events[1]["task"] == "publish-test"


def test_a_hook_that_runs_its_own_task_is_blocked(tmp_path: Path, index: ControlledIndex) -> None:
    words = '["python", "-m", "relnox", "publish", "--index", "own", "--yes"]'
    root = project(tmp_path / "home", own(index), hook("before-publish", run=words))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 2, ran.text
    assert "[hook-recursion]" in ran.err
    assert list(index.uploads) == []


# Sessions, tasks, rehearsals


def test_a_hook_is_a_session_or_a_task_of_the_project(tmp_path: Path, log: Log) -> None:
    noxfile = """\
        import nox

        @nox.session(python=False)
        def generate(session):
            session.run("python", "note.py", "session")
        """
    tasks = """\
        from invoke import task

        @task
        def generate(context):
            context.run("python note.py task")
        """
    hooks = '\n[[tool.relnox.hooks.before-build]]\nsession = "generate"\n'
    hooks += '\n[[tool.relnox.hooks.before-build]]\ntask = "generate"\n'
    root = project(tmp_path / "home", hooks, files={"noxfile.py": noxfile, "tasks.py": tasks})
    ran = run_in_process(root, "build-all")
    assert ran.code == 0, ran.text
    assert [entry["argv"] for entry in log.entries] == [["session"], ["task"]]
    assert log.entries[1]["environment"]["RELNOX_RUNNING_HOOKS"] == "before-build"


@pytest.mark.heavy
def test_a_rehearsal_runs_the_hooks_that_are_for_it(tmp_path: Path, log: Log) -> None:
    events = ("before-bump", "edit-bump", "before-build", "after-build")
    later = ("before-publish", "after-publish", "after-verify")
    hooks = [hook(event) for event in (*events, *later)]
    hooks += [hook(event, "in-rehearsal = true") for event in later]
    hooks += [hook("before-build", "in-rehearsal = false", run='["python", "-c", "exit(1)"]')]
    root = project(tmp_path / "home", *hooks)
    ran = run(root, "relnox", "rehearse", "--installer", "uv")
    assert ran.code == 0, ran.text
    assert log.names == ["edit-bump", "before-bump", "before-build", "after-build", *later]
    assert {event["rehearsal"] for event in log.events} == {True}
    assert {event["packages"][0]["version"] for event in log.events} == {"1.0.1a0"}


def test_this_python_is_first_on_path(tmp_path: Path, log: Log) -> None:
    root = project(tmp_path / "home", hook("before-build"))
    assert run_in_process(root, "build-all").code == 0
    path = log.entries[0]["environment"]["PATH"]
    assert path.split(":")[0] == str(Path(sys.executable).parent)
