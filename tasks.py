"""relnox's own release tasks for invoke."""

from relnox.tasks import *  # noqa: F403 - only the tasks, see relnox.tasks.__all__
