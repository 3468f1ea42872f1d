"""Fault injection: rules that make the index misbehave, for tests.

A rule selects requests and a fault; a plan is a list of rules. The result depends on the requests only, not on the
order of threads. Closing the index ends all faults.

    ControlledIndex(directory, faults=[Rule(E500, tries=range(1, 3))])           the first two uploads
    ControlledIndex(directory, faults=[Rule(LOST_RESPONSE, filename="*.whl", per_name=True, tries=[1])])  each
    ControlledIndex(directory, faults=[Rule(Stale(seconds=1800), on="listing")])
    ControlledIndex(directory, faults=[Rule(Wait(0.05), on="any"), Rule(Wait(0.15))])
"""

from __future__ import annotations

import threading
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from controlled_index import messages
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = [
    "DISABLED",
    "E500",
    "LOST_RESPONSE",
    "NAME_RESERVED",
    "NEW_PROJECT_BY_IDENTITY",
    "NOT_STORED",
    "OLD_RELEASE",
    "READ_ONLY",
    "REJECTED",
    "STORED_500",
    "TOO_LARGE",
    "Answer",
    "Cut",
    "Duplicate",
    "Fault",
    "Kind",
    "Plan",
    "Rule",
    "Stale",
    "Stall",
    "Truncate",
    "Wait",
    "rate_limited",
    "redirect",
    "unavailable",
]

Kind = Literal[
    "any", "upload", "projects", "listing", "file", "metadata", "provenance", "audience", "mint", "other"
]
"""Kinds of requests: `listing` is a project's page, `projects` the list of all projects."""


class Fault(Record):
    """A fault of the index."""


class Wait(Fault):
    """A delay before the normal response, or before the fault of the next rule.

    Attributes:
        seconds: Real time, independent of the index's clock.
    """

    seconds: float


class Answer(Fault):
    """A fixed response instead of the normal one.

    Attributes:
        status: HTTP status.
        text: Text of the body and of the status line.
        stored: Whether an upload is still checked and stored, or a token issued.
        retry_after: Seconds in `Retry-After`.
        as_date: Whether `Retry-After` is an HTTP date rather than a number.
        headers: Further headers.
    """

    status: int
    text: str = ""
    stored: bool = False
    retry_after: int | None = None
    as_date: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class Cut(Fault):
    """A reset connection.

    Attributes:
        stored: Whether the upload is stored before.
    """

    stored: bool = False


class Stall(Fault):
    """A connection without response, until the client or the index is closed.

    Attributes:
        stored: Whether the upload is stored before.
    """

    stored: bool = False


class Truncate(Fault):
    """An upload of which only the beginning is stored.

    Attributes:
        size: Bytes of the file that are stored.
    """

    size: int


class Duplicate(Fault):
    """A fixed response to uploads of existing file names, even with the same content.

    Attributes:
        status: 409 or 400 (pypiserver, devpi), or 403.
        text: Text of the response.
    """

    status: int = 409
    text: str = "file already exists"


class Stale(Fault):
    """An outdated listing, without the newest files.

    Attributes:
        seconds: Time after its upload for which a file is hidden, by the index's clock.
        listings: Further listings with this fault from which it is hidden.
    """

    seconds: float = 0.0
    listings: int = 0


class Rule(Record):
    """A fault, and the requests that it applies to: those that match all conditions.

    Attributes:
        fault: The fault.
        on: The kind of request.
        filename: Pattern (`fnmatch`) of the name of the uploaded or requested file.
        project: Pattern of the normalized project name.
        tries: Numbers of matching requests, from 1: `range(1, 3)`, `[2]`, `range(2, 999, 2)`; None for all.
        per_name: Whether requests are counted for each file (or page).
        since: Seconds after the start of the index, by its clock, from which on the rule applies.
        until: Seconds until which it applies; None for no limit.
    """

    fault: Fault
    on: Kind = "upload"
    filename: str = "*"
    project: str = "*"
    tries: Container[int] | None = None
    per_name: bool = False
    since: float = 0.0
    until: float | None = None

    def matches(self, kind: Kind, filename: str, project: str, age: float) -> bool:
        """Return whether the rule applies to a request, apart from its number."""
        return (
            self.on in ("any", kind)
            and fnmatchcase(filename, self.filename)
            and fnmatchcase(project, self.project)
            and self.since <= age
            and (self.until is None or age < self.until)
        )


class Plan:
    """Rules, and the counts of their requests.

    Args:
        rules: The first rule that applies decides; the delays of all that apply are added.
    """

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str]] = Counter()
        self._hidden: Counter[tuple[Stale, str]] = Counter()

    def next_fault(
        self, kind: Kind, *, filename: str = "", project: str = "", age: float
    ) -> tuple[float, Fault | None]:
        """Return the delay of a request, and its fault or None.

        Args:
            kind: The kind of request.
            filename: Name of the file; empty if there is none.
            project: Name of the project.
            age: Seconds since the start of the index.
        """
        applicable = [
            rule.fault
            for number, rule in enumerate(self._rules)
            if rule.matches(kind, filename, project, age)
            and self._is_due(number, rule, f"{kind} {filename or project}")
        ]
        seconds = sum(fault.seconds for fault in applicable if isinstance(fault, Wait))
        return seconds, next((fault for fault in applicable if not isinstance(fault, Wait)), None)

    def hides(self, stale: Stale, filename: str, age: float) -> bool:
        """Return whether a stale page leaves a file out.

        Args:
            stale: The fault of the page.
            filename: The file's name.
            age: Seconds since its upload.
        """
        if age < stale.seconds:
            return True
        with self._lock:
            self._hidden[stale, filename] += 1
            return self._hidden[stale, filename] <= stale.listings

    def _is_due(self, number: int, rule: Rule, name: str) -> bool:
        with self._lock:
            self._counts[number, name] += 1
            if rule.per_name:
                count = self._counts[number, name]
            else:
                self._counts[number, ""] += 1
                count = self._counts[number, ""]
        return rule.tries is None or count in rule.tries


E500 = Answer(500, "Internal Server Error")
LOST_RESPONSE = Cut(stored=True)
"""The upload is stored, but the response is lost."""
STORED_500 = Answer(500, "Internal Server Error", stored=True)
NOT_STORED = Answer(200, "OK")
"""The upload is not stored, in spite of the status."""
READ_ONLY = Answer(403, messages.READ_ONLY)
DISABLED = Answer(403, messages.DISABLED)
REJECTED = Answer(403, messages.REJECTED)
NAME_RESERVED = Answer(400, messages.NAME_RESERVED)
OLD_RELEASE = Answer(400, messages.OLD_RELEASE)
NEW_PROJECT_BY_IDENTITY = Answer(400, messages.NEW_PROJECT_BY_IDENTITY)
TOO_LARGE = Answer(400, messages.TOO_LARGE)


def unavailable(seconds: int | None = None, *, as_date: bool = False) -> Answer:
    """Return 503, with `Retry-After` if seconds are given."""
    return Answer(503, "Service Unavailable", retry_after=seconds, as_date=as_date)


def rate_limited(seconds: int, *, retry_after: bool = True) -> Answer:
    """Return 429 with `RateLimit-*` headers, as for too many new projects, and optionally `Retry-After`."""
    limits = (("RateLimit-Limit", "20"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", str(seconds)))
    return Answer(429, messages.TOO_MANY_PROJECTS, retry_after=seconds if retry_after else None, headers=limits)


def redirect(to: str, status: int = 308) -> Answer:
    """Return a redirect of uploads to another URL."""
    return Answer(status, to, headers=(("Location", to),))
