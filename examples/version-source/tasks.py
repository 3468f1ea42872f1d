"""Tasks of the project."""

from relnox.tasks import *  # noqa: F403
