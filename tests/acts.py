"""What an index does with a request instead of answering it honestly."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts import NEW_PROJECT_BY_IDENTITY, REJECTED
from package_index import JSON_PAGE, NAME_RESERVED, Answer, as_json, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from package_index import Exchange

    Act = Callable[[Exchange], bool | None]
    Wire = Callable[[Answer], bytes]

FOREVER = 600.0


def take_upload(exchange: Exchange, *, stored: bool) -> Answer:
    """Read the request, and store an upload only where that is said."""
    if exchange.request.kind == "upload" and not stored:
        exchange.read_upload()
        return Answer(200)
    return exchange.honest()


def answers(
    status: int, reason: str = "", *headers: tuple[str, str], body: bytes | None = None, stored: bool = False
) -> Act:
    """Answer so; an upload is read, and stored only where that is said."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=stored)
        exchange.answer(Answer(status, reason, headers, reason.encode() if body is None else body))

    return act


def sends(wire: bytes | Wire, *, stored: bool = True) -> Act:
    """Send these bytes, or what becomes of an honest answer, and close the connection."""

    def act(exchange: Exchange) -> None:
        answer = take_upload(exchange, stored=stored)
        exchange.send(wire if isinstance(wire, bytes) else wire(answer))
        exchange.close()

    return act


def repeats_the_login(exchange: Exchange) -> None:
    """Refuse an upload in words that repeat the credentials."""
    upload = exchange.read_upload()
    user, password = upload.login
    words = f"no {user}:{password} with {upload.headers['authorization']}"
    exchange.answer(Answer(403, f"Forbidden to {password}", (("Content-Type", "text/plain"),), words.encode()))


def edits(change: Callable[[Answer], Answer]) -> Act:
    """Answer as an honest index does, but for this change."""

    def act(exchange: Exchange) -> None:
        exchange.answer(change(exchange.honest()))

    return act


def serves(change: Callable[[bytes], bytes]) -> Act:
    """Serve other bytes for a file; a range of them where a range is asked for."""
    return edits(
        lambda answer: replace(answer, body=change(answer.body)) if answer.status in (200, 206) else answer
    )


def stalls(before: bytes = b"") -> Act:
    """Send this, then nothing, and keep the connection open."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=False)
        exchange.send(before)
        exchange.wait(FOREVER)

    return act


def waits(seconds: float) -> Act:
    """Wait, and let the next rule decide."""

    def act(exchange: Exchange) -> bool:
        if exchange.request.kind == "upload":
            exchange.read_upload()
        exchange.wait(seconds)
        return True

    return act


def stores(change: Callable[[bytes], bytes], status: int = 200) -> Act:
    """Store other bytes than were sent."""

    def act(exchange: Exchange) -> None:
        upload = exchange.read_upload()
        exchange.index.hold(upload.project, upload.filename, change(upload.content))
        exchange.answer(Answer(status, "OK" if status == 200 else "Conflict"))

    return act


def hides(seconds: float) -> Act:
    """Leave files out of a listing for so long after their upload, by the index's clock."""

    def act(exchange: Exchange) -> None:
        index, files = exchange.index, exchange.index.files.get(exchange.request.project, {})
        now = index.clock()
        hidden = {name for name in files if now - datetime.fromisoformat(index.times[name]).timestamp() < seconds}
        lists(exchange, lambda file: None if file["filename"] in hidden else file)

    return act


def lists(exchange: Exchange, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Answer with a page whose files are changed or left out; without a file there is no page."""
    document = exchange.index.document(exchange.request.project)
    document["files"] = [changed for file in document["files"] if (changed := change(file)) is not None]
    exchange.answer(as_json(document, content_type=JSON_PAGE) if document["files"] else error(404, "Not Found"))


def refuses_duplicates(status: int, text: str = "file already exists") -> Act:
    """Answer so to uploads of names that exist, even with the same content."""

    def act(exchange: Exchange) -> bool:
        upload = exchange.read_upload()
        exists = upload.filename in exchange.index.files.get(upload.project, {})
        if exists:
            exchange.answer(error(status, text))
        return not exists

    return act


def unavailable(seconds: int | None = None) -> Act:
    """Answer 503, with `Retry-After` if seconds are given."""
    wait = () if seconds is None else (("Retry-After", str(seconds)),)
    return answers(503, "Service Unavailable", *wait)


def rate_limited(seconds: int) -> Act:
    """Answer 429, as for too many new projects."""
    headers = {"RateLimit-Limit": 20, "RateLimit-Remaining": 0, "RateLimit-Reset": seconds, "Retry-After": seconds}
    return answers(429, "Too many new projects created", *((name, str(value)) for name, value in headers.items()))


def redirects(status: int, target: str, *, stored: bool = False) -> Act:
    """Redirect; `{origin}` and `{other}` are the index and a second address, `{path}` what was asked for."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=stored)
        index = exchange.index
        location = target.replace("{origin}", index.origin).replace("{other}", index.other_origin)
        location = location.replace("{path}", exchange.request.target).replace("{port}", str(index.other_port))
        head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        exchange.send(head.encode("utf-8"))

    return act


E500 = answers(500, "Internal Server Error")
STORED_500 = answers(500, "Internal Server Error", stored=True)
NOT_STORED = answers(200, "OK")
"""The upload is not stored, in spite of the status."""
READ_ONLY = answers(403, "Read-only mode: Uploads are temporarily disabled.")
UNKNOWN_LOGIN = answers(403, REJECTED)
RESERVED = answers(400, NAME_RESERVED)
OLD_RELEASE = answers(400, "Uploading new files to releases older than 14 days is not allowed.")
NO_PENDING_PUBLISHER = answers(400, NEW_PROJECT_BY_IDENTITY)
TOO_LARGE = answers(400, "File too large. Limit for project 'demo' is 100 MB.")
