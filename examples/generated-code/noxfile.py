"""Sessions of the project."""

from relnox.sessions import build_all, publish, version_bump

__all__ = ["build_all", "publish", "version_bump"]
