"""The ways in which an index misbehaves, each one small value, and what a release may end with.

What must hold for all of them is in `hostile_runs.py`: an exit code says what an independent client sees. The
codes here narrow that: `DONE` where the lie does not matter, `CONFLICT` where another file is shown. How responses
are framed, and what no library would send, is tried in `integration/test_http.py` and `test_index_client.py`.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from acts import FOREVER, answers, edits, lists, redirects, sends, serves, stalls, stores, take_upload
from package_index import ANY, FILE, JSON_PAGE, LISTING, UPLOAD, Answer, Gone, Rule, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from acts import Act, Wire
    from package_index import Exchange

DONE = frozenset({0})
NOT_DONE = frozenset({1, 2, 3, 5})
LATER = frozenset({3, 5})
FAILED = frozenset({2, 3})
PARTLY = frozenset({3})
CONFLICT = frozenset({4})
EITHER = DONE | NOT_DONE
OTHER_FILE = NOT_DONE | CONFLICT
SIZES = (2, 6)
"""How many files the releases have. A way that can befall uploads, listings and files alike is tried with another
one for each of these, so that it meets every number and every kind."""
ON = {"upload": UPLOAD, "listing": LISTING, "page": LISTING, "file": FILE, "any": ANY}
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>"
LOGIN = answers(200, "OK", ("Content-Type", "text/html"), body=LOGIN_PAGE)
GONE = answers(404, "Not Found")
BROKEN = answers(500, "Broken")
BUSY = answers(503, "Busy", stored=True)
BAD_GATEWAY = answers(502, "Bad Gateway")


@dataclass(frozen=True)
class Misbehavior:
    """A way to misbehave.

    Attributes:
        name: What it is, after the kind of requests that it is done with.
        rules: When the index does it.
        codes: How a run may end.
        heals: Whether the same command ends well once the index is honest.
        slow: Whether requests take as long as the client lets them: such a run gets shorter deadlines and retry
            windows.
        sizes: How many files the releases have that meet it.
    """

    name: str
    rules: tuple[Rule, ...]
    codes: frozenset[int]
    heals: bool = True
    slow: bool = False
    sizes: tuple[int, ...] = SIZES


def way(
    name: str,
    act: Act,
    codes: frozenset[int],
    *,
    heals: bool = True,
    slow: bool = False,
    sizes: tuple[int, ...] = SIZES,
    **when: Any,
) -> Misbehavior:
    """A misbehavior of one rule, at the requests that its name begins with; `when` are fields of `Rule`."""
    kind = name.partition(":")[0]
    if kind == "file" and codes != DONE:
        codes |= CONFLICT  # of bytes that cannot be read as ours either tells the truth
    rule = Rule(act, ON[kind], html=kind == "page", **when)
    return Misbehavior(name, (rule,), codes, heals=heals, slow=slow, sizes=sizes)


# --- what can befall any request


def keeps_open(wire: Wire) -> Act:
    """Send what becomes of an honest answer, and keep the connection."""

    def act(exchange: Exchange) -> None:
        exchange.send(wire(exchange.honest()))

    return act


def _with_line(line: bytes) -> Wire:
    return lambda answer: answer.head()[:-2] + line + b"\r\n\r\n" + answer.body


def _of_length(change: Callable[[int], int]) -> Wire:
    def wire(answer: Answer) -> bytes:
        length = b"Content-Length: %d\r\n\r\n" % change(len(answer.body))
        return answer.head(length=False)[:-2] + length + answer.body

    return wire


def _in_chunks(answer: Answer) -> bytes:
    pieces = [answer.body[at : at + 1000] for at in range(0, len(answer.body), 1000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return answer.head(length=False)[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _gzipped(answer: Answer) -> Answer:
    return replace(answer.with_header("Content-Encoding", "gzip"), body=gzip.compress(answer.body))


@cache
def _swelling() -> bytes:
    """Compressed zeros; a client that keeps them all is over its memory limit."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])


def _bomb(exchange: Exchange) -> None:
    take_upload(exchange, stored=True)
    headers = (("Content-Type", JSON_PAGE), ("Content-Encoding", "gzip"))
    exchange.answer(Answer(200, "OK", headers, _swelling()))


