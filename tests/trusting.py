"""An index on loopback that knows passwords, identities and who redirects: what credentials are proven against."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import json
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["AUDIENCE", "REQUEST_TOKEN", "Trusting", "certificate", "identity", "trusting"]

AUDIENCE = "loopback"
REQUEST_TOKEN = "runner-request-0815"  # what GitHub's runner asks for an identity with
CLAIMS = {
    "sub": "repo:acme/demo:environment:pypi",
    "repository": "acme/demo",
    "repository_owner": "acme",
    "workflow_ref": "acme/demo/.github/workflows/release.yml@refs/tags/v1.2.3",
    "job_workflow_ref": "acme/demo/.github/workflows/release.yml@refs/tags/v1.2.3",
}


def identity(jti: str, audience: str = AUDIENCE, **claims: str) -> str:
    """An identity token like those of CI providers, with an invalid signature."""

    def part(of: Mapping[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).decode().rstrip("=")

    return ".".join(
        [part({"alg": "none"}), part({**CLAIMS, **claims, "aud": audience, "jti": jti}), "c2lnbmF0dXJl"]
    )


class Trusting:
    """The settings of the index, and the requests it received.

    Attributes:
        passwords: Who may upload.
        lifetime: Seconds for which a minted token is good.
        errors: Codes that the next mints are refused with.
        echo: Whether uploads are refused in words that repeat the credentials.
        moved: Where uploads are redirected to.
        claims: What identities say besides the usual.
        minted: Tokens, in order.
        logins: User and password of each upload.
        files: What is stored, by name.
        requests: Method and path of each request.
    """

    def __init__(self) -> None:
        self.passwords: set[str] = set()
        self.lifetime = 900
        self.errors: list[str] = []
        self.echo = False
        self.moved: str | None = None
        self.claims: dict[str, str] = {}
        self.minted: list[str] = []
        self.identities: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.url = ""
        self.token = "minted-{}"
        self.numbers = count(1)
        self.seen: set[str] = set()
        self.lock = threading.Lock()

    @property
    def upload_url(self) -> str:
        return f"{self.url}/legacy/"

    @property
    def simple_url(self) -> str:
        return f"{self.url}/simple/"

    def settings(self, name: str = "house", *, production: bool = False) -> str:
        """The index as a table of `[tool.relnox]`."""
        return (
            f'[tool.relnox.indexes.{name}]\nupload = "{self.upload_url}"\nsimple = "{self.simple_url}"\n'
            f"production = {str(production).lower()}\n"
        )

    def identity(self, audience: str) -> str:
        with self.lock:
            self.identities.append(identity(f"jti-{next(self.numbers)}", audience, **self.claims))
            return self.identities[-1]

    def mint(self, token: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
            code = self.errors.pop(0) if self.errors else "invalid-reuse-token" if jti in self.seen else None
            if code == "503":
                return 503, {}
            if code is not None:
                return 422, {"message": "no", "errors": [{"code": code, "description": f"{code} {token}"}]}
            self.seen.add(jti)
            self.minted.append(self.token.format(len(self.minted) + 1))
            self.passwords.add(self.minted[-1])
            return 200, {"success": True, "token": self.minted[-1], "expires": int(time.time()) + self.lifetime}


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        index, url = self.server.index, urlsplit(self.path)
        index.requests.append(f"GET {url.path}")
        if url.path == "/_/oidc/audience":
            self._answer(200, {"audience": AUDIENCE})
        elif url.path == "/identity" and self.headers["Authorization"] == f"bearer {REQUEST_TOKEN}":
            self._answer(200, {"value": index.identity(parse_qs(url.query)["audience"][0])})
        elif url.path.startswith("/simple/"):
            project = url.path.split("/")[2]
            files = [
                {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
                for name, data in index.files.items()
                if name.replace("_", "-").startswith(f"{project}-")
            ]
            self._answer(200, {"meta": {"api-version": "1.1"}, "name": project, "files": files})
        elif (name := url.path.rpartition("/")[2]) in index.files:
            self._answer(200, index.files[name])
        else:
            self._answer(404, {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        index = self.server.index
        index.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/_/oidc/mint-token":
            self._answer(*index.mint(json.loads(body)["token"]))
            return
        login = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
        user, _, password = login.partition(":")
        index.logins.append((user, password))
        if index.moved:
            self._answer(308, {}, {"Location": f"{index.moved}?password={password}"})
        elif index.echo or password not in index.passwords:
            said = f"no {login} with {self.headers.get('Authorization')}"
            self._answer(403, said.encode(), reason=f"Forbidden to {password}")
        else:
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            for part in email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts():
                if name := part.get_filename():
                    content = part.get_payload(decode=True)
                    assert isinstance(content, bytes)
                    index.files[name] = content
            self._answer(200, b"OK")

    def _answer(
        self, status: int, content: Any, headers: Mapping[str, str] | None = None, reason: str | None = None
    ) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        json_type = "application/vnd.pypi.simple.v1+json"
        self.send_response(status, reason)
        self.send_header("Content-Type", "text/plain" if isinstance(content, bytes) else json_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index: Trusting) -> None:
        self.index = index
        super().__init__(("127.0.0.1", 0), _Handler)


@contextmanager
def trusting(tls: Path | None = None) -> Iterator[Trusting]:
    """Such an index while the `with` statement lasts; with a certificate and its key over TLS."""
    index = Trusting()
    with _Server(index) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        index.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield index
        finally:
            server.shutdown()


def certificate(directory: Path) -> Path:
    """A private certificate authority that is its own server: key and certificate in one file."""
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=loopback -addext"
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        [*words.split(), "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    both = directory / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both
