"""Who is uploading: found in a fixed, printed order, and never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.errors import Refused
from relnox.indexes.targets import PRODUCTION, TEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.indexes.targets import Target

__all__ = ["Credentials", "Secret", "find"]

TOKEN_USER = "__token__"  # noqa: S105 - the user name that goes with any token
_USUAL_VARIABLE = {PRODUCTION: "PYPI_TOKEN", TEST: "TEST_PYPI_TOKEN"}


class Secret:
    """A text that no message, representation or serialisation shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text; for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not stored")


@dataclass(frozen=True)
class Credentials:
    """User name and password or token, and where they were found."""

    user: str
    secret: Secret
    origin: str


def variables(target: str) -> tuple[str, ...]:
    """The variables that may hold a token for an index, in the order they are asked."""
    own = f"RELNOX_{target.upper().replace('-', '_').replace('.', '_')}_TOKEN"
    return (own, _USUAL_VARIABLE[target]) if target in _USUAL_VARIABLE else (own,)


def find(target: Target, environment: Mapping[str, str]) -> Credentials:
    """Credentials for an index.

    Asked in this order: the index's token variables, `TWINE_USERNAME` and `TWINE_PASSWORD`, the index's
    section of `.pypirc`, the keyring, and Trusted Publishing where the CI engine gives an identity.

    Raises:
        Refused: There are none.
    """
    for name in variables(target.name):
        if token := environment.get(name):
            return Credentials(TOKEN_USER, Secret(token), name)
    if password := environment.get("TWINE_PASSWORD"):
        user = environment.get("TWINE_USERNAME") or TOKEN_USER
        return Credentials(user, Secret(password), "TWINE_PASSWORD")
    return _from_twine(target, environment)


def _from_twine(target: Target, environment: Mapping[str, str]) -> Credentials:
    """What twine itself would find, for the address that relnox resolved."""
    from twine import auth, exceptions, utils

    section = utils.get_config(environment.get("TWINE_CONFIG_FILE") or utils.DEFAULT_CONFIG_FILE).get(
        target.name, {}
    )
    config = {**section, "repository": target.upload_url}
    resolver = auth.Resolver.choose(interactive=False)(config, auth.CredentialInput())
    try:
        user, password = resolver.username, resolver.password
    except (exceptions.NonInteractive, exceptions.TrustedPublishingFailure, OSError) as error:
        raise _none(target) from error
    if not password:
        raise _none(target)
    origin = "~/.pypirc" if section.get("password") else "keyring or Trusted Publishing"
    return Credentials(user or TOKEN_USER, Secret(password), origin)


def _none(target: Target) -> Refused:
    asked = ", ".join(variables(target.name))
    return Refused(
        f"there are no credentials for {target.name}",
        hint=f"set {asked} to a token, or use ~/.pypirc, the keyring or Trusted Publishing",
    )
