"""Make the index misbehave on purpose: which request meets which fault.

A rule names the requests that it is about and the fault that they meet; a plan is a list of rules. What a plan
decides depends on the requests alone, never on the order in which threads happen to bring them, and no fault
outlives the index: closing it ends every wait.

    EmbeddedIndex(folder, faults=[Rule(E500, tries=range(1, 3))])           the first two uploads
    EmbeddedIndex(folder, faults=[Rule(GHOST, filename="*.whl", each=True, tries=[1])])   each wheel's first try
    EmbeddedIndex(folder, faults=[Rule(Stale(seconds=1800), on="listing")])
    EmbeddedIndex(folder, faults=[*flaky(0.3), Rule(Wait(0.05), on="any"), Rule(Wait(0.15))])
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record
from relnox.indexes.embedded import messages

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = [
    "BURNED",
    "DISABLED",
    "E500",
    "GHOST",
    "GHOST_500",
    "LOST",
    "NEW_PROJECT_BY_IDENTITY",
    "OLD_RELEASE",
    "READ_ONLY",
    "REJECTED",
    "TOO_LARGE",
    "Answer",
    "Cut",
    "Duplicate",
    "Fault",
    "Foreign",
    "Kind",
    "Plan",
    "Rule",
    "Stale",
    "Stall",
    "Trickle",
    "Truncate",
    "Wait",
    "flaky",
    "rate_limited",
    "redirect",
    "unavailable",
]

Kind = Literal[
    "any", "upload", "projects", "listing", "file", "metadata", "provenance", "audience", "mint", "other"
]
"""What a request is about: `listing` is a project's page, `projects` the page of all of them."""


class Fault(Record):
    """What a request can meet."""


class Wait(Fault):
    """Some seconds pass before the answer, which is the usual one, or that of the next rule.

    Attributes:
        seconds: Real time, whatever the index's clock says.
    """

    seconds: float


