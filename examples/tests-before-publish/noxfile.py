"""Sessions of the project."""

import nox
from relnox.sessions import build_all, publish, version_bump

__all__ = ["build_all", "publish", "version_bump"]


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.run("python", "-m", "unittest", "discover", "tests", env={"PYTHONPATH": "src"})
