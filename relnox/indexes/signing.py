"""Signatures of files by the current CI job (PEP 740), created by pypi-attestations and sigstore.

`relnox.system.network` sends the requests of these packages, with its timeouts and errors.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from relnox.core import fixes
from relnox.errors import Blocked, Failed
from relnox.indexes.attestations import silence_loggers, subject
from relnox.system import network
from relnox.system.network import TransientError
from relnox.system.secrets import mask_to_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from requests import Response
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer

    from relnox.core.release.manifest import Distribution
    from relnox.indexes.identities import Identity

_REKOR_VERSION = 1
"""The version of the transparency log whose entries have the signing time, which PEP 740 does not store."""


class Signatory:
    """A signer of files with the identity of the current CI job.

    A certificate is valid for ten minutes, and is used for all files that are signed during this time, in any
    thread.

    Args:
        identify: Returns an OIDC identity token for `SIGNING_AUDIENCE`, or the reason why there is none. It is
            called for each certificate; some CI providers issue only one token per job.
    """

    def __init__(self, identify: Callable[[], Identity | str]) -> None:
        self._identify = identify
        self._signer: Signer | None = None
        self._trust: ClientTrustConfig | None = None
        self._opening = threading.Lock()

    def sign(self, file: Distribution) -> bytes:
        """Sign a file without retries, and return the content of the attestation file.

        Raises:
            TransientError: A retry may succeed.
            Blocked: The CI job has no identity, or one that indexes reject.
            Failed: The signing service rejected the request, or its response is not valid.
        """
        from pypi_attestations import Attestation, AttestationError
        from sigstore._internal.fulcio import ExpiredCertificate  # noqa: PLC2701 - it has no public name
        from sigstore.oidc import ExpiredIdentity

        with _translate_errors():
            try:
                return Attestation.sign(self._get_signer(), subject(file)).model_dump_json().encode()
            except AttestationError as error:
                if not isinstance(error.__context__, ExpiredCertificate | ExpiredIdentity):
                    raise
                with self._opening:
                    self._signer = None
                raise TransientError("signing-unavailable", "the signing certificate has expired") from error

    def _get_signer(self) -> Signer:
        """Return the signer that all threads share; create it if there is none."""
        with self._opening:
            if self._signer is None:
                self._signer = self._new_signer()
            return self._signer

    def _new_signer(self) -> Signer:
        """Return a signer for the identity of the CI job.

        Raises:
            Blocked: The job has no identity.
        """
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext

        self._trust = self._trust or _trust_config()
        self._trust.force_tlog_version = _REKOR_VERSION
        settings = self._trust.signing_config
        authority, log = settings.get_fulcio(), settings.get_tlogs()[0]
        authority.session = _HttpSession()  # type: ignore[assignment]
        log._thread_local = SimpleNamespace(session=_HttpSession())  # type: ignore[attr-defined]  # noqa: SLF001
        context = SigningContext(fulcio=authority, rekor=log, trusted_root=self._trust.trusted_root)
        identity = self._identify()
        if isinstance(identity, str):
            raise Blocked(
                "identity-missing",
                f"files cannot be signed: {identity}",
                fix="publish from a CI provider that issues identity tokens",
            )
        return Signer(IdentityToken(identity.token.reveal()), context)


class _HttpSession:
    """A replacement for the session of sigstore's clients, which sends requests by `relnox.system.network`."""

    def post(self, url: str, *, headers: Mapping[str, str] | None = None, **document: Any) -> Response:
        """Send a JSON document, which is the argument `data` (encoded) or `json` (to be encoded)."""
        default = {"Content-Type": "application/json", "Accept": "application/json"}
        body: str = document["data"] if "data" in document else json.dumps(document["json"])
        return network.send_once("POST", url, headers={**default, **(headers or {})}, body=body.encode())

    def close(self) -> None:
        """Do nothing: connections are shared."""


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert the errors of pypi-attestations and sigstore in the block to errors of relnox."""
    from pypi_attestations import AttestationError
    from sigstore._internal.fulcio.client import FulcioClientError  # noqa: PLC2701 - as above
    from sigstore._internal.rekor import RekorClientError  # noqa: PLC2701 - as above
    from sigstore.errors import Error
    from sigstore.oidc import IdentityError

    silence_loggers()
    try:
        yield
    except (FulcioClientError, RekorClientError) as error:
        raise _signing_rejected(error) from error
    except IdentityError as error:
        raise Failed(
            "identity-missing",
            f"the identity token of this job cannot be used for signing: {mask_to_one_line(str(error))}",
            fix="check that the clock of this machine is correct, then rerun the command",
        ) from error
    except (AttestationError, Error) as error:
        raise Failed(
            "attestation-invalid",
            f"the response of the signing service is not valid: {mask_to_one_line(str(error))}",
            fix=f"update sigstore and its keys: {fixes.install_command('sigstore', upgrade=True)}",
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # an incomplete response, or not JSON
        raise TransientError(
            "index-unavailable", f"the response of the signing service cannot be parsed ({type(error).__name__})"
        ) from error


def _signing_rejected(error: Exception) -> Failed:
    """Return the error for a request that the signing service rejected, with the text of its response if any."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__cause__
    response = getattr(cause, "response", None)
    without = "publish without attestations: --attestations off (they cannot be added later)"
    if response is None:
        reason, fix = mask_to_one_line(str(error)), without
    else:
        text = mask_to_one_line(response.text)
        reason, fix = f"{response.status_code} {response.reason or ''} {text}".strip(), without
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            check = "check that the CI provider is supported, and that the clock of this machine is correct"
            fix = f"{check}; or {without}"
    return Failed("signing-unavailable", f"the signing service rejected the request: {reason}", fix=fix)


def _trust_config() -> ClientTrustConfig:
    """Return the keys and URLs of the signing service; update them first if it can be reached."""
    from sigstore.errors import TUFError
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.production()
    except TUFError:  # with outdated keys, verification after signing would fail
        return ClientTrustConfig.production(offline=True)
