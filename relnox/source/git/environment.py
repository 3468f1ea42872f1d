"""The environment variables that git is run with."""

from __future__ import annotations

import os

from relnox.system.environment_variables import without_upload_credentials

_OTHER_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""Variables that point git to another repository than the one it is started in; git sets them for its hooks."""
_PATHSPECS = ("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS")
"""Variables that change the meaning of a path."""
_POETRY_CREDENTIALS = "POETRY_HTTP_BASIC_"
"""Credentials of an index, for reading and uploading: git and its hooks need neither."""
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_OPTIONAL_LOCKS": "0",  # a killed `git status` would leave its lock
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "en",
}
"""No prompt, no editor, English messages."""


def environment() -> dict[str, str]:
    """Copy the environment without credentials and without variables that lead git elsewhere."""
    inherited = without_upload_credentials(os.environ)
    removed = _OTHER_REPOSITORY + _PATHSPECS
    return {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_POETRY_CREDENTIALS) and name not in removed
    } | _SETTINGS
