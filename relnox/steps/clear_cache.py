"""Remove cached build environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.building_services import environment_cache

if TYPE_CHECKING:
    from relnox.steps.run import Run

__all__ = ["ClearCache"]


class ClearCache(Step, kw_only=True):
    """Remove cached build environments."""

    @property
    def key(self) -> str:
        return "clear cache"

    @property
    def title(self) -> str:
        return "remove cached build environments"

    def action(self, run: Run) -> ClearingCache:
        return ClearingCache(self, run)


class ClearingCache(Action[ClearCache]):
    """Removes cached build environments of earlier runs."""

    def check(self) -> str | None:
        """Done if the cache is empty."""
        return None if environment_cache().content() else "nothing to remove"

    def apply(self) -> None:
        """Clear the cache."""
        environment_cache().clear()

    def verify(self) -> str:
        """Check that the cache is empty."""
        if remaining := environment_cache().content():
            raise Failed(
                "file-not-removed",
                f"{remaining[0]} still exists after it was removed",
                fix="wait until other runs of relnox have ended, then rerun the command",
            )
        return "cache is empty"
