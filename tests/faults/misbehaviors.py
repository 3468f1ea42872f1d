"""The catalog of ways in which an index misbehaves, each one small value, and what a release may end with.

What must hold for all of them is in `hostile_runs.py`: an exit code says what an independent client sees. The
codes here narrow that: `DONE` where the lie does not matter, `CONFLICT` where another file is shown.
"""

from __future__ import annotations

import gzip
import itertools
import json
import time
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from acts import FOREVER, answers, edits, lists, redirects, sends, serves, stalls, stores, take_upload
from package_index import ANY, FILE, HTML_PAGE, JSON_PAGE, LISTING, UPLOAD, Answer, Gone, Rule, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from acts import Act, Wire
    from package_index import Exchange

__all__ = ["CASES", "MISBEHAVIORS", "SIGNALED", "Misbehavior"]

DONE = frozenset({0})
NOT_DONE = frozenset({1, 2, 3, 5})
LATER = frozenset({3, 5})
FAILED = frozenset({2, 3})
CONFLICT = frozenset({4})
EITHER = DONE | NOT_DONE
SIZES = (2, 6)
ONCE = (1,)
BOMB = 200 << 20
"""Bytes that a compressed answer swells to; a client that keeps them all is over its memory limit."""
GIGABYTE = 1 << 30
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>"


@dataclass(frozen=True)
class Misbehavior:
    """A way to misbehave.

    Attributes:
        name: What it is.
        topic: `status`, `head`, `body`, `time`, `listing`, `redirect`, `file` or `upload`.
        rules: When the index does it.
        codes: How a run may end.
        heals: Whether the same command ends well once the index is honest.
        slow: Whether requests take as long as the client lets them: such a run gets shorter deadlines and retry
            windows.
        sizes: How many files the releases have that meet it. What can befall uploads, listings and files alike is
            tried with another number for each of them, so that it meets every number and every kind.
    """

    name: str
    topic: str
    rules: tuple[Rule, ...]
    codes: frozenset[int]
    heals: bool = True
    slow: bool = False
    sizes: tuple[int, ...] = SIZES


# --- what is done with one request


def keeps_open(wire: Wire) -> Act:
    """Send what becomes of an honest answer, and keep the connection."""

    def act(exchange: Exchange) -> None:
        exchange.send(wire(exchange.honest()))

    return act


def documents(change: Callable[[dict[str, Any]], Any], content_type: str = JSON_PAGE) -> Act:
    """Answer with what becomes of the JSON page of a project, even of one without files."""

    def act(exchange: Exchange) -> None:
        changed = change(exchange.index.document(exchange.request.project))
        body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        exchange.answer(Answer(200, "OK", (("Content-Type", content_type),), body))

    return act


def entries(change: Callable[[dict[str, Any]], Any]) -> Act:
    """Change each file of a JSON page; a project without files is answered honestly."""

    def act(exchange: Exchange) -> None:
        if exchange.index.files.get(exchange.request.project):
            lists(exchange, change)
        else:
            exchange.answer(exchange.honest())

    return act


def page(change: Callable[[str], str], content_type: str = HTML_PAGE) -> Act:
    """Change the HTML page of a project that has files."""

    def act(exchange: Exchange) -> None:
        answer = exchange.index.html_page(exchange.request.project)
        if answer.status == 200:
            body = change(answer.body.decode()).encode()
            answer = Answer(200, "OK", (("Content-Type", content_type),), body)
        exchange.answer(answer)

    return act


# --- status: what the first line says

