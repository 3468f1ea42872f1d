"""nox sessions: a noxfile registers what it imports, once, and no session runs by default."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from package_index import PackageIndex
from projects import commit_all, python, write
from releases import Package, release
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


def nox(root: Path, *words: str, code: int | None = None, **variables: str) -> CompletedProcess[str]:
    return python(root, "-m", "nox", *words, code=code, **variables)


def noxfile(project: Path, text: str) -> Path:
    return write(project, {"noxfile.py": f"import nox\n{text}{MAIN}"})


def listed(done: CompletedProcess[str]) -> dict[str, bool]:
    """The sessions of a listing, and whether a bare `nox` runs them."""
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^([*-]) (\S+)", done.stdout, re.MULTILINE)
    sessions = {name: mark == "*" for mark, name in found}
    assert len(sessions) == len(found), "a session is listed twice"
    return sessions


ALL = dict.fromkeys(TASKS, False)


@pytest.mark.parametrize(
    ("text", "sessions"),
    [
        ("from relnox.sessions import build_all, publish\n", {"build-all": False, "publish": False}),
        ("from relnox.sessions import *\n", ALL),
        (f"import relnox.sessions\n{OWN_TESTS}", {"tests": True}),
        ("import relnox.sessions\nrelnox.sessions.add()\n", ALL),
        (
            "from relnox.sessions import version_bump, bump, testpypi, publish_test\n",
            {"bump": False, "publish-test": False},
        ),
        ("import shared_sessions\nfrom relnox.sessions import publish, publish as publish\n", {"publish": False}),
        ('from relnox import sessions\nsessions.add("build_all", names={"build-all": "make"})\n', {"make": False}),
        (f"from relnox.sessions import publish\n{OWN_TESTS}", {"publish": False, "tests": True}),
    ],
    ids=["names", "star", "module", "add", "both spellings", "twice", "renamed", "own"],
)
@pytest.mark.parametrize("start", [("-m", "nox"), ("noxfile.py",)], ids=["nox", "the file itself"])
def test_what_is_imported_is_a_session_once(
    project: Path, start: tuple[str, ...], text: str, sessions: dict[str, bool]
) -> None:
    write(project, {"shared_sessions.py": "from relnox.sessions import publish\n"})
    noxfile(project, text)

    done = python(project, "-W", "error", *start, "-l")

    assert listed(done) == sessions
    assert "Warning" not in done.stderr


def test_tags_are_those_of_add(project: Path) -> None:
    noxfile(project, 'from relnox import sessions\nsessions.add(tags={"publish": ["outward"]})\n')

    tagged = {name for name, runs in listed(nox(project, "-l", "-t", "outward")).items() if runs}

    assert tagged == ({"publish"} if nox_has("2026.4.10") else set())


def test_a_bare_nox_runs_what_is_the_users_own(project: Path) -> None:
    noxfile(project, f"from relnox.sessions import *\n{OWN_TESTS}")

    done = nox(project, code=0)

    assert re.findall(r"Running session (\S+)", done.stderr) == ["tests"]
    assert done.stdout == "the user's tests ran\n"


def test_install_only_leaves_publishing_alone(shared: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    words = ("-s", "publish", "--", "--index", "embedded", "--dry-run", "--plan", str(plan))

    prepared = nox(shared, "--install-only", *words, code=0)

    assert "publish: nothing to install" in prepared.stderr
    assert not plan.exists()
    nox(shared, *words, code=0)
    assert plan.exists()


def test_a_name_that_is_no_session_is_an_import_error(project: Path) -> None:
    noxfile(project, "from relnox.sessions import buildall\n")

    done = nox(project, "-l")

    assert done.returncode != 0
    assert "ImportError: cannot import name 'buildall' from 'relnox.sessions'" in done.stderr


@pytest.mark.parametrize(
    ("call", "error", "fix"),
    [
        ('add("buildall")', "unknown task buildall [task-unknown]", "did you mean build-all?"),
        (
            'add("publsh")',
            "unknown task publsh [task-unknown]",
            f"choose one of {', '.join(TASKS)}",
        ),
        (
            'add("bump", tags={"publish": ["x"]})',
            "tags has a value for publish, which is not among the tasks of this call [task-unknown]",
            'add "publish" to the tasks, or remove its key from tags',
        ),
        (
            'add("publish", defaults={"publish": {"yes": True}})',
            "defaults set yes for publish, but it can only be set on the command line [command-line-only]",
            'remove "yes" from defaults, and pass it on the command line',
        ),
        (
            'add("bump", defaults={"bump": {"project": "other"}})',
            "defaults set project for bump, but it can only be set on the command line [command-line-only]",
            'remove "project" from defaults, and pass it on the command line',
        ),
        (
            'add("bump", defaults={"version_bump": {"prt": "minor"}})',
            "defaults of bump: bump has no option prt [option-unknown]",
            "did you mean part?",
        ),
        (
            'add(defaults={"status": {"reporter": "termnal"}})',
            (
                "defaults of status: reporter = 'termnal' is not one of auto, terminal, plain, github "
                "[value-invalid]"
            ),
            "did you mean terminal?",
        ),
        (
            'add(defaults={"build-all": {"strict": "yes"}})',
            "defaults of build-all: strict = 'yes' is not true or false [value-invalid]",
            "set strict to true or false",
        ),
        (
            'add("publish", tags={"publish": ["x"]}); sessions.add("publish", tags={"publish": ["y"]})',
            "the session publish is added twice with different settings [session-name-twice]",
            'remove one of them: sessions.add("publish", ...)',
        ),
    ],
)
def test_a_wrong_call_of_add_is_a_clear_error(project: Path, call: str, error: str, fix: str) -> None:
    noxfile(project, f"from relnox import sessions\nsessions.{call}\n")

    done = nox(project, "-l")

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {error}\nfix: {fix}\n")


REQUIRING = """
import nox
from relnox import sessions

