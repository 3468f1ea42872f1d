"""relnox's own sessions: checks, and its release with its own tasks."""

import os
from pathlib import Path

import nox
from packaging.requirements import Requirement

from relnox.sessions import *  # noqa: F403

nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"

# Tests start thousands of processes, each of which would compile relnox.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = PYPROJECT["project"]
DECLARED = map(Requirement, PROJECT["dependencies"])
OLDEST = {requirement.name: str(requirement).replace(">=", "==") for requirement in DECLARED}
FRONT_ENDS = ("tests/frontends/test_nox.py", "tests/frontends/test_invoke.py", "tests/frontends/test_importing.py")
LOWEST = (
    *("tests/frontends/test_cli.py", "tests/e2e/test_release.py"),
    *("tests/integration/test_bump.py", "tests/integration/test_building.py"),
)
PARALLEL = ("-n4", "--dist=worksteal")  # half of the time, tests wait for other programs
QUICK = ("-m", "not native and not heavy")
ON_OTHER_PYTHONS = (
    *("tests/unit", "tests/frontends/test_cli.py", "tests/frontends/test_api.py", *FRONT_ENDS[1:]),
    *("tests/integration/test_bump.py", "tests/e2e/test_release.py", *QUICK),
)


def install(session: nox.Session, group: str) -> None:
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, group))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, except the heavy ones, on the running Python."""
    install(session, "test")
    session.run("pytest", *PARALLEL, *(session.posargs or QUICK))


@nox.session(default=False, name="tests-heavy")
def tests_heavy(session: nox.Session) -> None:
    """Run the heavy tests: real build backends, kills, index servers, misbehaving indexes."""
    install(session, "test")
    session.run("pytest", *PARALLEL, "-m", "heavy and not native", *session.posargs)


@nox.session(python=PYTHONS, default=False, name="tests-on")
def tests_on(session: nox.Session) -> None:
    """Run the tests that depend on the Python: tests-on-3.11 to tests-on-3.14."""
    install(session, "test")
    session.run("pytest", *PARALLEL, *(session.posargs or ON_OTHER_PYTHONS))


@nox.session(default=False)
@nox.parametrize("versions", ["oldest", "newest"], ids=["oldest", "newest"])
def frontends(session: nox.Session, versions: str) -> None:
    """Test the front ends with the oldest nox and invoke that pyproject.toml allows, and with the newest ones."""
    install(session, "test")
    session.install(
        *([OLDEST["nox"], OLDEST["invoke"]] if versions == "oldest" else ["--upgrade", "nox", "invoke"])
    )
    session.run("pytest", *PARALLEL, *(session.posargs or FRONT_ENDS))


@nox.session(default=False, name="tests-lowest")
def tests_lowest(session: nox.Session) -> None:
    """Test the command line and a release with the oldest versions that pyproject.toml allows."""
    session.install(
        "-e.", *OLDEST.values(), "pytest>=8.4", "pytest-xdist>=3.6", "hypothesis>=6.100", "jsonschema>=4", "pip"
    )
    session.run("pytest", *PARALLEL, *(session.posargs or LOWEST))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Kill runs before each change and each request, and let years pass; takes half an hour."""
    install(session, "test")
    soaks = sorted(map(str, Path("tests/faults").glob("soak_*.py")))
    session.run("pytest", "-n2", *soaks, *session.posargs)


@nox.session(default=False, name="hostile-index")
def hostile_index(session: nox.Session) -> None:
    """Publish 2 and 6 files to an index that misbehaves, with signals in between; takes minutes."""
    install(session, "test")
    sweeps = sorted(map(str, Path("tests/faults").glob("sweep_*.py")))
    session.run("pytest", "-n8", "--dist=worksteal", *sweeps, *session.posargs)


@nox.session(default=False)
def native(session: nox.Session) -> None:
    """Build compiled packages with each backend for them; needs a C compiler and cargo."""
    install(session, "test")
    session.run("pytest", "-n2", "-m", "native", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Run all tests with branch coverage, subprocesses included."""
    install(session, "test")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n2", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, words, generated pages, the layers of imports and the declared dependencies."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("python", "scripts/check_words.py")
    session.run("python", "scripts/reference.py", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("deptry", "relnox")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, also of the tests."""
    install(session, "types")
    session.run("mypy", *session.posargs)


if __name__ == "__main__":
    nox.main()
