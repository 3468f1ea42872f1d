"""Steps of tasks that run other tasks."""

from __future__ import annotations

from relnox.core.steps.base import BaseStep

__all__ = [
    "CloneCheckout",
    "Stage",
]


class CloneCheckout(BaseStep, kw_only=True):
    """Clone the checkout and a remote for it to a temporary folder."""

    commit: str
    branch: str

    @property
    def key(self) -> str:
        return "clone"

    @property
    def title(self) -> str:
        return f"clone commit {self.commit[:10]} and a remote for it to a temporary folder"


class Stage(BaseStep, kw_only=True):
    """Run another task, which is planned when the step starts."""

    task: str
    options: tuple[tuple[str, str | bool | int | tuple[str, ...]], ...]

    @property
    def key(self) -> str:
        return self.task

    @property
    def title(self) -> str:
        return " ".join([self.task, *(flag for name, value in self.options for flag in _flags(name, value))])


def _flags(name: str, value: str | bool | int | tuple[str, ...]) -> list[str]:  # noqa: FBT001 - an option's value
    flag = f"--{name.rstrip('_').replace('_', '-')}"
    match value:
        case True:
            return [flag]
        case False:
            return [f"--no-{flag.removeprefix('--')}"]
        case tuple():
            return [word for item in value for word in (flag, item)]
        case _:
            return [flag, str(value)]