sessions.add(
    "build-all",
    "publish",
    requires={"publish": ["tests", "%s"]},
    defaults={"publish": {"index": "embedded"}},
    names={"build-all": "make"},
)

@nox.session(python=False)
def tests(session):
    print("the user's tests ran")
"""


@pytest.mark.parametrize("required", ["make", "build-all", "build_all"])
def test_what_a_session_requires_runs_before_it(shared: Path, tmp_path: Path, required: str) -> None:
    """A required session is named by its own name, or by that of its task, which the same call may rename."""
    (tmp_path / "noxfile.py").write_text(REQUIRING % required, encoding="utf-8")

    done = nox(tmp_path, "-s", "publish", "--", "--project", str(shared), "--dry-run", "--attestations", "off")

    assert done.returncode == 0, done.stderr
    assert re.findall(r"Running session (\S+)", done.stderr) == ["tests", "make", "publish"]
    assert "Plan of build-all" in done.stdout
    assert "Plan of publish" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "2.0.1"),
        (("minor",), "2.1.0"),
        (("--part", "major"), "3.0.0"),
        (("2.5",), "2.5"),
        (("--to", "2.6"), "2.6"),
    ],
)
def test_defaults_are_below_the_command_line(workspace: Path, words: tuple[str, ...], expected: str) -> None:
    noxfile(workspace, 'from relnox import sessions\nsessions.add("bump", defaults={"bump": {"part": "patch"}})\n')

    done = nox(workspace, "-s", "bump", "--", *words, "--dry-run")

    assert done.stdout.splitlines()[1].split()[2] == expected


def test_defaults_are_below_the_environment_and_the_file(project: Path) -> None:
    defaults = '{"build-all": {"strict": True, "output": "out"}}'
    noxfile(project, f"from relnox import sessions\nsessions.add('build-all', defaults={defaults})\n")
    plan = project / "plan.json"

    def options(**variables: str) -> dict[str, object]:
        words = ("-s", "build-all", "--", "--from-tree", "--dry-run", "--plan", str(plan))
        nox(project, *words, **variables, code=0)
        steps = json.loads(plan.read_bytes())["steps"]
        (build,) = (step for step in steps if step["kind"] == "Build")
        return {"strict": build["strict"], "output": build["output"]}

    assert options() == {"strict": True, "output": "out"}
    assert options(RELNOX_STRICT="0") == {"strict": False, "output": "out"}
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.relnox.build]\noutput = "dist2"\n')
    assert options() == {"strict": True, "output": "dist2"}


RUNNING = """
from relnox import sessions