STATUSES: dict[str, tuple[Act, frozenset[int]]] = {
    "200OK without a space": (sends(b"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", stored=False), NOT_DONE),
    "204 and a body": (
        sends(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", stored=False),
        NOT_DONE,
    ),
    "202 and nothing stored": (answers(202, "Accepted"), NOT_DONE),
    "304 without a condition": (sends(b"HTTP/1.1 304 Not Modified\r\n\r\n", stored=False), NOT_DONE),
    "400": (answers(400, "Bad Request", body=b"bad"), NOT_DONE),
    "401 with Basic each time": (
        answers(401, "Unauthorized", ("WWW-Authenticate", 'Basic realm="index"')),
        NOT_DONE,
    ),
    "403": (answers(403, "Forbidden"), NOT_DONE),
    "500": (answers(500, "Internal Server Error"), LATER),
    "502 with a page": (answers(502, "Bad Gateway", ("Content-Type", "text/html"), body=LOGIN_PAGE), LATER),
}
RETRY_AFTER = {
    "99999999999999999999999999": EITHER,
    "Fri, 31 Dec 9999 23:59:59 GMT": LATER,
    "Thu, 99 Foo 2026 25:61:61 XYZ": DONE,
}
"""Waits that a server asks for once, and whether the next try may come at all."""


def _statuses() -> Iterator[Misbehavior]:
    for place, on in enumerate((UPLOAD, LISTING, FILE)):
        for row, (name, (act, codes)) in enumerate(STATUSES.items()):
            yield _way("status", f"{on[0]}: status {name}", act, on, codes, sizes=_size(row, place))
    for name, act, codes in (
        ("201 and stored", answers(201, "Created", stored=True), DONE),
        ("200 and nothing stored", answers(200, "OK"), frozenset({5})),
        ("404", answers(404, "Not Found"), NOT_DONE),
        ("409 and nothing stored", answers(409, "Conflict"), NOT_DONE),
        ("409 and stored", answers(409, "Conflict", stored=True), DONE),
        ("413", answers(413, "Content Too Large"), FAILED),
        ("422", answers(422, "Unprocessable Content", body=b'{"errors": [1, null, {"message": {}}]}'), NOT_DONE),
        ("500 and stored", answers(500, "Internal Server Error", stored=True), DONE),
        ("400 and stored", answers(400, "Bad Request", stored=True), DONE),
        ("403 and stored", answers(403, "Forbidden", stored=True), DONE),
    ):
        yield _way("status", f"upload: {name}", act, UPLOAD, codes)
    for value, codes in RETRY_AFTER.items():
        act = sends(
            f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode(), stored=False
        )
        yield _way("status", f"upload: Retry-After {value!a}", act, UPLOAD, codes, tries=ONCE, each=True)
    twice = (
        b"HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nRetry-After: 7\r\nRateLimit: x;t=y\r\nContent-Length: 0\r\n\r\n"
    )
    yield _way(
        "status", "upload: Retry-After twice", sends(twice, stored=False), UPLOAD, DONE, tries=ONCE, each=True
    )
    reset = answers(429, "Slow", ("X-RateLimit-Reset", "9" * 12))
    yield _way("status", "listing: a rate limit until the year 33658", reset, LISTING, LATER)


# --- head: what comes before the body


def _first_line(line: bytes) -> Wire:
    return lambda answer: line + b"\r\n" + answer.wire().partition(b"\r\n")[2]


def _with_line(line: bytes) -> Wire:
    """The honest answer with another line at the end of its head."""

    def wire(answer: Answer) -> bytes:
        return answer.head()[:-2] + line + b"\r\n\r\n" + answer.body

    return wire


def _lengths(*lines: bytes) -> Wire:
    """The honest answer with other lines for the length of its body."""

    def wire(answer: Answer) -> bytes:
        return answer.head(length=False)[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + answer.body

    return wire


def _chunks(answer: Answer) -> bytes:
    return _joined([answer.body[at : at + 1000] for at in range(0, len(answer.body), 1000)])


def _joined(pieces: Iterable[bytes]) -> bytes:
    """The body of a chunked answer, with its last chunk."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _chunked(change: Callable[[bytes], bytes], head: bytes = b"Transfer-Encoding: chunked\r\n") -> Wire:
    """The honest answer in chunks, with a change."""
    return lambda answer: answer.head(length=False)[:-2] + head + b"\r\n" + change(_chunks(answer))


def _informed(*statuses: int) -> Wire:
    """The honest answer after informational ones."""
    lines = b"".join(b"HTTP/1.1 %d Wait\r\nLink: </x>; rel=preload\r\n\r\n" % status for status in statuses)
    return lambda answer: lines + answer.wire()


NO_HTTP = DONE, NOT_DONE, NOT_DONE
FINE = DONE, DONE, DONE
UNCLEAR = EITHER, EITHER, EITHER
HEADS: dict[str, tuple[Wire | bytes, tuple[frozenset[int], frozenset[int], frozenset[int]]]] = {
    "nothing, and closed": (b"", NO_HTTP),
    "no head (HTTP/0.9)": (lambda answer: answer.body or b"thanks\n", NO_HTTP),
    "binary garbage": (bytes(range(256)) * 8, NO_HTTP),
    "HTTP/1.0 without a length": (
        lambda answer: (
            b"HTTP/1.0 %d OK\r\n" % answer.status + answer.head(length=False).partition(b"\r\n")[2] + answer.body
        ),
        (DONE, DONE, EITHER),
    ),
    "a reason with escapes": (
        lambda answer: _first_line(b"HTTP/1.1 %d \x1b[2J\x1b]0;x\x07 ok" % answer.status)(answer),
        FINE,
    ),
    "a status line of 100 kB": (
        lambda answer: _first_line(b"HTTP/1.1 %d " % answer.status + b"x" * 100000)(answer),
        UNCLEAR,
    ),
    "cut off in a header": (b"HTTP/1.1 200 OK\r\nContent-Type: applicat", UNCLEAR),
    "NUL in a header": (_with_line(b"X-Null: a\0b"), UNCLEAR),
    "1,000 headers": (_with_line(b"\r\n".join(b"X-%d: y" % number for number in range(1000))), UNCLEAR),
    "two lengths": (
        lambda answer: _lengths(b"Content-Length: %d" % len(answer.body), b"Content-Length: 3")(answer),
        UNCLEAR,
    ),
    "a negative length": (_lengths(b"Content-Length: -1"), UNCLEAR),
    "a length of 10^18": (_lengths(b"Content-Length: 1000000000000000000"), (EITHER, NOT_DONE, NOT_DONE)),
    "a length and chunks": (_chunked(bytes, b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), UNCLEAR),
    "a cookie": (
        _with_line(b"Set-Cookie: a=b; Domain=127.0.0.1; Path=/; Max-Age=99999\r\nSet-Cookie2: c"),
        FINE,
    ),
    "102 and 103 first": (_informed(102, 103), (DONE, LATER, LATER)),
    "a second, unrequested response": (
        lambda answer: answer.wire() + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        FINE,
    ),
}
KEPT_OPEN = ("a second, unrequested response", "102 and 103 first", "a cookie")
"""Where the connection stays open, so that what is left on it meets the next request."""


def _heads() -> Iterator[Misbehavior]:
    for place, on in enumerate((UPLOAD, LISTING, FILE)):
        for row, (name, (wire, codes)) in enumerate(HEADS.items()):
            act = sends(wire) if isinstance(wire, bytes) or name not in KEPT_OPEN else keeps_open(wire)
            yield _way("head", f"{on[0]}: {name}", act, on, codes[place], sizes=_size(row, place))


# --- body: how it is framed and encoded


def _encoded(encoding: str, change: Callable[[bytes], bytes]) -> Act:
    def act(exchange: Exchange) -> None:
        answer = exchange.honest().with_header("Content-Encoding", encoding)
        exchange.answer(replace(answer, body=change(answer.body)))

    return act


@cache
def _swelling() -> bytes:
    """Compressed zeros."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)), packer.flush()])


def _bomb(exchange: Exchange) -> None:
    take_upload(exchange, stored=True)
    headers = (("Content-Type", JSON_PAGE), ("Content-Encoding", "gzip"))
    exchange.answer(Answer(200, "OK", headers, _swelling()))


def _endless(head: bytes, piece: bytes) -> Act:
    """Send without an end, as fast as it goes."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=True)
        exchange.send(head)
        for _ in range(GIGABYTE // len(piece)):
            if exchange.index.over.is_set():
                raise Gone
            exchange.send(piece)
        exchange.close()

    return act


BODIES: dict[str, tuple[Act, tuple[frozenset[int], frozenset[int], frozenset[int]]]] = {
    "shorter than its length": (
        sends(lambda answer: _lengths(b"Content-Length: %d" % (len(answer.body) + 9))(answer)),
        (EITHER, NOT_DONE, NOT_DONE),
    ),
    "longer than its length": (
        sends(lambda answer: _lengths(b"Content-Length: %d" % (len(answer.body) // 2))(answer)),
        (DONE, NOT_DONE, NOT_DONE),
    ),
    "no length, ends with the connection": (sends(lambda answer: answer.head(length=False) + answer.body), FINE),
    "in chunks": (sends(_chunked(bytes)), FINE),
    "a chunk of 2^70 bytes": (
        sends(_chunked(lambda data: b"400000000000000000\r\n" + data)),
        (EITHER, NOT_DONE, NOT_DONE),
    ),
    "gzip": (_encoded("gzip", gzip.compress), (DONE, DONE, NOT_DONE)),
    "gzip that is none": (_encoded("gzip", lambda body: body or b"plain"), (EITHER, NOT_DONE, DONE)),
    "an unknown encoding": (_encoded("rot13", bytes), UNCLEAR),
    "a gzip bomb": (_bomb, (DONE, NOT_DONE, NOT_DONE)),
    "an endless body": (
        _endless(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", b"<a href='x'>x</a>\n" * 4000),
        (DONE, NOT_DONE, NOT_DONE),
    ),
    "an endless head": (_endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n" * 4000), (DONE, NOT_DONE, NOT_DONE)),
    "30 MB of an error page": (
        answers(400, "Bad Request", ("Content-Type", "text/html"), body=b"<p>no</p> " * (3 << 20), stored=True),
        (DONE, NOT_DONE, NOT_DONE),
    ),
}


def _bodies() -> Iterator[Misbehavior]:
    for place, on in enumerate((UPLOAD, LISTING, FILE)):
        for row, (name, (act, codes)) in enumerate(BODIES.items()):
            slow = "ndless" in name
            yield _way("body", f"{on[0]}: {name}", act, on, codes[place], slow=slow, sizes=_size(row, place))


# --- time: when it comes


def trickles(head: bytes, piece: bytes = b"x", *, size: int = 1, every: float = 0.05) -> Act:
    """Send a head at once, and then a few bytes at a time without an end."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=False)
        exchange.send(head)
        until = time.monotonic() + FOREVER
        while time.monotonic() < until:
            exchange.trickle(piece, size=size, every=every)

    return act


def _reads_nothing(exchange: Exchange) -> None:
    exchange.wait(FOREVER)


def _reads_slowly(exchange: Exchange) -> None:
    while exchange.receive(16):
        exchange.wait(0.05)


def _answers_early(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    exchange.reset()


def _resets(exchange: Exchange) -> None:
    take_upload(exchange, stored=True)
    exchange.reset()


def _resets_in_the_body(exchange: Exchange) -> None:
    answer = exchange.honest()
    exchange.send(answer.head(length=False)[:-2] + b"Content-Length: 1000\r\n\r\n{")
    exchange.reset()


def _continues_for_ever(exchange: Exchange) -> None:
    take_upload(exchange, stored=False)
    until = time.monotonic() + FOREVER
    while time.monotonic() < until:
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.wait(0.05)


def _after_a_while(exchange: Exchange) -> None:
    answer = exchange.honest()
    exchange.wait(0.3)
    exchange.answer(answer)


def _closes_late(exchange: Exchange) -> None:
    """All of an answer that ends with the connection, which stays open."""
    answer = exchange.honest()
    exchange.send(answer.head(length=False)[:-2] + b"Connection: close\r\n\r\n" + answer.body)
    exchange.wait(FOREVER)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CLOSING = HEAD + b"Connection: close\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = HEAD + b"Content-Length: 1000000\r\n\r\n"
TIMES: dict[str, Act] = {
    "no answer": stalls(),
    "half a body, then nothing": stalls(LONG + b"{" * 500),
    "a header that trickles": trickles(HEAD + b"X-Slow: "),
    "a body that trickles until the connection closes": trickles(CLOSING, b" "),
    "chunks that trickle": trickles(IN_CHUNKS, b"1\r\n \r\n", size=6),
    "100 Continue for ever": _continues_for_ever,
    "an answer whose end never comes": _closes_late,
}
"""Those that last for ever; they can befall any request."""


def _times() -> Iterator[Misbehavior]:
    for place, (on, codes) in enumerate(((UPLOAD, LATER), (LISTING, NOT_DONE), (FILE, NOT_DONE))):
        for row, (name, act) in enumerate(TIMES.items()):
            ends, sizes = EITHER if act is _closes_late else codes, _size(row, place)
            yield _way("time", f"{on[0]}: {name}", act, on, ends, slow=True, sizes=sizes)
            if on == UPLOAD:
                yield _way("time", f"upload: once {name}", act, on, DONE, tries=ONCE, slow=True, sizes=sizes)
    yield _way("time", "upload: never read", _reads_nothing, UPLOAD, LATER, slow=True)
    yield _way("time", "upload: once never read", _reads_nothing, UPLOAD, DONE, tries=ONCE, slow=True)
    yield _way("time", "upload: read at 300 bytes a second", _reads_slowly, UPLOAD, LATER, slow=True)
    yield _way("time", "upload: refused before it is read", _answers_early, UPLOAD, NOT_DONE)
    for on in (UPLOAD, LISTING, FILE):
        yield _way("time", f"{on[0]}: reset after it was done", _resets, on, DONE if on == UPLOAD else NOT_DONE)
        yield _way("time", f"{on[0]}: reset twice", _resets, on, DONE, tries=range(1, 3), each=True)
        yield _way("time", f"{on[0]}: reset in the body", _resets_in_the_body, on, EITHER)
        yield _way("time", f"{on[0]}: each answer takes a moment", _after_a_while, on, DONE)
        yield _way("time", f"{on[0]}: every second connection closed", _every(2, sends(b"")), on, DONE)


def _every(step: int, act: Act) -> Act:
    """Only at every second request, or every third, from the first one on."""

    def choose(exchange: Exchange) -> None:
        if exchange.index.hits % step == 1:
            act(exchange)
        else:
            exchange.answer(exchange.honest())

    return choose


# --- listing: what it says


def _hashes(value: object) -> Act:
    return entries(lambda file: {**file, "hashes": value})


def _sha256(change: Callable[[str], object]) -> Act:
    return entries(lambda file: {**file, "hashes": {"sha256": change(file["hashes"]["sha256"])}})


def _with(**values: object) -> Act:
    """Other values of keys, an underscore standing for a hyphen."""
    changed = {name.replace("_", "-"): value for name, value in values.items()}
    return entries(lambda file: {**file, **changed})


def _url(template: str) -> Act:
    def act(exchange: Exchange) -> None:
        index = exchange.index

        def change(file: dict[str, Any]) -> dict[str, Any]:
            url = template.replace("{origin}", index.origin).replace("{other}", index.other_origin)
            return {**file, "url": url.replace("{port}", str(index.port)).replace("{name}", file["filename"])}

        entries(change)(exchange)

    return act


def _document(change: Callable[[dict[str, Any]], Any]) -> Act:
    """Change a page that has files; a project without any is answered honestly."""

    def act(exchange: Exchange) -> None:
        if exchange.index.files.get(exchange.request.project):
            documents(change)(exchange)
        else:
            exchange.answer(exchange.honest())

    return act


def _plus(*extra: object) -> Act:
    """More entries than there are files."""
    return _document(lambda document: {**document, "files": [*document["files"], *extra]})


def _other(file: dict[str, Any]) -> dict[str, Any]:
    return {**file, "hashes": {"sha256": "0" * 64}}


def _two_keys(first: bool) -> Act:
    """A document with two `files` keys, of which only one has the files."""

    def change(document: dict[str, Any]) -> bytes:
        pair = [f'"files": {json.dumps(document["files"])}', '"files": []']
        return f'{{"meta": {{"api-version": "1.0"}}, {", ".join(pair if first else pair[::-1])}}}'.encode()

    return _document(change)


def _two_hashes(exchange: Exchange) -> None:
    document = exchange.index.document(exchange.request.project)
    text = json.dumps(document).replace('{"sha256": ', '{"sha256": "%s", "sha256": ' % ("0" * 64))
    status = 200 if document["files"] else 404
    exchange.answer(Answer(status, "OK", (("Content-Type", JSON_PAGE),), text.encode()))


def _swapped(document: dict[str, Any]) -> dict[str, Any]:
    """The hash of each file under the name of the next one."""
    files = document["files"]
    hashes = [file["hashes"] for file in files]
    shifted = [{**file, "hashes": other} for file, other in zip(files, hashes[1:] + hashes[:1], strict=True)]
    return {**document, "files": shifted}


def _only(keep: Callable[[int, dict[str, Any]], bool]) -> Act:
    return _document(
        lambda document: {**document, "files": [file for n, file in enumerate(document["files"]) if keep(n, file)]}
    )


def _flips(exchange: Exchange) -> None:
    """Two servers behind one address: the second of them knows nothing."""
    if exchange.connection_number % 2 or exchange.index.hits % 3 == 0:
        exchange.answer(exchange.honest())
    else:
        exchange.answer(Answer(404, "Not Found", (("Content-Type", JSON_PAGE),), b"{}"))


def _goes_back(exchange: Exchange) -> None:
    """Shows all of it, then less, then all of it again."""
    document = exchange.index.document(exchange.request.project)
    if not document["files"]:
        exchange.answer(exchange.honest())
        return
    if exchange.number % 3 == 2:
        document["files"].pop()
    exchange.answer(as_json(document, content_type=JSON_PAGE))


def _other_project(exchange: Exchange) -> None:
    document = exchange.index.document(exchange.request.project)
    document["name"] = "something-else"
    document["files"] = [
        {**file, "filename": f"something_else-1.0-{n}.whl"} for n, file in enumerate(document["files"])
    ]
    exchange.answer(as_json(document, content_type=JSON_PAGE))


def _text(change: Callable[[bytes], bytes], content_type: str = JSON_PAGE) -> Act:
    return documents(lambda document: change(json.dumps(document).encode()), content_type)


MANY = [
    {"filename": f"demo-0.{n}-py3-none-any.whl", "url": f"x/{n}", "hashes": {"sha256": f"{n:064x}"}}
    for n in range(20000)
]
EVIL = {"filename": "../../\x1b[31mevil\r\n::error::x\u202egnp.whl", "url": "file:///etc/passwd", "hashes": {}}
ENTRIES: dict[str, tuple[Act, frozenset[int]]] = {
    "other hashes": (_sha256(lambda _: "0" * 64), CONFLICT),
    "each other's hashes": (_document(_swapped), CONFLICT),
    "hashes in capitals": (_sha256(str.upper), DONE),
    "no hashes": (_hashes({}), DONE),
    "half a hash": (_sha256(lambda digest: digest[:32]), NOT_DONE | CONFLICT),
    "two hashes of one file": (_two_hashes, NOT_DONE | CONFLICT),
    "null for a name": (_with(filename=None), NOT_DONE),
    "names with a directory": (entries(lambda file: {**file, "filename": "files/" + file["filename"]}), NOT_DONE),
    "each name twice, the second with another hash": (
        _document(lambda document: {**document, "files": document["files"] + [*map(_other, document["files"])]}),
        NOT_DONE | CONFLICT,
    ),
    "two lists of files, the first one true": (_two_keys(first=True), NOT_DONE),
    "two lists of files, the second one true": (_two_keys(first=False), NOT_DONE),
    "an address with a query": (_url("/files/{name}?X-Signature=a%2Fb&expires=1"), DONE),
    "an address of another host": (_url("{other}/files/{name}"), EITHER),
    "an address of a file": (_url("file:///etc/hostname"), NOT_DONE),
    "null for an address": (_with(url=None), NOT_DONE),
    "an address with line ends": (_url("/files/{name}\r\nX-Injected: yes"), NOT_DONE),
    "an entry that is null": (_plus(None), NOT_DONE),
    "an entry of another project": (_plus(EVIL), EITHER),
    "20,000 old files": (_plus(*MANY), DONE),
    "no files at all": (_only(lambda n, file: False), NOT_DONE),
    "all but the first file": (_only(lambda n, file: n > 0), NOT_DONE),
    "all but the sdist": (_only(lambda n, file: file["filename"].endswith(".whl")), NOT_DONE),
    "all files yanked": (_with(yanked=True), EITHER | CONFLICT),
    "sizes of 10^400": (_with(size=10**400), EITHER | CONFLICT),
    "quarantined": (
        _document(lambda document: {**document, "project-status": {"status": "quarantined", "reason": "\x1b[0m"}}),
        EITHER,
    ),
    "another project": (_other_project, NOT_DONE),
    "two servers, one of which knows nothing": (_flips, EITHER),
    "back in time now and then": (_goes_back, EITHER),
}
DOCUMENTS: dict[str, tuple[Act, frozenset[int]]] = {
    "null for the files": (documents(lambda document: {**document, "files": None}), NOT_DONE),
    "version 2.0 of the API": (documents(lambda document: {**document, "meta": {"api-version": "2.0"}}), NOT_DONE),
    "100,000 brackets beside the files": (
        _text(lambda body: body[:-1] + b', "n": ' + b"[" * 100000 + b"]" * 100000 + b"}"),
        NOT_DONE,
    ),
    "cut off": (_text(lambda body: body[:-20]), NOT_DONE),
    "empty": (_text(lambda _: b""), NOT_DONE),
    "20 MB of spaces in it": (_text(lambda body: body[:-1] + b" " * (20 << 20) + b"}"), EITHER),
    "JSON called HTML": (_text(bytes, "text/html"), NOT_DONE),
    "HTML called JSON": (_text(lambda _: LOGIN_PAGE), NOT_DONE),
    "a login page": (answers(200, "OK", ("Content-Type", "text/html"), body=LOGIN_PAGE), NOT_DONE),
}
PAGES: dict[str, tuple[Act, frozenset[int]]] = {
    "unchanged": (page(str), DONE),
    "with everything in a comment": (page(lambda text: f"<!-- {text} -->"), NOT_DONE),
    "with a base elsewhere": (
        page(lambda text: text.replace("<head>", "<head><base href='http://127.0.0.1:9/x/y/'>")),
        EITHER,
    ),
    "with version 2.0": (
        page(lambda text: text.replace("<head>", '<head><meta name="pypi:repository-version" content="2.0">')),
        NOT_DONE,
    ),
    "without hashes": (page(lambda text: text.replace("#sha256=", "#x=")), EITHER),
    "with other hashes": (page(lambda text: text.replace("#sha256=", "#sha256=00")), NOT_DONE | CONFLICT),
    "yanked": (page(lambda text: text.replace("<a ", '<a data-yanked="bad" ')), EITHER | CONFLICT),
    "of half-open tags": (page(lambda text: "<a <!-- <" * 100000 + text), EITHER),
}


def _listings() -> Iterator[Misbehavior]:
    for name, (act, codes) in ENTRIES.items():
        yield _way("listing", f"listing: {name}", act, LISTING, codes)
    for name, (act, codes) in DOCUMENTS.items():
        yield _way("listing", f"listing: always {name}", act, LISTING, codes | DONE if name == "empty" else codes)
        yield _way("listing", f"listing: {name} after an upload", act, LISTING, codes, after=True)
    for name, (act, codes) in PAGES.items():
        yield _way("listing", f"page: {name}", act, LISTING, codes, html=True)
    gone = answers(404, "Not Found")
    yield _way("listing", "listing: 404 for ever", gone, LISTING, LATER, after=True)
    yield _way("listing", "listing: 404 five times", gone, LISTING, DONE, tries=range(1, 6), each=True, after=True)
    yield _way("listing", "listing: 410 for ever", answers(410, "Gone"), LISTING, LATER, after=True)
    for name in ("other hashes", "no files at all", "all but the first file", "another project"):
        act = ENTRIES[name][0]
        codes = DONE | CONFLICT if name == "other hashes" else DONE
        yield _way("listing", f"listing: once {name}", act, LISTING, codes, tries=ONCE, each=True, after=True)


# --- redirect: where it sends us

TARGETS: dict[str, tuple[str, frozenset[int], frozenset[int]]] = {
    "to another port": ("{other}{path}", NOT_DONE, EITHER),
    "to itself": ("{path}", NOT_DONE, NOT_DONE),
    "to a file": ("file:///etc/hostname", NOT_DONE, NOT_DONE),
    "to TLS where there is none": ("https://127.0.0.1:{port}{path}", NOT_DONE, NOT_DONE),
    "with a password": ("http://user:secret@127.0.0.1:{port}{path}", NOT_DONE, EITHER),
    "to http elsewhere": ("http://example.invalid{path}", NOT_DONE, NOT_DONE),
}
SAME = "{origin}{path}?moved"


def _moves_once(status: int) -> Act:
    """Redirect to an address of the same origin that is answered honestly."""

    def act(exchange: Exchange) -> None:
        if "moved" in exchange.request.target:
            exchange.answer(exchange.honest())
        else:
            redirects(status, SAME)(exchange)

    return act


def _redirects() -> Iterator[Misbehavior]:
    for place, on in enumerate((UPLOAD, LISTING, FILE)):
        kind = on[0]
        for status in (302, 307):
            codes = NOT_DONE if on == UPLOAD else DONE
            yield _way("redirect", f"{kind}: {status} to the same origin", _moves_once(status), on, codes)
        for row, (name, (target, listed, served)) in enumerate(TARGETS.items()):
            codes, act = served if on == FILE else listed, redirects(302, target)
            yield _way("redirect", f"{kind}: redirected {name}", act, on, codes, sizes=_size(row, place))
        stored = redirects(303, "{origin}/simple/", stored=True)
        twice = b"HTTP/1.1 302 Moved\r\nLocation: /a\r\nLocation: file:///b\r\nContent-Length: 0\r\n\r\n"
        yield _way("redirect", f"{kind}: two addresses", sends(twice, stored=False), on, NOT_DONE)
        yield _way("redirect", f"{kind}: no address", answers(302, "Found"), on, NOT_DONE)
        if on == UPLOAD:
            yield _way("redirect", "upload: stored, and redirected to a page", stored, on, DONE)
    after = redirects(302, "{other}{path}")
    yield _way("redirect", "listing: moved elsewhere after an upload", after, LISTING, NOT_DONE, after=True)


# --- file: what is served


def _neighbor(exchange: Exchange) -> None:
    """The bytes of another file."""
    with exchange.index.lock:
        files = [content for files in exchange.index.files.values() for content in files.values()]
    answer = exchange.honest()
    others = [content for content in files if content != answer.body]
    exchange.answer(replace(answer, body=others[0] if others else b"other"))


def _on_even(act: Act) -> Act:
    def choose(exchange: Exchange) -> None:
        if exchange.number % 2 == 0:
            exchange.answer(exchange.honest())
        else:
            act(exchange)

    return choose


def _of_some(act: Act, ending: str) -> Act:
    def choose(exchange: Exchange) -> None:
        if exchange.request.filename.endswith(ending):
            act(exchange)
        else:
            exchange.answer(exchange.honest())

    return choose


OTHER_BYTES = serves(lambda body: bytes(len(body)))
FILES: dict[str, tuple[Act, frozenset[int]]] = {
    "other bytes of that length": (OTHER_BYTES, NOT_DONE | CONFLICT),
    "one bit flipped in the middle": (
        serves(
            lambda body: body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]
        ),
        NOT_DONE | CONFLICT,
    ),
    "a byte more": (serves(lambda body: body + b"\n"), NOT_DONE | CONFLICT),
    "another file": (_neighbor, NOT_DONE | CONFLICT),
    "a login page": (serves(lambda _: LOGIN_PAGE), NOT_DONE | CONFLICT),
    "it compressed, and does not say so": (serves(gzip.compress), NOT_DONE | CONFLICT),
    "a 206 for half of it": (
        edits(lambda answer: replace(answer, status=206, body=answer.body[:50])),
        NOT_DONE | CONFLICT,
    ),
    "404 for the sdist": (_of_some(answers(404, "Not Found"), ".tar.gz"), NOT_DONE),
    "other bytes for the sdist": (_of_some(OTHER_BYTES, ".tar.gz"), NOT_DONE | CONFLICT),
    "every second time other bytes": (_on_even(OTHER_BYTES), EITHER | CONFLICT),
}


def _files() -> Iterator[Misbehavior]:
    for name, (act, codes) in FILES.items():
        yield _way("file", f"file: {name}", act, FILE, codes)
    gone = answers(404, "Not Found")
    yield _way("file", "file: 404 for ever", gone, FILE, LATER)
    yield _way("file", "file: 404 three times", gone, FILE, DONE, tries=range(1, 4), each=True)
    yield _way("file", "file: 403 for ever", answers(403, "Forbidden"), FILE, NOT_DONE)
    yield _way("file", "file: 500 three times", answers(500, "Broken"), FILE, DONE, tries=range(1, 4), each=True)
    yield _way(
        "file", "file: once a login page", serves(lambda _: LOGIN_PAGE), FILE, EITHER | CONFLICT, tries=ONCE
    )


# --- upload: what becomes of what is sent


def _stores_as(project: str = "", filename: str = "") -> Act:
    """Store under another name."""

    def act(exchange: Exchange) -> None:
        upload = exchange.read_upload()
        exchange.index.hold(project or upload.project, filename + upload.filename, upload.content)
        exchange.answer(Answer(200, "OK"))

    return act


def _loses(ending: str) -> Act:
    """Take all files, and keep those alone that do not end so."""

    def act(exchange: Exchange) -> None:
        upload = exchange.read_upload()
        if not upload.filename.endswith(ending):
            exchange.index.store(upload)
        exchange.answer(Answer(200, "OK"))

    return act


def _from_the_second(act: Act) -> Act:
    """Take the first upload, and none after it."""

    def choose(exchange: Exchange) -> None:
        if exchange.index.hits == 1:
            exchange.answer(exchange.honest())
        else:
            act(exchange)

    return choose


def _after_listings(number: int) -> Act:
    """Keep what was sent, and show it only after so many looks at the listing."""

    def act(exchange: Exchange) -> None:
        if exchange.number <= number:
            exchange.answer(Answer(404, "Not Found"))
        else:
            exchange.answer(exchange.honest())

    return act


def _vanishes(exchange: Exchange) -> None:
    """Show a file once, and have nothing of it afterwards."""
    exchange.answer(exchange.honest())
    with exchange.index.lock:
        exchange.index.files.pop(exchange.request.project, None)


def _stores_before_it_is_read(exchange: Exchange) -> None:
    """Close the connection in the middle of the body."""
    exchange.receive(500)
    exchange.reset()


def _uploads() -> Iterator[Misbehavior]:
    stored: tuple[tuple[str, Act, frozenset[int], bool], ...] = (
        ("stores half of it", stores(lambda content: content[: len(content) // 2]), CONFLICT, False),
        ("stores nothing of it", stores(lambda _: b""), CONFLICT, False),
        ("stores other bytes", stores(lambda content: content[::-1]), CONFLICT, False),
        ("stores other bytes, and says 409", stores(lambda content: content[::-1], 409), CONFLICT, False),
        ("stores other bytes, and says 500", stores(lambda content: content[::-1], 500), CONFLICT, False),
        ("stores it with a line end more", stores(lambda content: content + b"\r\n"), CONFLICT, False),
        ("stores it for another project", _stores_as(project="other"), NOT_DONE, True),
        ("stores it under another name", _stores_as(filename="x"), NOT_DONE, True),
        ("loses the sdists", _loses(".tar.gz"), frozenset({3}), True),
        ("loses the wheels", _loses(".whl"), NOT_DONE, True),
        ("closes in the middle of the body", _stores_before_it_is_read, LATER, True),
    )
    for name, act, codes, heals in stored:
        yield _way("upload", f"upload: {name}", act, UPLOAD, codes, heals=heals)
    for name in ("stores half of it", "stores other bytes"):
        act = next(act for other, act, _, _ in stored if other == name)
        yield _way("upload", f"upload: once {name}", act, UPLOAD, CONFLICT, tries=ONCE, heals=False)
    for status, reason in ((400, "Bad"), (403, "No"), (413, "Large"), (500, "Broken"), (200, "Lost")):
        refused = _from_the_second(answers(status, reason))
        yield _way(
            "upload", f"upload: takes the first file, then {status} {reason}", refused, UPLOAD, frozenset({3})
        )
    yield _way("upload", "upload: 200 once, and nothing stored", answers(200, "OK"), UPLOAD, NOT_DONE, tries=ONCE)
    for number in (3, 30):
        act = _after_listings(number)
        yield _way("upload", f"upload: shown after {number} looks", act, LISTING, DONE, after=True)
    yield _way("upload", "upload: shown once, then gone", _vanishes, LISTING, NOT_DONE | DONE, after=True)
    for number in (1, 2, 3):
        act = answers(500, "Broken")
        yield _way(
            "upload",
            f"upload: 500 {number} times for each",
            act,
            UPLOAD,
            DONE,
            tries=range(1, number + 1),
            each=True,
        )
        act = answers(503, "Busy", stored=True)
        yield _way(
            "upload",
            f"upload: 503 and stored, {number} times",
            act,
            UPLOAD,
            DONE,
            tries=range(1, number + 1),
            each=True,
        )
    either = _every(3, answers(502, "Bad Gateway"))  # every second one could be all uploads
    yield _way("upload", "any: every third request a 502", either, ANY, DONE)
    mixed = (
        Rule(answers(200, "OK"), UPLOAD, tries=ONCE),
        Rule(answers(503, "Busy"), LISTING, tries=range(1, 6), after=True),
    )
    yield Misbehavior("any: an upload lost while listings are down", "upload", mixed, NOT_DONE)


def _way(  # the fields of a rule, one by one
    topic: str,
    name: str,
    act: Act,
    on: tuple[str, ...],
    codes: frozenset[int],
    *,
    tries: Container[int] | None = None,
    each: bool = False,
    after: bool = False,
    html: bool = False,
    heals: bool = True,
    slow: bool = False,
    sizes: tuple[int, ...] = SIZES,
) -> Misbehavior:
    if on == FILE and codes != DONE:
        codes |= CONFLICT  # of bytes that cannot be read as ours either tells the truth
    rule = Rule(act, on, tries=tries, each=each, after=after, html=html)
    return Misbehavior(name, topic, (rule,), codes, heals=heals, slow=slow, sizes=sizes)


def _size(*places: int) -> tuple[int, ...]:
    """One number of files for a way and a kind of requests, such that their sums go through all of them."""
    return (SIZES[sum(places) % len(SIZES)],)


def _all() -> dict[str, Misbehavior]:
    groups = (_statuses(), _heads(), _bodies(), _times(), _listings(), _redirects(), _files(), _uploads())
    ways: dict[str, Misbehavior] = {}
    for way in itertools.chain(*groups):
        assert way.name not in ways, way.name
        ways[way.name] = way
    return ways


MISBEHAVIORS = _all()
CASES = [(name, size) for name, way in MISBEHAVIORS.items() for size in way.sizes]
SIGNALED = [
    name
    for name, way in MISBEHAVIORS.items()
    if way.topic == "time" and way.slow and way.sizes == (6,) and ": once " not in name
]
"""Those that last for ever, each of them once: a run that meets them is sent signals."""
