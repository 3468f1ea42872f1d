"""Remove cached build environments."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.building_services import environment_cache

__all__ = ["ClearCache"]


class ClearCache(Step, kw_only=True):
    """Remove cached build environments."""

    key = "clear cache"
    title = "remove cached build environments"


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