@nox.session(python=False)
def ours(session):
    outcome = sessions.run(session, "version_bump", part="minor", dry_run=True, reporter="plain"{check})
    print(type(outcome).__name__, outcome.exit_code.name, [problem.code for problem in outcome.plan.problems])
    print(session.posargs)
"""


def test_a_task_runs_inside_a_session_of_the_project(workspace: Path) -> None:
    noxfile(workspace, RUNNING.format(check=""))
    commit_all(workspace, "A session")

    done = nox(workspace, "-s", "ours", "--", "--own", "word", code=0)

    assert "Plan of bump " in done.stdout
    assert done.stdout.endswith("Outcome DONE []\n['--own', 'word']\n")


@pytest.mark.parametrize(("check", "exit_code"), [("", 1), (", check=False", 0)])
def test_a_task_that_fails_fails_the_session(project: Path, check: str, exit_code: int) -> None:
    noxfile(project, RUNNING.replace("dry_run", "commit").format(check=check))

    done = nox(project, "-s", "ours", code=exit_code)

    assert "[not-a-git-repository]" in done.stderr
    assert ("Outcome BLOCKED ['not-a-git-repository']" in done.stdout) is (exit_code == 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('"publsh"', "error: unknown task publsh [task-unknown]\nfix: choose one of "),
        ('"bump", prt="minor"', "error: bump has no option prt [option-unknown]\nfix: did you mean part?"),
        ('"init"', "error: unknown task init [task-unknown]\nfix: choose one of "),
    ],
)
def test_a_wrong_call_of_run_is_a_clear_error(project: Path, call: str, error: str) -> None:
    noxfile(
        project,
        "from relnox import sessions\n@nox.session(python=False)\n"
        f"def ours(session):\n    sessions.run(session, {call})\n",
    )

    done = nox(project, "-s", "ours", code=1)

    assert error in done.stderr
    assert "Traceback" not in done.stderr


def test_install_only_runs_no_task_inside_a_session(project: Path) -> None:
    noxfile(project, RUNNING.format(check=""))

    done = nox(project, "--install-only", "-s", "ours", code=0)

    assert "bump: nothing to install" in done.stderr
    assert done.stdout.startswith("Outcome DONE []")


@pytest.mark.parametrize(
    "text",
    [
        f"{OWN_TESTS.replace('def tests', 'def publish')}\nfrom relnox.sessions import publish, status\n",
        f"from relnox.sessions import *\n{OWN_TESTS.replace('def tests', 'def publish')}",
        "from relnox.sessions import *\n@nox.session(python=False, name='publish')\ndef own(session):\n    pass\n",
        "from relnox.sessions import publish, status\nimport helpers\n",
        (
            'from relnox import sessions\nsessions.add("status", "bump", names={"bump": "publish"})\n'
            "from relnox.sessions import publish\n"
        ),
    ],
    ids=["own first", "relnox first", "by name", "of a helper module", "two tasks"],
)
def test_no_session_replaces_another(project: Path, text: str) -> None:
    write(project, {"helpers.py": f"import nox\n{OWN_TESTS.replace('def tests', 'def publish')}"})
    noxfile(project, text)

    done = nox(project, "-s", "status")

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        "error: two sessions are named publish: relnox's publish, and another one in this noxfile " in done.stderr
    )
    assert 'names={"publish": "release-publish"})\n' in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("publish -- --indx embedded", "publish --: unrecognized arguments: --indx embedded"),
        ("status build-all -- --verbos", "status --: unrecognized arguments: --verbos"),
        (
            "bump publish -- --index embedded --part minor --dry-run",
            "publish --: unrecognized arguments: --part minor",
        ),
        ("tests status -- --maxfail=1", "status --: unrecognized arguments: --maxfail=1"),
    ],
)
def test_an_option_of_another_session_is_unknown(workspace: Path, words: str, message: str) -> None:
    noxfile(workspace, f"from relnox.sessions import *\n{OWN_TESTS}")

    done = nox(workspace, "-s", *words.split(), code=1)

    assert f"error: nox -s {message} [option-unknown]\nfix: " in done.stderr
    assert "Traceback" not in done.stderr


def test_words_after_the_dashes_reach_every_session_of_the_call(shared: Path) -> None:
    words = ("--dry-run", "--package", "core", "--verbose")

    done = nox(shared, "-s", "status", "build-all", "--", *words, code=0)

    assert "build-all was successful" in done.stderr
    assert "acme-core" in done.stdout
    assert "acme-agents" not in done.stdout


def test_what_a_session_is_notified_with_is_its_own(workspace: Path) -> None:
    noxfile(
        workspace,
        "from relnox.sessions import status, version_bump\n"
        "@nox.session(python=False)\n"
        "def both(session):\n"
        '    session.notify("bump", ["--part", "minor", "--dry-run"])\n'
        '    session.notify("status", [])\n',
    )

    done = nox(workspace, "-s", "both", code=0)

    assert "Plan of bump " in done.stdout


@pytest.mark.parametrize("rules", [(), ("--select", "ALL", "--unsafe-fixes")], ids=["default", "all"])
def test_no_linter_takes_the_imports_away(project: Path, rules: tuple[str, ...]) -> None:
    write(project, {"noxfile.py": NOXFILE})

    python(project, "-m", "ruff", "check", "--isolated", "--no-cache", "--fix", *rules, "noxfile.py")

    # Which rules are on by default depends on ruff's version: without F403, its noqa goes.
    assert (project / "noxfile.py").read_text(encoding="utf-8") in (NOXFILE, NOXFILE.replace("  # noqa: F403", ""))
    assert listed(nox(project, "-l")) == dict.fromkeys(TASKS, False)


def test_the_listing_is_about_the_tasks_and_loads_nothing_heavy(project: Path) -> None:
    write(project, {"noxfile.py": NOXFILE})

    done = python(project, "-X", "importtime", "-m", "nox", "-l")

    loaded = set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "relnox.sessions" in loaded
    assert loaded.isdisjoint({"build", "requests", "rich", "semver", "tomlkit", "twine"})
    assert "publish -> Publish the built files" in done.stdout


def test_logs_of_libraries_are_not_shown(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    release(root, [Package("demo")])
    with PackageIndex() as index:
        urls = f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        write(root, {"pyproject.toml": f"{text}\n[tool.relnox.indexes.own]\n{urls}", "noxfile.py": NOXFILE})

        backend = "keyring.backends.chainer.ChainerBackend"  # loads all others, and logs each
        words = ("-s", "publish", "--", "--index", "own", "--dry-run")
        done = nox(root, *words, PYTHON_KEYRING_BACKEND=backend)

    assert "[credentials-missing]" in done.stdout
    assert "keyring.backend" not in done.stderr


@pytest.mark.parametrize(
    ("words", "variables"),
    [(("--force-python", "3.11"), {}), (("-P", "3.11"), {}), ((), {"NOXFORCEPYTHON": "3.11"})],
)
def test_forcing_a_python_leaves_the_sessions_of_the_project_alone(
    project: Path, words: tuple[str, ...], variables: dict[str, str]
) -> None:
    noxfile(project, f"from relnox.sessions import *\n{OWN_TESTS}")
    done = nox(project, *words, "-s", "tests", "status", **variables, code=0)
    assert "Traceback" not in done.stderr
    assert "the user's tests ran" in done.stdout
