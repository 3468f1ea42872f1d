"""nox sessions: a noxfile registers what it imports, once, and no session runs by default."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, python, single, write
from running import nox_has

from relnox.commands import TASKS
from relnox.commands.init import NOXFILE

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

MAIN = '\nif __name__ == "__main__":\n    nox.main()\n'

OWN_TESTS = """
@nox.session(python=False)
def tests(session):
    print("the user's tests ran")
"""


SELECTS_ALL = nox_has("2026.4.10")
"""Whether -t and -k select sessions that are none of the default, as all of relnox's."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package outside git; each test writes its noxfile."""
    return single(tmp_path / "demo")


def nox(root: Path, *words: str, **variables: str) -> CompletedProcess[str]:
    return python(root, "-m", "nox", *words, **variables)


def noxfile(project: Path, text: str) -> Path:
    return write(project, {"noxfile.py": f"import nox\n{text}{MAIN}"})


def listed(done: CompletedProcess[str]) -> dict[str, bool]:
    """The sessions of a listing, and whether a bare `nox` runs them."""
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^([*-]) (\S+)", done.stdout, re.MULTILINE)
    sessions = {name: mark == "*" for mark, name in found}
    assert len(sessions) == len(found), "a session is listed twice"
    return sessions


def test_what_is_imported_is_listed_and_nothing_else(project: Path) -> None:
    noxfile(project, "from relnox.sessions import build_all, publish\n")

    assert listed(nox(project, "-l")) == {"build-all": False, "publish": False}


def test_a_star_imports_every_task(project: Path) -> None:
    noxfile(project, "from relnox.sessions import *\n")

    assert listed(nox(project, "-l")) == dict.fromkeys(TASKS, False)


def test_importing_the_module_registers_nothing(project: Path) -> None:
    noxfile(project, f"import relnox.sessions\n{OWN_TESTS}")

    assert listed(nox(project, "-l")) == {"tests": True}


@pytest.mark.parametrize("start", [("-m", "nox"), ("noxfile.py",)], ids=["nox", "the file itself"])
def test_a_noxfile_can_be_run_by_itself(project: Path, start: tuple[str, ...]) -> None:
    write(project, {"noxfile.py": NOXFILE})

    assert listed(python(project, *start, "-l")) == dict.fromkeys(TASKS, False)


def test_a_bare_nox_runs_what_is_the_users_own(project: Path) -> None:
    noxfile(project, f"from relnox.sessions import *\n{OWN_TESTS}")

    done = nox(project)

    assert done.returncode == 0
    assert re.findall(r"Running session (\S+)", done.stderr) == ["tests"]
    assert done.stdout == "the user's tests ran\n"


def test_a_bare_nox_runs_nothing_where_nothing_is_the_users_own(project: Path) -> None:
    noxfile(project, "from relnox.sessions import build_all, publish\n")

    done = nox(project)

    assert "Running session" not in done.stderr
    assert "No sessions selected" in done.stdout