class Answer(Fault):
    """The index gives this answer, and not the one it should.

    Attributes:
        status: HTTP status.
        text: What it says, in the body and in the status line.
        stored: Whether an upload is parse_response and stored (a token minted) as usual all the same.
        retry_after: Seconds that `Retry-After` asks for.
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
    """The connection is reset.

    Attributes:
        after: When so many bytes of an upload's file have arrived; None: when the whole body has.
        stored: Whether the upload is stored before.
    """

    after: int | None = None
    stored: bool = False


class Stall(Fault):
    """The connection stays open and nothing happens, until the client goes away or the index is closed.

    Attributes:
        after: From when on, as for `Cut`: what comes then is not read.
        stored: Whether the upload is stored before.
    """

    after: int | None = None
    stored: bool = False


class Trickle(Fault):
    """The index reads an upload, and writes every answer, this slowly.

    Attributes:
        rate: Bytes a second, of real time.
    """

    rate: float = 1.0


class Truncate(Fault):
    """A careless index: it compares no digests and keeps what arrived, be it half of the file.

    Attributes:
        size: How many bytes of the file it keeps; None: as many as arrive, from a client that dies as well.
    """

    size: int | None = None


class Duplicate(Fault):
    """The index answers a file name that it holds with this status, whatever the bytes are.

    Attributes:
        status: 409 or 400 (pypiserver, devpi), or 403.
        text: What it says.
    """

    status: int = 409
    text: str = "file already exists"


class Foreign(Fault):
    """Somebody else uploads a file of that name at the same time, and is first.

    Attributes:
        content: Its bytes.
    """

    content: bytes = b"somebody else's"


class Stale(Fault):
    """A page that does not show the newest files yet.

    Attributes:
        seconds: A file is hidden for so long after its upload, by the index's clock.
        listings: And from so many of the pages that meet this fault and would have shown it.
    """

    seconds: float = 0.0
    listings: int = 0


class Rule(Record):
    """Which requests meet a fault: all that fit everything said here.

    Attributes:
        fault: What they meet.
        on: What they are about.
        filename: Pattern (`fnmatch`) of an upload's or a file's name.
        project: Pattern of the normalised project.
        tries: Which of the requests that fit, counted from 1: `range(1, 3)`, `[2]`, `range(2, 999, 2)`; None: all.
        each: Whether every file (or page) is counted by itself.
        share: Which share of these, from 0 to 1, chosen at random by the plan's seed.
        since: Seconds after the index was started, by its clock, from which on the rule holds.
        until: Seconds after which it holds no more; None: it holds on.
    """

    fault: Fault
    on: Kind = "upload"
    filename: str = "*"
    project: str = "*"
    tries: Container[int] | None = None
    each: bool = False
    share: float = 1.0
    since: float = 0.0
    until: float | None = None

    def is_about(self, kind: Kind, filename: str, project: str, age: float) -> bool:
        """Whether a request fits, its number left aside."""
        return (
            self.on in ("any", kind)
            and fnmatchcase(filename, self.filename)
            and fnmatchcase(project, self.project)
            and self.since <= age
            and (self.until is None or age < self.until)
        )


class Plan:
    """Rules, and how often each was asked.

    Args:
        rules: The first one that fits decides; all the waits before it and behind it are added up.
        seed: What shares are drawn by.
    """

    def __init__(self, rules: Sequence[Rule] = (), *, seed: int = 0) -> None:
        self._rules = tuple(rules)
        self._seed = seed
        self._lock = threading.Lock()
        self._asked: Counter[tuple[int, str]] = Counter()
        self._hidden: Counter[tuple[Stale, str]] = Counter()

    def meet(self, kind: Kind, *, filename: str = "", project: str = "", age: float) -> tuple[float, Fault | None]:
        """What a request meets: the seconds to wait, and the fault; None: it is served as usual.

        Args:
            kind: What it is about.
            filename: The file it names; empty when it names none.
            project: The project it names.
            age: Seconds since the index was started.
        """
        fitting = [
            rule.fault
            for number, rule in enumerate(self._rules)
            if rule.is_about(kind, filename, project, age)
            and self._is_due(number, rule, f"{kind} {filename or project}")
        ]
        seconds = sum(fault.seconds for fault in fitting if isinstance(fault, Wait))
        return seconds, next((fault for fault in fitting if not isinstance(fault, Wait)), None)

    def hides(self, stale: Stale, filename: str, age: float) -> bool:
        """Whether a stale page leaves a file out.

        Args:
            stale: The fault that the page has met.
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
            self._asked[number, name] += 1
            if rule.each:
                count = self._asked[number, name]
            else:
                self._asked[number, ""] += 1
                count = self._asked[number, ""]
            own = self._asked[number, name]
        if rule.tries is not None and count not in rule.tries:
            return False
        # Drawn for the n-th request of each name: threads come in any order.
        return rule.share >= 1 or random.Random(f"{self._seed} {number} {name} {own}").random() < rule.share  # noqa: S311 - no secret


E500 = Answer(500, "Internal Server Error")
GHOST = Cut(stored=True)
"""Stored, but the answer never arrives."""
GHOST_500 = Answer(500, "Internal Server Error", stored=True)
LOST = Answer(200, "OK")
"""Said to be stored, and not."""
READ_ONLY = Answer(403, messages.READ_ONLY)
DISABLED = Answer(403, messages.DISABLED)
REJECTED = Answer(403, messages.REJECTED)
BURNED = Answer(400, messages.BURNED)
OLD_RELEASE = Answer(400, messages.old_release(14))
NEW_PROJECT_BY_IDENTITY = Answer(400, messages.NEW_PROJECT_BY_IDENTITY)
TOO_LARGE = Answer(400, messages.too_large("demo", 100 << 20))


def unavailable(seconds: int | None = None, *, as_date: bool = False) -> Answer:
    """503, with `Retry-After` when seconds are given."""
    return Answer(503, "Service Unavailable", retry_after=seconds, as_date=as_date)


def rate_limited(seconds: int, *, retry_after: bool = True) -> Answer:
    """429 with `RateLimit-*` headers, as for too many new projects, and `Retry-After` unless told otherwise."""
    limits = (("RateLimit-Limit", "20"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", str(seconds)))
    return Answer(429, messages.TOO_MANY_PROJECTS, retry_after=seconds if retry_after else None, headers=limits)


def redirect(to: str, status: int = 308) -> Answer:
    """The index sends uploads to another address."""
    return Answer(status, to, headers=(("Location", to),))


def flaky(share: float, *, on: Kind = "any") -> tuple[Rule, Rule]:
    """Rules by which a share of the requests fails: half of them with 502, half with a reset."""
    return Rule(Answer(502, "Bad Gateway"), on=on, share=share / 2), Rule(Cut(), on=on, share=share / (2 - share))
