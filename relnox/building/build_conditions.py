"""The default conditions of a build, and varied ones under which a reproducible build gives the same archives.

See https://reproducible-builds.org/docs/source-date-epoch/ for `SOURCE_DATE_EPOCH`.
"""

from __future__ import annotations

from relnox.core.records import Record


class BuildConditions(Record, kw_only=True):
    """Umask, time zone and locale of a build.

    Attributes:
        umask: The permission bits that are removed from new files.
        time_zone: The value of `TZ`.
        locale: The value of `LC_ALL`.
    """

    umask: int
    time_zone: str
    locale: str

    def environment_variables(self, epoch: int | None) -> dict[str, str]:
        """Return the environment variables of a build; `epoch`, in seconds, is omitted if None."""
        variables = {"TZ": self.time_zone, "LC_ALL": self.locale}
        return variables | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})


DEFAULT = BuildConditions(umask=0o022, time_zone="UTC", locale="C.UTF-8")
"""The conditions of normal builds."""
VARIED = BuildConditions(umask=0o077, time_zone="Pacific/Kiritimati", locale="C")
"""The conditions of a second build, which is compared with the first to check that it is reproducible."""
