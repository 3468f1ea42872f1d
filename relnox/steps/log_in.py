"""Get upload tokens before the first upload."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.core.text import counted, listing
from relnox.errors import RelnoxError
from relnox.steps.action import Action

_CONCURRENT_LOGINS = 8


class LogIn(Step, kw_only=True):
    """Get upload tokens for all projects from an index, before any of them is uploaded."""

    key = "log in"
    publishes = True
    index: str
    packages: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"get upload tokens for {listing(self.packages)} from {self.index}"


class LogInAction(Action[LogIn]):
    """Gets an upload token for each project, so that errors come before any upload.

    Tokens are valid for this run only. Whether a project accepts this publisher is known only with its first file,
    since an identity names no project.
    """

    def apply(self) -> None:
        from relnox.system.threads import ThreadPool

        credentials = self.run.indexes.credentials(self.step.index)
        with ThreadPool(_CONCURRENT_LOGINS, thread_name_prefix="log in") as pool:
            futures = [pool.submit(credentials.login, package) for package in self.step.packages]
        errors = [error for future in futures if (error := future.exception()) is not None]
        problems = [error for error in errors if isinstance(error, RelnoxError)]
        if len(problems) < len(errors):
            raise next(error for error in errors if error not in problems)
        if problems:
            messages = dict.fromkeys(error.message for error in problems)
            raise type(problems[0])(problems[0].code, "\n".join(messages), fix=problems[0].fix)

    def verify(self) -> str:
        count = len(self.step.packages)
        return counted(count, "token")
