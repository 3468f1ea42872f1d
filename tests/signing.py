"""A signing service on loopback: a certificate authority, a transparency log and the tokens of a CI provider.

Fulcio's and Rekor's parts of the protocol that a signature takes, with keys of their own. The trust in them is a
client's configuration as sigstore's own clients read it; nothing of pypi-attestations or sigstore is replaced but
that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sigstore.models import ClientTrustConfig

from relnox.core.release.publication import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REQUEST_TOKEN = "runner-request-0815"  # what GitHub's runner asks for an identity with

ISSUER = "https://token.actions.githubusercontent.com"
REPOSITORY = "acme/demo"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.0"
CLAIMS = {
    "iss": ISSUER,
    "sub": f"repo:{REPOSITORY}:environment:pypi",
    "repository": REPOSITORY,
    "workflow_ref": WORKFLOW,
    "job_workflow_ref": WORKFLOW,
    "ref": "refs/tags/v1.0",
    "sha": "3" * 40,
    "environment": "pypi",
}
PUBLISHER = Publisher(
    kind="GitHub", fields=(("repository", REPOSITORY), ("workflow", "release.yml"), ("environment", "pypi"))
)

_FULCIO = "1.3.6.1.4.1.57264.1"
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def identity_token(audience: str = "sigstore", **claims: str) -> str:
    """An identity token like those of GitHub, with an invalid signature."""
    now = int(time.time())
    times = {"iat": now, "nbf": now - 5, "exp": now + 300}
    body = {**CLAIMS, **claims, "aud": audience, "jti": uuid.uuid4().hex, **times}
    parts = [json.dumps(each).encode() for each in ({"alg": "RS256", "typ": "JWT"}, body)]
    coded = [base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts]
    return ".".join([*coded, base64.urlsafe_b64encode(b"signature").decode().rstrip("=")])


class Services:
    """The authority and the log; what they were asked, and what they do wrong.

    Attributes:
        url: Where both answer.
        asked: Path of each request for a signature.
        given: Identity tokens issued by the CI provider.
        claims: What they say besides the usual.
        faults: What the next requests are answered with instead: a status, `cut` for half an answer, `stall` for
            none.
        is_down: Whether every request is answered 502.
        names: Claims that the certificates have instead of those of the token.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.given: list[str] = []
        self.claims: dict[str, str] = {}
        self.faults: list[int | str] = []
        self.is_down: Callable[[], bool] = lambda: False
        self.over = threading.Event()
        self.names: dict[str, str] = {}
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._certificates_log_key = ec.generate_private_key(ec.SECP256R1())
        self._log_key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback authority")])
        now = datetime.now(UTC)
        key = self._authority_key.public_key()
        self.authority = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key)
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage_text(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )

    @property
    def trust(self) -> ClientTrustConfig:
        """How a client knows these services."""
        since = {"start": "2020-01-01T00:00:00Z"}
        key = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}

        def log(private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            return {
                "baseUrl": self.url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {**key, "rawBytes": _coded(_spki(private))},
                "logId": {"keyId": _coded(_digest(_spki(private)))},
            }

        def service(path: str = "") -> dict[str, Any]:
            return {"url": self.url + path, "majorApiVersion": 1, "validFor": since, "operator": "loopback"}

        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self._log_key)],
            "ctlogs": [log(self._certificates_log_key)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "loopback", "commonName": "loopback authority"},
                    "uri": self.url,
                    "certChain": {
                        "certificates": [{"rawBytes": _coded(self.authority.public_bytes(Encoding.DER))}]
                    },
                    "validFor": since,
                }
            ],
            "timestampAuthorities": [],
        }
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service()],
            "oidcUrls": [],
            "rekorTlogUrls": [service()],
            "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        media = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        return ClientTrustConfig.from_json(
            json.dumps({"mediaType": media, "trustedRoot": root, "signingConfig": signing})
        )

    def certify(self, request: Mapping[str, str], token: str) -> dict[str, Any]:
        """A certificate for the key of a signing request, about whom the token names (Fulcio)."""
        body = token.split(".")[1]
        claims = {**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))), **self.names}
        csr = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        now = datetime.now(UTC)
        extensions = {
            8: claims["iss"],
            9: f"https://github.com/{claims['job_workflow_ref']}",
            12: f"https://github.com/{claims['repository']}",
            13: claims["sha"],
            14: claims["ref"],
            18: f"https://github.com/{claims['workflow_ref']}",
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.authority.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=5))
            .not_valid_after(now + timedelta(seconds=600))
            .add_extension(_usage_text(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(extensions[9])]), critical=True
            )
        )
        for number, text in extensions.items():
            data = text.encode()
            oid = x509.ObjectIdentifier(f"{_FULCIO}.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _der(0x0C, data)), critical=False)
        promise = self._promise(builder.sign(self._authority_key, hashes.SHA256()).tbs_certificate_bytes)
        leaf = builder.add_extension(x509.UnrecognizedExtension(_SCTS, _der(0x04, promise)), critical=False).sign(
            self._authority_key, hashes.SHA256()
        )
        chain = [each.public_bytes(Encoding.PEM).decode() for each in (leaf, self.authority)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def record(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """Put a signature into the log (Rekor): each entry is a log of its own, of one entry."""
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        payload = base64.b64decode(envelope["payload"])
        (verifier,) = content["verifiers"]
        x509.load_pem_x509_certificate(base64.b64decode(verifier))
        body = _canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": _hex(content["envelope"].encode())},
                    "payloadHash": {"algorithm": "sha256", "value": _hex(payload)},
                    "signatures": [{"signature": envelope["signatures"][0]["sig"], "verifier": verifier}],
                },
            }
        )
        key_id = _digest(_spki(self._log_key))
        root = _digest(b"\0" + body)
        note = f"loopback\n1\n{_coded(root)}\n"
        signature = _coded(key_id[:4] + self._signed(self._log_key, note.encode()))
        entry: dict[str, Any] = {
            "body": _coded(body),
            "integratedTime": int(time.time()),
            "logID": key_id.hex(),
            "logIndex": 0,
        }
        entry["verification"] = {
            "signedEntryTimestamp": _coded(self._signed(self._log_key, _canonical(entry))),
            "inclusionProof": {
                "checkpoint": f"{note}\n\u2014 loopback {signature}\n",
                "hashes": [],
                "logIndex": 0,
                "rootHash": root.hex(),
                "treeSize": 1,
            },
        }
        return {_hex(body): entry}

    def _promise(self, certificate: bytes) -> bytes:
        """A list with one promise to log a certificate (RFC 6962, 3.2 and 3.3)."""
        stamp = int(time.time() * 1000)
        issuer = _digest(_spki(self._authority_key))
        entry = issuer + len(certificate).to_bytes(3, "big") + certificate
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + entry + b"\0\0"
        signature = self._signed(self._certificates_log_key, signed)
        log = _digest(_spki(self._certificates_log_key))
        promise = (
            b"\0" + log + struct.pack("!QH", stamp, 0) + b"\4\3" + len(signature).to_bytes(2, "big") + signature
        )
        listed = len(promise).to_bytes(2, "big") + promise
        return len(listed).to_bytes(2, "big") + listed

    @staticmethod
    def _signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        return key.sign(data, ec.ECDSA(hashes.SHA256()))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The CI provider: an identity token for each request."""
        url, services = urlsplit(self.path), self.server.services
        known = self.headers["Authorization"] == f"bearer {REQUEST_TOKEN}"
        if url.path != "/identity" or not known:
            self._answer(403, b"{}")
            return
        services.given.append(identity_token(parse_qs(url.query)["audience"][0], **services.claims))
        self._answer(200, json.dumps({"value": services.given[-1]}).encode())

    def do_POST(self) -> None:
        services = self.server.services
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        services.asked.append(self.path)
        fault = 502 if services.is_down() else services.faults.pop(0) if services.faults else None
        if isinstance(fault, int):
            self._answer(fault, b'{"code": 9, "message": "I refuse"}')
        elif fault == "stall":
            services.over.wait(60)
            self.close_connection = True
        elif self.path == "/api/v2/signingCert":
            token = self.headers["Authorization"].removeprefix("Bearer ")
            answer = json.dumps(services.certify(document, token)).encode()
            self._answer(200, answer[: len(answer) // 2] if fault == "cut" else answer)
        elif self.path == "/api/v1/log/entries":
            answer = json.dumps(services.record(document)).encode()
            self._answer(201, answer[: len(answer) // 2] if fault == "cut" else answer)
        else:
            self._answer(404, b"{}")

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, services: Services) -> None:
        self.services = services
        super().__init__(("127.0.0.1", 0), _Handler)


@contextmanager
def services() -> Iterator[Services]:
    """Such services while the `with` statement lasts."""
    made = Services()
    with _Server(made) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield made
        finally:
            made.over.set()
            server.shutdown()


def _usage_text(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _der(tag: int, data: bytes) -> bytes:
    """A value of ASN.1, by its distinguished encoding rules."""
    size = len(data)
    short = size < 128
    length = bytes([size]) if short else bytes([0x80 + (size.bit_length() + 7) // 8])
    return bytes([tag]) + length + (b"" if short else size.to_bytes((size.bit_length() + 7) // 8, "big")) + data


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    """JSON of RFC 8785, for documents of plain strings and whole numbers."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