def _endless(exchange: Exchange) -> None:
    take_upload(exchange, stored=True)
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    for _ in range(1 << 14):
        if exchange.index.over.is_set():
            raise Gone
        exchange.send(b"<a href='x'>x</a>\n" * 4000)
    exchange.close()


TRICKLE = 20.0
"""Seconds that bytes trickle: more than relnox waits here, but not for ever: no timeout of a socket ends it."""


def trickles(start: bytes, piece: bytes, *, size: int = 1) -> Act:
    """Send a head at once, and then a few bytes at a time without an end."""

    def act(exchange: Exchange) -> None:
        take_upload(exchange, stored=False)
        exchange.send(start)
        until = time.monotonic() + TRICKLE
        while time.monotonic() < until:
            exchange.trickle(piece, size=size)

    return act


def _closes_late(exchange: Exchange) -> None:
    """All of an answer that ends with the connection, which stays open."""
    answer = exchange.honest()
    exchange.send(answer.head(length=False)[:-2] + b"Connection: close\r\n\r\n" + answer.body)
    exchange.wait(FOREVER)


def _resets(exchange: Exchange) -> None:
    take_upload(exchange, stored=True)
    exchange.reset()


def _resets_in_the_body(exchange: Exchange) -> None:
    answer = exchange.honest()
    exchange.send(answer.head(length=False)[:-2] + b"Content-Length: 1000\r\n\r\n{")
    exchange.reset()


def _after_a_while(exchange: Exchange) -> None:
    answer = exchange.honest()
    exchange.wait(0.3)
    exchange.answer(answer)


def only(condition: Callable[[Exchange], bool], act: Act) -> Act:
    """Be honest, but where a condition holds."""

    def choose(exchange: Exchange) -> None:
        if condition(exchange):
            act(exchange)
        else:
            exchange.answer(exchange.honest())

    return choose


