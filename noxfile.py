"""relnox's own sessions: its checks, and its own release by its own tasks."""

import os
from pathlib import Path

import nox
from packaging.requirements import Requirement

from relnox.sessions import build_all, collect, publish, rehearse, status, testpypi, verify_install, version_bump

__all__ = [
    "build_all",
    "collect",
    "publish",
    "rehearse",
    "status",
    "testpypi",
    "verify_install",
    "version_bump",
]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

# Tests start thousands of processes, each of which would compile relnox.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13"]
LOWEST = (
    *("tests/doors/test_nox.py", "tests/doors/test_invoke.py", "tests/e2e/test_release.py"),
    *("tests/integration/test_bump.py", "tests/integration/test_building.py"),
    *("-k", "not linter"),  # ruff is not among what is installed
)
PARALLEL = ("-n4", "--dist=worksteal")  # tests wait for other programs half of their time
QUICK = ("-m", "not native and not heavy")
ON_OTHER_PYTHONS = ("tests/unit", "tests/doors", "tests/integration/test_bump.py", "tests/e2e", *QUICK)


def install(session: nox.Session, group: str) -> None:
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, group))


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, but for those that take long, on the running Python."""
    install(session, "test")
    session.run("pytest", *PARALLEL, *(session.posargs or QUICK))


@nox.session(default=False, name="tests-heavy")
def tests_heavy(session: nox.Session) -> None:
    """The tests that take long: builds by real backends, kills, index servers, misbehaving indexes."""
    install(session, "test")
    session.run("pytest", *PARALLEL, "-m", "heavy and not native", *session.posargs)


@nox.session(python=PYTHONS, default=False, name="tests-on")
def tests_on(session: nox.Session) -> None:
    """The tests of what depends on the Python: tests-on-3.11, tests-on-3.12, tests-on-3.13."""
    install(session, "test")
    session.run("pytest", *PARALLEL, *(session.posargs or ON_OTHER_PYTHONS))


@nox.session(default=False, name="tests-lowest")
def tests_lowest(session: nox.Session) -> None:
    """The front ends, and a release by each, with the oldest versions that pyproject.toml allows."""
    project = PYPROJECT["project"]
    declared = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["uv"]])
    oldest = [str(each).replace(">=", "==") for each in declared]
    session.install(
        "-e.", *oldest, "pytest>=8.4", "pytest-xdist>=3.6", "hypothesis>=6.100", "jsonschema>=4", "pip"
    )
    session.run("pytest", *PARALLEL, *(session.posargs or LOWEST))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Runs that are killed at every system call that changes something, and at random; needs strace."""
    install(session, "test")
    soaks = sorted(map(str, Path("tests/faults").glob("soak_*.py")))
    session.run("pytest", "-n2", *soaks, *session.posargs)


@nox.session(default=False, name="hostile-index")
def hostile_index(session: nox.Session) -> None:
    """All ways in which an index misbehaves, for 2, 6 and 20 files, and signals in the middle; takes minutes."""
    install(session, "test")
    sweeps = sorted(map(str, Path("tests/faults").glob("sweep_*.py")))
    session.run("pytest", "-n8", "--dist=worksteal", *sweeps, *session.posargs)


@nox.session(default=False)
def native(session: nox.Session) -> None:
    """Builds with compiled code by each backend that has it; needs a C compiler and cargo."""
    install(session, "test")
    session.run("pytest", "-n2", "-m", "native", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """All tests with branch coverage, subprocesses included."""
    install(session, "test")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n2", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling and the layers of imports."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, the tests too."""
    install(session, "types")
    session.run("mypy", *session.posargs)


if __name__ == "__main__":
    nox.main()
