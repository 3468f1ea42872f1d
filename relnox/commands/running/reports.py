"""Files that a run writes: the plan and the report."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.errors import Blocked
from relnox.reporters.streams import STDERR, STDOUT
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from relnox.core.settings.options import CommonOptions

STANDARD_OUTPUT = "-"
"""The value of an option that means standard output instead of a file."""


def keep_output_for(*paths: Any) -> AbstractContextManager[None]:
    """Return a context that redirects other output to standard error if one of the paths is standard output."""
    return STDOUT.redirect_to(STDERR) if STANDARD_OUTPUT in paths else contextlib.nullcontext()


def paths(options: CommonOptions) -> tuple[str, ...]:
    """Return the files that a command writes its plan and report to, or reads the expected plan from."""
    files = (options.plan, options.report, options.expect_plan)
    return tuple(path for path in files if path is not None and path != STANDARD_OUTPUT)


def check_distinct(options: CommonOptions) -> None:
    """Check that the plan, the report and the JSON output are written to different places.

    Raises:
        Blocked: Two documents have the same path, or both go to standard output.
    """
    documents = {
        "--plan": options.plan,
        "--report": options.report,
        "--json": STANDARD_OUTPUT if getattr(options, "json", False) else None,
    }
    flags: dict[str, str] = {}
    for flag, path in documents.items():
        if path is None:
            continue
        place = path if path == STANDARD_OUTPUT else os.path.realpath(path)
        if other := flags.get(place):
            to = "standard output" if path == STANDARD_OUTPUT else path
            raise Blocked("options-conflict", f"{other} and {flag} both write to {to}", fix=f"remove {flag}")
        flags[place] = flag


def check(path: str, what: str) -> None:
    """Check that a file can be written; `what` names its content in the error message.

    Raises:
        Blocked: The path is a directory, its parent does not exist, or permissions are missing.
    """
    if path == STANDARD_OUTPUT:
        return
    try:
        file = Path(path)
        target = file if file.exists() else file.parent
        if file.is_dir() or not file.parent.is_dir() or not os.access(target, os.W_OK):
            code = errno.EISDIR if file.is_dir() else errno.EACCES if file.parent.is_dir() else errno.ENOENT
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - the error that writing would raise
    except OSError as error:
        raise _not_writable_error(path, what, error.strerror) from error


def write(path: str, text: str, what: str) -> None:
    """Write text to a file or to standard output, with secrets masked; `what` names it in the error message.

    Raises:
        Blocked: The file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        with STDOUT.redirect_to(None):
            STDOUT.write(mask_secrets(text))
            STDOUT.flush()
        return
    try:
        Path(path).write_text(mask_secrets(text), encoding="utf-8")
    except OSError as error:
        raise _not_writable_error(path, what, error.strerror) from error


def _not_writable_error(path: str, what: str, why: str | None) -> Blocked:
    return Blocked(
        "file-not-writable", f"the {what} cannot be written to {path}: {why}", fix="choose another path"
    )
