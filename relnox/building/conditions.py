"""What a build finds around it: the usual conditions, and others under which the same archives should come out.

See https://reproducible-builds.org/docs/source-date-epoch/ for `SOURCE_DATE_EPOCH`.
"""

from __future__ import annotations

from relnox.core.records import Record

__all__ = ["OTHER", "USUAL", "Conditions"]


class Conditions(Record, kw_only=True):
    """What is around a build.

    Attributes:
        umask: Which permissions new files do not get.
        time_zone: `TZ`.
        locale: `LC_ALL`.
    """

    umask: int
    time_zone: str
    locale: str

    def variables(self, epoch: int | None) -> dict[str, str]:
        """Environment variables for a build.

        Args:
            epoch: The time that the archives are to bear, seconds since 1970; None for the clock's.
        """
        settled = {"TZ": self.time_zone, "LC_ALL": self.locale}
        return settled | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})


USUAL = Conditions(umask=0o022, time_zone="UTC", locale="C.UTF-8")
"""What builds are made under."""
OTHER = Conditions(umask=0o077, time_zone="Pacific/Kiritimati", locale="C")
"""What could as well be, on somebody else's machine."""
