"""Conditions of a build: the default, and varied ones under which the same archives should be built.

See https://reproducible-builds.org/docs/source-date-epoch/ for `SOURCE_DATE_EPOCH`.
"""

from __future__ import annotations

from relnox.core.records import Record


class Conditions(Record, kw_only=True):
    """Umask, time zone and locale of a build.

    Attributes:
        umask: The permission bits that new files do not get.
        time_zone: `TZ`.
        locale: `LC_ALL`.
    """

    umask: int
    time_zone: str
    locale: str

    def variables(self, epoch: int | None) -> dict[str, str]:
        """Return the environment variables for a build; without an epoch (seconds) the clock sets times."""
        variables = {"TZ": self.time_zone, "LC_ALL": self.locale}
        return variables | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})


DEFAULT = Conditions(umask=0o022, time_zone="UTC", locale="C.UTF-8")
"""The conditions of all builds."""
VARIED = Conditions(umask=0o077, time_zone="Pacific/Kiritimati", locale="C")
"""Conditions of a second build, to compare it with the first one."""
