"""An index that takes uploads with a password, and mints for every identity: credentials are proven against it."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from accounts import REJECTED, Accounts, Denied
from accounts import Identity as Sender
from package_index import Answer, PackageIndex, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from package_index import Request

AUDIENCE = "https://127.0.0.1"
GITLAB_VARIABLE = "HTTPS___127_0_0_1_ID_TOKEN"
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


class Trusting(PackageIndex):
    """An index with trusted publishing, and the CI provider that issues identities for it.

    Attributes:
        passwords: Who may upload.
        lifetime: Seconds for which a minted token is good.
        errors: Codes that the next mints are refused with.
        claims: What identities say besides the usual.
        token: A minted token, with its number.
        minted: Tokens, in order.
        identities: Identities that were issued, in order.
        seen: Those that were exchanged.
    """

    def __init__(self, *passwords: str, tls: Path | None = None) -> None:
        super().__init__(accounts=_Passwords(self), tls=tls)
        self.passwords = set(passwords)
        self.lifetime = 900
        self.errors: list[str] = []
        self.claims: dict[str, str] = {}
        self.token = "minted-{}"
        self.minted: list[str] = []
        self.identities: list[str] = []
        self.seen: set[str] = set()
        self._jtis = count(1)
        self._minting = threading.Lock()

    @property
    def logins(self) -> list[tuple[str, str]]:
        """User and password of each upload."""
        return [upload.login for upload in self.uploads]

    @property
    def requests(self) -> list[str]:
        """Method and path of each request."""
        return [f"{request.method} {urlsplit(request.target).path}" for request in self.log]

    def settings(self, name: str = "house", *, production: bool = False) -> str:
        """The index as a table of `[tool.relnox]`."""
        return (
            f'[tool.relnox.indexes.{name}]\nupload = "{self.upload_url}"\nsimple = "{self.simple_url}"\n'
            f"production = {str(production).lower()}\n"
        )

    def answer(self, request: Request) -> Answer:
        """The endpoints of trusted publishing, and that of GitHub's runner for identities."""
        url = urlsplit(request.target)
        if request.kind == "audience":
            return as_json({"audience": AUDIENCE})
        if url.path == "/identity" and request.headers.get("authorization") == f"bearer {REQUEST_TOKEN}":
            with self._minting:
                token = identity(f"jti-{next(self._jtis)}", parse_qs(url.query)["audience"][0], **self.claims)
                self.identities.append(token)
            return as_json({"value": token})
        return super().answer(request)

    def mint(self, body: bytes) -> Answer:
        token = json.loads(body)["token"]
        with self._minting:
            jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
            code = self.errors.pop(0) if self.errors else "invalid-reuse-token" if jti in self.seen else None
            if code == "503":
                return as_json({}, 503, "Service Unavailable")
            if code is not None:
                errors = [{"code": code, "description": f"{code} {token}"}]
                return as_json({"message": "no", "errors": errors}, 422, "Unprocessable Content")
            self.seen.add(jti)
            self.minted.append(self.token.format(len(self.minted) + 1))
            self.passwords.add(self.minted[-1])
            expires = int(time.time()) + self.lifetime
            return as_json({"success": True, "token": self.minted[-1], "expires": expires})


class _Passwords(Accounts):
    """The user with one of the index's passwords."""

    def __init__(self, index: Trusting) -> None:
        super().__init__()
        self._index = index

    def identify(self, user: str, password: str) -> Sender:
        if password not in self._index.passwords:
            raise Denied(403, REJECTED)
        return Sender(user="everybody")


trusting = Trusting


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