REFUSED = NOT_DONE, NOT_DONE, NOT_DONE
DOWN = LATER, LATER, LATER
FINE = DONE, DONE, DONE
UNCLEAR = EITHER, EITHER, EITHER
STORED = DONE, NOT_DONE, NOT_DONE
"""Ends of runs in which uploads, listings or files meet something."""
REQUESTS: dict[str, tuple[Act, tuple[frozenset[int], ...]]] = {
    "202 and nothing stored": (answers(202, "Accepted"), REFUSED),
    "304 without a condition": (sends(b"HTTP/1.1 304 Not Modified\r\n\r\n", stored=False), REFUSED),
    "400": (answers(400, "Bad Request", body=b"bad"), REFUSED),
    "401 each time": (answers(401, "Unauthorized", ("WWW-Authenticate", 'Basic realm="index"')), REFUSED),
    "403": (answers(403, "Forbidden"), REFUSED),
    "500": (answers(500, "Internal Server Error"), DOWN),
    "502 with a page": (answers(502, "Bad Gateway", ("Content-Type", "text/html"), body=LOGIN_PAGE), DOWN),
    "30 MB of an error page": (answers(400, "Bad Request", body=b"<p>no</p> " * (3 << 20), stored=True), STORED),
    "nothing, and closed": (sends(b""), STORED),
    "binary garbage": (sends(bytes(range(256)) * 8), STORED),
    "cut off in a header": (sends(b"HTTP/1.1 200 OK\r\nContent-Type: applicat"), UNCLEAR),
    "1,000 headers": (sends(_with_line(b"\r\n".join(b"X-%d: y" % number for number in range(1000)))), UNCLEAR),
    "a reason with escapes": (edits(lambda answer: replace(answer, reason="\x1b[2J\x1b]0;x\x07 ok")), FINE),
    "a cookie": (keeps_open(_with_line(b"Set-Cookie: a=b; Domain=127.0.0.1; Path=/")), FINE),
    "103 first": (keeps_open(lambda answer: b"HTTP/1.1 103 Wait\r\n\r\n" + answer.wire()), (DONE, LATER, LATER)),
    "a second, unrequested response": (
        keeps_open(lambda answer: answer.wire() + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        FINE,
    ),
    "shorter than its length": (sends(_of_length(lambda length: length + 9)), (EITHER, NOT_DONE, NOT_DONE)),
    "longer than its length": (sends(_of_length(lambda length: length // 2)), STORED),
    "no length, ends with the connection": (sends(lambda answer: answer.head(length=False) + answer.body), FINE),
    "in chunks": (sends(_in_chunks), FINE),
    "gzip": (edits(_gzipped), (DONE, DONE, NOT_DONE)),
    "an unknown encoding": (edits(lambda answer: answer.with_header("Content-Encoding", "rot13")), UNCLEAR),
    "a gzip bomb": (_bomb, STORED),
    "an endless body": (_endless, STORED),
    "reset after it was done": (_resets, STORED),
    "reset in the body": (_resets_in_the_body, UNCLEAR),
    "each answer takes a moment": (_after_a_while, FINE),
    "every second connection closed": (only(lambda exchange: exchange.index.hits % 2 == 1, sends(b"")), FINE),
}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TIMES: dict[str, tuple[Act, tuple[frozenset[int], ...]]] = {
    "no answer": (stalls(), (LATER, NOT_DONE, NOT_DONE)),
    "half a body, then nothing": (
        stalls(OK + b"Content-Length: 1000000\r\n\r\n" + b"{" * 500),
        (LATER, NOT_DONE, NOT_DONE),
    ),
    "a header that trickles": (trickles(OK + b"X-Slow: ", b"x"), (LATER, NOT_DONE, NOT_DONE)),
    "a body that trickles": (trickles(OK + b"Connection: close\r\n\r\n", b" "), (LATER, NOT_DONE, NOT_DONE)),
    "chunks that trickle": (
        trickles(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", size=6),
        (LATER, NOT_DONE, NOT_DONE),
    ),
    "100 Continue for ever": (
        trickles(b"", b"HTTP/1.1 100 Continue\r\n\r\n", size=25),
        (LATER, NOT_DONE, NOT_DONE),
    ),
    "an answer whose end never comes": (_closes_late, UNCLEAR),
}
"""Those that last for ever."""


def _size(*places: int) -> int:
    return SIZES[sum(places) % len(SIZES)]


KINDS = ("upload", "listing", "file")
OF_ANY = [
    way(f"{kind}: {name}", act, codes[place], slow=name in TIMES or "ndless" in name, sizes=(_size(row, place),))
    for place, kind in enumerate(KINDS)
    for row, (name, (act, codes)) in enumerate((REQUESTS | TIMES).items())
]
SIGNALED = [each.name for each in OF_ANY if each.name.partition(": ")[2] in TIMES and each.sizes == (6,)]
"""Those that last for ever, each of them once: a run that meets them is sent signals."""
ONCE = [
    *(
        way(f"upload: once {name}", act, DONE, tries=[1], slow=True, sizes=(_size(row),))
        for row, (name, (act, _)) in enumerate(TIMES.items())
    ),
    *(way(f"{kind}: reset twice", _resets, DONE, tries=range(1, 3), each=True) for kind in KINDS),
]

# --- what can befall uploads


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


def _reads_slowly(exchange: Exchange) -> None:
    while exchange.receive(16):
        exchange.wait(0.05)


def _answers_early(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    exchange.reset()


def _resets_in_the_request(exchange: Exchange) -> None:
    exchange.receive(500)
    exchange.reset()


def _waiting(*headers: tuple[str, str]) -> Act:
    """Ask for a wait, each time in these headers."""
    return answers(503, "Busy", *headers)


HALF = stores(lambda content: content[: len(content) // 2])
REVERSED = stores(lambda content: content[::-1])
UPLOADS = [
    way("upload: 201 and stored", answers(201, "Created", stored=True), DONE),
    way("upload: 200 and nothing stored", answers(200, "OK"), frozenset({5})),
    way("upload: 200 once, and nothing stored", answers(200, "OK"), NOT_DONE, tries=[1]),
    way("upload: 404", GONE, NOT_DONE),
    way("upload: 409 and nothing stored", answers(409, "Conflict"), NOT_DONE),
    way("upload: 413", answers(413, "Content Too Large"), FAILED),
    way("upload: 422", answers(422, "No", body=b'{"errors": [1, null, {"message": {}}]}'), NOT_DONE),
    *(way(f"upload: {status} and stored", answers(status, stored=True), DONE) for status in (400, 403, 409, 500)),
    way("upload: stores half of it", HALF, CONFLICT, heals=False),
    way("upload: once stores half of it", HALF, CONFLICT, tries=[1], heals=False),
    way("upload: stores nothing of it", stores(lambda _: b""), CONFLICT, heals=False),
    way("upload: stores other bytes", REVERSED, CONFLICT, heals=False),
    way("upload: once stores other bytes", REVERSED, CONFLICT, tries=[1], heals=False),
    way("upload: 409 and other bytes", stores(lambda content: content[::-1], 409), CONFLICT, heals=False),
    way("upload: 500 and other bytes", stores(lambda content: content[::-1], 500), CONFLICT, heals=False),
    way("upload: stores a line end more", stores(lambda content: content + b"\r\n"), CONFLICT, heals=False),
    way("upload: stores it for another project", _stores_as(project="other"), NOT_DONE),
    way("upload: stores it under another name", _stores_as(filename="x"), NOT_DONE),
    way("upload: loses the sdists", _loses(".tar.gz"), PARTLY),
    way("upload: loses the wheels", _loses(".whl"), NOT_DONE),
    *(
        way(
            f"upload: takes the first file, then {status}",
            only(lambda exchange: exchange.index.hits > 1, answers(status)),
            PARTLY,
        )
        for status in (200, 400, 403, 413, 500)
    ),
    *(way(f"upload: 500 {n} times for each", BROKEN, DONE, tries=range(1, n + 1), each=True) for n in (1, 3)),
    *(way(f"upload: 503 and stored, {n} times", BUSY, DONE, tries=range(1, n + 1), each=True) for n in (1, 3)),
    *(
        way(f"upload: Retry-After {value}", _waiting(("Retry-After", value)), codes, tries=[1], each=True)
        for value, codes in (
            ("99999999999999999999999999", EITHER),
            ("Fri, 31 Dec 9999 23:59:59 GMT", LATER),
            ("Thu, 99 Foo 2026 25:61:61 XYZ", DONE),
        )
    ),
    way(
        "upload: Retry-After twice",
        _waiting(("Retry-After", "5"), ("Retry-After", "7"), ("RateLimit", "x;t=y")),
        DONE,
        tries=[1],
        each=True,
    ),
    way("upload: never read", lambda exchange: exchange.wait(FOREVER), LATER, slow=True),
    way("upload: once never read", lambda exchange: exchange.wait(FOREVER), DONE, tries=[1], slow=True),
    way("upload: read at 300 bytes a second", _reads_slowly, LATER, slow=True),
    way("upload: refused before it is read", _answers_early, NOT_DONE),
    way("upload: closes in the middle of the body", _resets_in_the_request, LATER),
    way("any: every third request a 502", only(lambda exchange: exchange.index.hits % 3 == 1, BAD_GATEWAY), DONE),
    Misbehavior(
        "any: an upload lost while listings are down",
        (
            Rule(answers(200, "OK"), UPLOAD, tries=[1]),
            Rule(answers(503, "Busy"), LISTING, tries=range(1, 6), after=True),
        ),
        NOT_DONE,
    ),
]

# --- what listings say


def _document(
    change: Callable[[dict[str, Any]], Any], content_type: str = JSON_PAGE, *, always: bool = False
) -> Act:
    """Answer with what becomes of the JSON page of a project that has files, or of any project."""

    def act(exchange: Exchange) -> None:
        document = exchange.index.document(exchange.request.project)
        if not (document["files"] or always):
            exchange.answer(exchange.honest())
            return
        changed = change(document)
        body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        exchange.answer(Answer(200, "OK", (("Content-Type", content_type),), body))

    return act


def _files(change: Callable[[list[dict[str, Any]]], list[Any]]) -> Act:
    """Other files on a page."""
    return _document(lambda document: {**document, "files": change(document["files"])})


def _each(**values: object) -> Act:
    """Other values of keys of each file; a function is called with the file."""

    def change(file: dict[str, Any]) -> dict[str, Any]:
        return file | {name: value(file) if callable(value) else value for name, value in values.items()}

    return _files(lambda files: list(map(change, files)))


def _url(template: str) -> Act:
    def act(exchange: Exchange) -> None:
        other = template.replace("{other}", exchange.index.other_origin)
        lists(exchange, lambda file: {**file, "url": other.replace("{name}", file["filename"])})

    return act


def _two_lists(document: dict[str, Any], *, first: bool) -> bytes:
    """A document with two `files` keys, of which only one has the files."""
    pair = [f'"files": {json.dumps(document["files"])}', '"files": []']
    return f'{{"meta": {{"api-version": "1.0"}}, {", ".join(pair if first else pair[::-1])}}}'.encode()


def _two_hashes(document: dict[str, Any]) -> bytes:
    twice = '{"sha256": "%s", "sha256": ' % ("0" * 64)
    return json.dumps(document).replace('{"sha256": ', twice).encode()


def _swapped(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hash of each file under the name of the next one."""
    hashes = [file["hashes"] for file in files]
    return [{**file, "hashes": other} for file, other in zip(files, hashes[1:] + hashes[:1], strict=True)]


def _goes_back(exchange: Exchange) -> None:
    """Shows all of it, then less, then all of it again."""
    document = exchange.index.document(exchange.request.project)
    if document["files"] and exchange.number % 3 == 2:
        document["files"].pop()
    exchange.answer(as_json(document, content_type=JSON_PAGE) if document["files"] else exchange.honest())


def _vanishes(exchange: Exchange) -> None:
    """Show a file once, and have nothing of it afterwards."""
    exchange.answer(exchange.honest())
    with exchange.index.lock:
        exchange.index.files.pop(exchange.request.project, None)


def _is_ignorant(exchange: Exchange) -> bool:
    """Whether the one of two servers behind an address is asked that knows nothing."""
    return not (exchange.connection_number % 2 or exchange.index.hits % 3 == 0)


def _text(change: Callable[[bytes], bytes], content_type: str = JSON_PAGE) -> Act:
    return _document(lambda document: change(json.dumps(document).encode()), content_type, always=True)


OTHER_HASH = {"sha256": "0" * 64}
OLD = [
    {"filename": f"demo-0.{n}-py3-none-any.whl", "url": f"x/{n}", "hashes": {"sha256": f"{n:064x}"}}
    for n in range(20000)
]
EVIL = {"filename": "../../\x1b[31mevil\r\n::error::x\u202egnp.whl", "url": "file:///etc/passwd", "hashes": {}}
MALWARE = {"status": "quarantined", "reason": "\x1b[0m"}
ENTRIES: dict[str, tuple[Act, frozenset[int]]] = {
    "other hashes": (_each(hashes=OTHER_HASH), CONFLICT),
    "each other's hashes": (_files(_swapped), CONFLICT),
    "hashes in capitals": (_each(hashes=lambda file: {"sha256": file["hashes"]["sha256"].upper()}), DONE),
    "no hashes": (_each(hashes={}), DONE),
    "half a hash": (_each(hashes=lambda file: {"sha256": file["hashes"]["sha256"][:32]}), OTHER_FILE),
    "two hashes of one file": (_document(_two_hashes), OTHER_FILE),
    "null for a name": (_each(filename=None), NOT_DONE),
    "names with a directory": (_each(filename=lambda file: "files/" + file["filename"]), NOT_DONE),
    "each name twice, the second with another hash": (
        _files(lambda files: files + [{**file, "hashes": OTHER_HASH} for file in files]),
        OTHER_FILE,
    ),
    "two lists, the first one true": (_document(lambda document: _two_lists(document, first=True)), NOT_DONE),
    "two lists, the second one true": (_document(lambda document: _two_lists(document, first=False)), NOT_DONE),
    "an address with a query": (_url("/files/{name}?X-Signature=a%2Fb&expires=1"), DONE),
    "an address of another host": (_url("{other}/files/{name}"), EITHER),
    "an address of a file": (_url("file:///etc/hostname"), NOT_DONE),
    "an address with line ends": (_url("/files/{name}\r\nX-Injected: yes"), NOT_DONE),
    "null for an address": (_each(url=None), NOT_DONE),
    "an entry that is null": (_files(lambda files: [*files, None]), NOT_DONE),
    "an entry of another project": (_files(lambda files: [*files, EVIL]), EITHER),
    "20,000 old files": (_files(lambda files: files + OLD), DONE),
    "no files at all": (_files(lambda _: []), NOT_DONE),
    "all but the first file": (_files(lambda files: files[1:]), NOT_DONE),
    "all but the sdist": (
        _files(lambda files: [file for file in files if file["filename"].endswith(".whl")]),
        NOT_DONE,
    ),
    "all files yanked": (_each(yanked=True), EITHER | CONFLICT),
    "sizes of 10^400": (_each(size=10**400), EITHER | CONFLICT),
    "quarantined": (_document(lambda document: {**document, "project-status": MALWARE}), EITHER),
    "another project": (_each(filename=lambda file: f"something_else-{file['filename']}"), NOT_DONE),
    "two servers, one of which knows nothing": (only(_is_ignorant, GONE), EITHER),
    "back in time now and then": (_goes_back, EITHER),
}
DOCUMENTS: dict[str, tuple[Act, frozenset[int]]] = {
    "null for the files": (_document(lambda document: {**document, "files": None}, always=True), NOT_DONE),
    "version 2.0 of the API": (
        _document(lambda document: {**document, "meta": {"api-version": "2.0"}}, always=True),
        NOT_DONE,
    ),
    "100,000 brackets": (_text(lambda body: body[:-1] + b', "n": ' + b"[" * 100000 + b"]" * 100000), NOT_DONE),
    "cut off": (_text(lambda body: body[:-20]), NOT_DONE),
    "empty": (_text(lambda _: b""), NOT_DONE),
    "20 MB of spaces in it": (_text(lambda body: body[:-1] + b" " * (20 << 20) + b"}"), EITHER),
    "JSON called HTML": (_text(bytes, "text/html"), NOT_DONE),
    "HTML called JSON": (_text(lambda _: LOGIN_PAGE), NOT_DONE),
    "a login page": (LOGIN, NOT_DONE),
}


def _page(change: Callable[[bytes], bytes]) -> Act:
    """Change the HTML page of a project that has files."""
    return edits(lambda answer: replace(answer, body=change(answer.body)) if answer.status == 200 else answer)


def _swap(old: str, new: str) -> Act:
    return _page(lambda text: text.replace(old.encode(), new.encode()))


META = '<head><meta name="pypi:repository-version" content="2.0">'
LISTINGS = [
    *(way(f"listing: {name}", act, codes) for name, (act, codes) in ENTRIES.items()),
    *(
        way(f"listing: always {name}", act, codes | DONE if name == "empty" else codes)
        for name, (act, codes) in DOCUMENTS.items()
    ),
    *(way(f"listing: {name} after an upload", act, codes, after=True) for name, (act, codes) in DOCUMENTS.items()),
    *(
        way(f"listing: once {name}", ENTRIES[name][0], codes, tries=[1], each=True, after=True)
        for name, codes in (
            ("other hashes", DONE | CONFLICT),
            ("no files at all", DONE),
            ("another project", DONE),
        )
    ),
    way("listing: 404 for ever", GONE, LATER, after=True),
    way("listing: 410 for ever", answers(410, "Gone"), LATER, after=True),
    way("listing: 404 five times", GONE, DONE, tries=range(1, 6), each=True, after=True),
    way("listing: shown after 3 looks", only(lambda exchange: exchange.number <= 3, GONE), DONE, after=True),
    way("listing: shown after 30 looks", only(lambda exchange: exchange.number <= 30, GONE), DONE, after=True),
    way("listing: shown once, then gone", _vanishes, EITHER, after=True),
    way("listing: a limit until the year 33658", answers(429, "Slow", ("X-RateLimit-Reset", "9" * 12)), LATER),
    way("page: unchanged", _page(bytes), DONE),
    way("page: in a comment", _page(lambda text: b"<!-- " + text + b" -->"), NOT_DONE),
    way("page: with a base elsewhere", _swap("<head>", "<head><base href='http://127.0.0.1:9/x/y/'>"), EITHER),
    way("page: with version 2.0", _swap("<head>", META), NOT_DONE),
    way("page: without hashes", _swap("#sha256=", "#x="), EITHER),
    way("page: with other hashes", _swap("#sha256=", "#sha256=00"), OTHER_FILE),
    way("page: yanked", _swap("<a ", '<a data-yanked="bad" '), EITHER | CONFLICT),
    way("page: of half-open tags", _page(lambda text: b"<a <!-- <" * 100000 + text), EITHER),
]

# --- where one is sent

TARGETS = {
    "to another port": ("{other}{path}", NOT_DONE, EITHER),
    "to itself": ("{path}", NOT_DONE, NOT_DONE),
    "to a file": ("file:///etc/hostname", NOT_DONE, NOT_DONE),
    "to TLS where there is none": ("https://127.0.0.1:{port}{path}", NOT_DONE, NOT_DONE),
    "with a password": ("http://user:secret@127.0.0.1:{port}{path}", NOT_DONE, EITHER),
    "to http elsewhere": ("http://example.invalid{path}", NOT_DONE, NOT_DONE),
}


def _moves_once(status: int) -> Act:
    """Redirect to an address of the same origin that is answered honestly."""
    return only(lambda exchange: "moved" not in exchange.request.target, redirects(status, "{origin}{path}?moved"))


REDIRECTS = [
    *(
        way(f"{kind}: {status} to the same origin", _moves_once(status), NOT_DONE if kind == "upload" else DONE)
        for kind in KINDS
        for status in (302, 307)
    ),
    *(
        way(
            f"{kind}: redirected {name}",
            redirects(302, target),
            served if kind == "file" else listed,
            sizes=(_size(row, place),),
        )
        for place, kind in enumerate(KINDS)
        for row, (name, (target, listed, served)) in enumerate(TARGETS.items())
    ),
    *(way(f"{kind}: redirected to no address", answers(302, "Found"), NOT_DONE) for kind in KINDS),
    way("upload: stored, and redirected to a page", redirects(303, "{origin}/simple/", stored=True), DONE),
    way("listing: moved elsewhere after an upload", redirects(302, "{other}{path}"), NOT_DONE, after=True),
]

# --- what is served


def _neighbor(exchange: Exchange) -> None:
    """The bytes of another file."""
    with exchange.index.lock:
        files = [content for files in exchange.index.files.values() for content in files.values()]
    answer = exchange.honest()
    others = [content for content in files if content != answer.body]
    exchange.answer(replace(answer, body=others[0] if others else b"other"))


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def _is_sdist(exchange: Exchange) -> bool:
    return exchange.request.filename.endswith(".tar.gz")


ZEROS = serves(lambda body: bytes(len(body)))
SERVED = [
    way("file: other bytes of that length", ZEROS, NOT_DONE),
    way("file: one bit flipped in the middle", serves(_flipped), NOT_DONE),
    way("file: a byte more", serves(lambda body: body + b"\n"), NOT_DONE),
    way("file: another file", _neighbor, NOT_DONE),
    way("file: a login page", serves(lambda _: LOGIN_PAGE), NOT_DONE),
    way("file: once a login page", serves(lambda _: LOGIN_PAGE), EITHER, tries=[1]),
    way("file: it compressed, and does not say so", serves(gzip.compress), NOT_DONE),
    way("file: half of it", edits(lambda answer: replace(answer, status=206, body=answer.body[:50])), NOT_DONE),
    way("file: 404 for the sdist", only(_is_sdist, GONE), NOT_DONE),
    way("file: other bytes for the sdist", only(_is_sdist, ZEROS), NOT_DONE),
    way("file: every second time other bytes", only(lambda exchange: exchange.number % 2 == 1, ZEROS), EITHER),
    way("file: 404 for ever", GONE, LATER),
    way("file: 404 three times", GONE, DONE, tries=range(1, 4), each=True),
    way("file: 500 three times", BROKEN, DONE, tries=range(1, 4), each=True),
]

MISBEHAVIORS = {each.name: each for each in (*OF_ANY, *ONCE, *UPLOADS, *LISTINGS, *REDIRECTS, *SERVED)}
CASES = [(name, size) for name, each in MISBEHAVIORS.items() for size in each.sizes]
