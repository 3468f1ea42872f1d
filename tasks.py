"""relnox's own tasks: its release, through invoke."""

from relnox.tasks import *  # noqa: F403 - exactly the tasks, see relnox.tasks.__all__