def test_install_only_leaves_publishing_alone(shared: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    words = ("-s", "publish", "--", "--index", "embedded", "--dry-run", "--plan", str(plan))

    prepared = nox(shared, "--install-only", *words)

    assert prepared.returncode == 0
    assert "publish: nothing to install" in prepared.stderr
    assert not plan.exists()
    assert nox(shared, *words).returncode == 0
    assert plan.exists()


def test_a_name_that_is_no_session_is_an_import_error(project: Path) -> None:
    noxfile(project, "from relnox.sessions import bild_all\n")

    done = nox(project, "-l")

    assert done.returncode != 0
    assert "ImportError: cannot import name 'bild_all' from 'relnox.sessions'" in done.stderr


@pytest.mark.parametrize("start", [("-m", "nox"), ("noxfile.py",)], ids=["nox", "the file itself"])
def test_one_name_imported_twice_is_one_session(project: Path, start: tuple[str, ...]) -> None:
    write(project, {"shared_sessions.py": "from relnox.sessions import publish\n"})
    noxfile(project, "import shared_sessions\nfrom relnox.sessions import publish, publish as publish\n")

    done = python(project, "-W", "error", *start, "-l")

    assert listed(done) == {"publish": False}
    assert "Warning" not in done.stderr


def test_register_gives_names_and_tags(project: Path) -> None:
    noxfile(
        project,
        "from relnox.sessions import register\n"
        'register("build_all", "publish", prefix="release-", tags=["outward"])\n'
        'register("verify_install", python=["3.12"])\n',
    )

    named = {"release-build-all", "release-publish", "verify-install", "verify-install-3.12"}
    assert listed(nox(project, "-l")) == dict.fromkeys(named, False)
    tagged = {name for name, runs in listed(nox(project, "-l", "-t", "outward")).items() if runs}
    assert tagged == ({"release-build-all", "release-publish"} if nox_has("2026.4.10") else set())


def test_register_lists_the_valid_names(project: Path) -> None:
    noxfile(project, 'from relnox.sessions import register\nregister("build-all")\n')

    done = nox(project, "-l")

    assert done.returncode != 0
    assert "ValueError: unknown session build-all (choose one of build_all, collect, publish," in done.stderr


@pytest.mark.parametrize("words", ['prefix="release-"', ""], ids=["prefix", "nothing"])
def test_register_without_names_registers_all(project: Path, words: str) -> None:
    noxfile(project, f"import relnox.sessions\nrelnox.sessions.register({words})\n")

    prefix = "release-" if words else ""
    assert listed(nox(project, "-l")) == dict.fromkeys((f"{prefix}{name}" for name in TASKS), False)


def test_register_gives_one_session_a_whole_name(project: Path) -> None:
    noxfile(
        project,
        'from relnox.sessions import register\nregister("verify_install", name="prove", python=["3.12"])\n',
    )

    assert listed(nox(project, "-l")) == {"prove": False, "prove-3.12": False}


@pytest.mark.parametrize(
    "words", ['"build_all", "publish", name="x"', 'name="x"', '"publish", name="x", prefix="y"']
)
def test_a_whole_name_is_one_sessions(project: Path, words: str) -> None:
    noxfile(project, f"from relnox.sessions import register\nregister({words})\n")

    done = nox(project, "-l")

    assert done.returncode != 0
    assert done.stderr.endswith("ValueError: name='x' requires exactly one import name, and no prefix\n")


@pytest.mark.parametrize("start", [("-m", "nox"), ("noxfile.py",)], ids=["nox", "the file itself"])
def test_an_alias_is_refused_with_the_form_that_renames(project: Path, start: tuple[str, ...]) -> None:
    noxfile(project, "from relnox.sessions import (\n    publish,\n    build_all as make,\n)\n")

    done = python(project, *start, "-l")

    assert done.returncode != 0
    assert done.stderr.endswith(
        "ValueError: build_all is imported as make, but its session is still named build-all "
        "[session-renamed-by-import]\n"
        'fix: relnox.sessions.register("build_all", name="make"), or import build_all without "as"\n'
    )


def test_the_form_that_renames_does(project: Path) -> None:
    noxfile(project, 'import relnox.sessions\nrelnox.sessions.register("build_all", name="make")\n')

    assert listed(nox(project, "-l")) == {"make": False}
    assert "Plan of build-all" in nox(project, "-s", "make", "--", "--from-tree", "--dry-run").stdout


@pytest.mark.parametrize(
    "statement", ["from relnox.sessions import publish", "from relnox.sessions import *"], ids=["name", "star"]
)
@pytest.mark.parametrize(
    "own",
    [
        OWN_TESTS.replace("def tests", "def publish"),
        OWN_TESTS.replace("python=False", 'python=False, name="publish"'),
    ],
    ids=["function", "name"],
)
@pytest.mark.parametrize("order", ["own first", "relnox first"])
def test_no_session_replaces_another(project: Path, order: str, own: str, statement: str) -> None:
    noxfile(project, f"{own}\n{statement}\n" if order == "own first" else f"{statement}\n{own}")

    done = nox(project, "-s", "publish")

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.endswith(
        "ValueError: two sessions are named publish: relnox's publish, and another one in this noxfile "
        "[session-name-twice]\n"
        "fix: rename the other one, or relnox's: "
        'relnox.sessions.register("publish", name="release-publish")\n'
    )


def test_a_session_of_a_helper_module_is_not_replaced(project: Path) -> None:
    write(project, {"helpers.py": f"import nox\n{OWN_TESTS.replace('def tests', 'def status')}"})
    noxfile(project, "from relnox.sessions import status\nimport helpers\n")

    done = nox(project, "-s", "status")

    assert (done.returncode, done.stdout) == (1, "")
    assert "ValueError: two sessions are named status: " in done.stderr


def test_two_tasks_cannot_share_a_name(project: Path) -> None:
    noxfile(
        project, 'from relnox.sessions import register\nregister("status")\nregister("publish", name="status")\n'
    )

    done = nox(project, "-l")

    assert "ValueError: two sessions are named status: relnox's publish, and another one" in done.stderr


def test_own_sessions_may_replace_each_other_as_nox_allows(project: Path) -> None:
    noxfile(project, f"from relnox.sessions import publish\n{OWN_TESTS}{OWN_TESTS}")

    done = nox(project)

    assert (done.returncode, done.stdout) == (0, "the user's tests ran\n")


def test_errors_are_printed_without_a_traceback(project: Path) -> None:
    noxfile(project, "from relnox.sessions import build_all, publish\n")

    done = nox(project, "-s", "publish", "--", "--index", "embedded")

    assert done.returncode == 1
    assert re.search(
        r"^error: .*dist/manifest\.json.* \[[a-z-]+\]\nfix: nox -s build-all\n", done.stderr, re.MULTILINE
    )
    assert "Session publish aborted: publish: exit code 1, see above" in done.stderr
    assert "Traceback" not in done.stderr


def test_typing_errors_are_printed_without_a_traceback(shared: Path) -> None:
    done = nox(shared, "-s", "publish", "--", "--indx", "embedded")

    assert done.returncode == 1
    assert (
        "nox -s publish --: unrecognized arguments: --indx embedded [option-unknown]\nfix: did you mean --index?"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_words_after_the_dashes_reach_every_session_of_the_call(shared: Path) -> None:
    words = ("--dry-run", "--package", "core", "--verbose")

    done = nox(shared, "-s", "status", "build-all", "--", *words)

    assert done.returncode == 0
    assert "build-all was successful" in done.stderr
    assert "acme-core" in done.stdout
    assert "acme-agents" not in done.stdout


RENAMED = """
from relnox.sessions import register
register("version_bump", name="raise-version", tags=["both"])
register("build_all", name="make", tags=["both"])
"""


@pytest.mark.parametrize(
    ("selection", "variables"),
    [
        (("-s", "raise-version", "make"), {}),
        (("-s", "make", "raise-version"), {}),
        ((), {"NOXSESSION": "raise-version,make"}),
        *([(("-t", "both"), {}), (("-k", "make or version"), {})] if SELECTS_ALL else []),
    ],
    ids=lambda value: " ".join(value) or "-",
)
def test_an_option_that_one_session_lacks_stops_all_of_them(
    workspace: Path, selection: tuple[str, ...], variables: dict[str, str]
) -> None:
    noxfile(workspace, RENAMED)
    head = commit_all(workspace, "Two sessions")

    done = nox(workspace, *selection, "--", "--part", "minor", "--no-test", **variables)

    assert done.returncode == 1
    lacking = ["raise-version has no --no-test", "make has no --part"]
    commands = ["nox -s raise-version -- --part minor", "nox -s make -- --no-test"]
    if selection[1:2] == ("make",):
        lacking.reverse()
        commands.reverse()
    error = f'error: nox passes the options after "--" to every session, but {", ".join(lacking)}'
    assert done.stderr.count(f"{error} [option-not-for-every-session]\nfix: {' && '.join(commands)}\n") == 2
    assert (git(workspace, "rev-parse", "HEAD"), git(workspace, "status", "--porcelain")) == (head, "")
    assert not (workspace / "dist").exists()


def test_the_commands_that_such_an_error_names_work(workspace: Path) -> None:
    error = nox(workspace, "-s", "bump", "status", "--", "--part", "minor", "--verbose").stderr
    fix = re.search(r"^fix: (.*)$", error, re.MULTILINE)
    assert fix is not None
    commands = [shlex.split(command) for command in fix[1].split(" && ")]

    done = [nox(workspace, *command[1:]) for command in commands]

    assert [command[2] for command in commands] == ["bump", "status"]
    assert [each.returncode for each in done] == [0, 0]
    assert "2.1.0" in done[1].stdout


def test_a_value_that_one_session_cannot_take_stops_all_of_them(workspace: Path) -> None:
    done = nox(workspace, "-s", "status", "build-all", "publish-test", "--", "--installer", "conda")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "status has no --installer" in done.stderr

    done = nox(workspace, "-s", "build-all", "publish-test", "--", "--dry-run", "--installer", "conda")

    assert done.returncode == 1
    assert "Plan of build-all" not in done.stdout
    assert "--installer = 'conda' is not one of" in done.stderr


def test_an_option_that_no_session_has_is_unknown(shared: Path) -> None:
    done = nox(shared, "-s", "status", "build-all", "--", "--verbos")

    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        "error: nox -s status --: unrecognized arguments: --verbos [option-unknown]\nfix: did you mean --verbose?"
        in done.stderr
    )


def test_what_a_session_is_notified_with_is_its_own(workspace: Path) -> None:
    noxfile(
        workspace,
        "from relnox.sessions import status, version_bump\n"
        "@nox.session(python=False)\n"
        "def both(session):\n"
        '    session.notify("bump", ["--part", "minor", "--dry-run"])\n'
        '    session.notify("status", [])\n',
    )

    done = nox(workspace, "-s", "both")

    assert done.returncode == 0, done.stderr
    assert "Plan of bump " in done.stdout


def test_own_sessions_take_what_they_like(workspace: Path) -> None:
    noxfile(workspace, f"from relnox.sessions import status\n{OWN_TESTS}")

    done = nox(workspace, "-s", "tests", "status", "--", "--maxfail=1")

    assert done.stdout == "the user's tests ran\n"
    assert "error: nox -s status --: unrecognized arguments: --maxfail=1" in done.stderr


def test_help_behind_the_dashes_is_the_tasks(shared: Path) -> None:
    done = nox(shared, "-s", "publish", "--", "--help")

    assert done.returncode == 0
    assert done.stdout.startswith("usage: nox -s publish -- ")
    assert "--yes" in done.stdout


@pytest.mark.parametrize("rules", [(), ("--select", "ALL", "--unsafe-fixes")], ids=["default", "all"])
def test_no_linter_takes_the_imports_away(project: Path, rules: tuple[str, ...]) -> None:
    write(project, {"noxfile.py": NOXFILE})

    python(project, "-m", "ruff", "check", "--isolated", "--no-cache", "--fix", *rules, "noxfile.py")

    assert (project / "noxfile.py").read_text(encoding="utf-8") == NOXFILE


def test_the_same_linter_takes_them_where_all_is_missing(project: Path) -> None:
    noxfile(project, "from relnox.sessions import publish\n")

    python(project, "-m", "ruff", "check", "--isolated", "--no-cache", "--fix", "noxfile.py")

    assert "relnox" not in (project / "noxfile.py").read_text(encoding="utf-8")


def test_configured_pythons_have_sessions(project: Path) -> None:
    settings = '\n[tool.relnox.verify]\npython = ["3.12", "3.13"]\n'
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    write(project, {"pyproject.toml": text + settings})
    noxfile(project, "from relnox.sessions import verify_install\n")

    names = ["verify-install", "verify-install-3.12", "verify-install-3.13"]
    assert listed(nox(project, "-l")) == dict.fromkeys(names, False)


def test_a_session_of_one_python_plans_for_it_alone(shared: Path, tmp_path: Path) -> None:
    noxfile = tmp_path / "noxfile.py"
    noxfile.write_text(
        'from relnox.sessions import register\nregister("verify_install", python=["3.12"])\n', encoding="utf-8"
    )
    plan = tmp_path / "plan.json"
    asked = ("--index", "embedded", "--package", "core", "--python", "3.13")
    words = ("--project", str(shared), *asked, "--plan", str(plan), "--dry-run")

    done = nox(tmp_path, "-f", str(noxfile), "-s", "verify-install-3.12", "--", *words)

    assert done.returncode == 0, done.stderr
    install_checks = [step for step in json.loads(plan.read_bytes())["steps"] if step["kind"] == "VerifyInstall"]
    assert [(step["package"], step["python"]) for step in install_checks] == [("acme-core", "3.12")]


def test_the_listing_is_about_the_tasks_and_loads_nothing_heavy(project: Path) -> None:
    write(project, {"noxfile.py": NOXFILE})

    done = python(project, "-X", "importtime", "-m", "nox", "-l")

    loaded = set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "relnox.sessions" in loaded
    assert loaded.isdisjoint({"build", "requests", "rich", "semver", "tomlkit", "twine"})
    assert "publish -> Publish the files of the manifest" in done.stdout


def test_git_sees_nothing_of_a_dry_run(shared: Path) -> None:
    head = git(shared, "rev-parse", "HEAD")

    done = nox(shared, "-s", "bump", "--", "--part", "minor", "--commit", "--dry-run")

    assert done.returncode == 0
    assert (git(shared, "rev-parse", "HEAD"), git(shared, "status", "--porcelain")) == (head, "")
