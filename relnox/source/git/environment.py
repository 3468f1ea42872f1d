"""The environment variables with which git is run."""

from __future__ import annotations

import os

from relnox.system.environment_variables import without_upload_credentials

_REPOSITORY_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""Variables that make git use another repository than the working directory's; git sets them for its hooks."""
_PATHSPEC_VARIABLES = (
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
)
"""Variables that change how git interprets paths."""
_POETRY_CREDENTIALS = "POETRY_HTTP_BASIC_"
"""The prefix of variables with credentials of indexes, which git and its hooks do not need."""
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_OPTIONAL_LOCKS": "0",  # a killed `git status` would leave its lock
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "en",
}
"""Variables that make git run without prompts, editors and optional locks, and with English messages."""


def git_variables() -> dict[str, str]:
    """Return the variables for git, without credentials and variables that select another repository."""
    inherited_variables = without_upload_credentials(os.environ)
    removed_variables = _REPOSITORY_VARIABLES + _PATHSPEC_VARIABLES
    return {
        name: value
        for name, value in inherited_variables.items()
        if not name.startswith(_POETRY_CREDENTIALS) and name not in removed_variables
    } | _SETTINGS
