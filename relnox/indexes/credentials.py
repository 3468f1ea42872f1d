"""Credentials for indexes, looked up in a fixed order and never printed.

Credentials for one index are never used for another one.
"""

from __future__ import annotations

import configparser
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import entry_points
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.auth import HTTPBasicAuth

from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.indexes import trusted_publishing
from relnox.indexes.targets import PRODUCTION, TEST, Target, name_or_host
from relnox.system import addresses
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

TOKEN_USER = "__token__"  # noqa: S105 - the user name for tokens
_KEYRING_PLATFORMS = {"macOS": "darwin", "Windows": "win32"}
"""The platforms of the keyring's backends that work on one only, by entry point."""
_COMMON_VARIABLE = {PRODUCTION: "PYPI_TOKEN", TEST: "TEST_PYPI_TOKEN"}


class CredentialsNotFound(Blocked):
    """The error for missing credentials; its message lists the places that were searched."""


class Credentials(Record):
    """Credentials for uploads to an index.

    Attributes:
        user: The user name, or `__token__` for a token.
        password: The password or token, or a function that returns one for the normalized name of a project.
        origin: The place where the credentials were found, for messages.
        uses_oidc: Whether the index issues tokens for the identity of the current CI job (Trusted Publishing).
    """

    user: str
    password: Secret | Callable[[str], Secret]
    origin: str
    uses_oidc: bool = False

    def secret(self, project: str) -> Secret:
        """Return the password or token for uploading a file of a project (by its normalized name).

        Call this before each upload, in any thread: an expired token is requested again, with the errors of
        `TokenProvider.token`.
        """
        return self.password if isinstance(self.password, Secret) else self.password(project)


class Login(HTTPBasicAuth):
    """HTTP basic authentication for `requests`; its secret is masked in output as long as this object exists."""

    def __init__(self, user: str, secret: Secret) -> None:
        # The bytes of environment variables that are not UTF-8 are sent as they are (PEP 383).
        super().__init__(*(text.encode(errors="surrogateescape") for text in (user, secret.reveal())))
        self._secret = secret


def token_variables(index: str) -> tuple[str, ...]:
    """Return the environment variables that may contain a token for an index, in order of precedence.

    For `testpypi`, they are `RELNOX_TESTPYPI_TOKEN` and `TEST_PYPI_TOKEN`, and likewise for `pypi`; for other
    names, there is only the first.
    """
    variable = f"RELNOX_{index.upper().replace('-', '_').replace('.', '_')}_TOKEN"
    return (variable, _COMMON_VARIABLE[index]) if index in _COMMON_VARIABLE else (variable,)


def find_credentials(target: Target, environment: Mapping[str, str], *, is_chosen: bool = False) -> Credentials:
    """Find credentials for uploads to an index.

    The order of the search is: the index's token variables, `TWINE_USERNAME` and `TWINE_PASSWORD`, the index's
    section of `.pypirc`, Trusted Publishing if the CI provider issues an identity token, and the keyring.

    If no variable of twine names an index, `TWINE_PASSWORD` is used for PyPI, TestPyPI, and an index that the
    user, not the settings of the checkout, selected (`is_chosen`).

    Raises:
        CredentialsNotFound: There are no credentials.
        Blocked: The credentials are for another index or are not readable, would be sent over plain http, or the
            identity of the CI job cannot be used (see `token_provider`).
        TransientError: The index or the CI provider does not respond.
    """
    if not addresses.is_encrypted_url(target.upload_url):
        raise Blocked(
            "connection-not-encrypted",
            f"credentials cannot be sent to {target.name} ({target.host}) over http, which is not encrypted",
            fix=f"use an https:// URL for `upload` in [tool.relnox.indexes.{target.name}]",
        )
    reasons: list[str] = []
    from_twine_variables = partial(_find_in_twine_variables, is_chosen=is_chosen)
    for search in (
        _find_in_token_variables,
        from_twine_variables,
        _find_in_pypirc,
        _find_trusted_publishing,
        _find_in_keyring,
    ):
        result = search(target, environment)
        if isinstance(result, Credentials):
            return result
        reasons.append(result)
    raise CredentialsNotFound(
        "credentials-missing",
        "\n".join([f"no credentials for {target.name} ({target.host}):", *(f"  {reason}" for reason in reasons)]),
        fix=f"set {token_variables(target.name)[0]} to a token, or use .pypirc, the keyring or Trusted Publishing",
    )


def _find_in_token_variables(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    """Return the credentials in the index's token variables, or the reason why there are none."""
    for name in token_variables(target.name):
        if token := environment.get(name, "").strip():
            return Credentials(TOKEN_USER, Secret(token), name)
    return f"{' and '.join(token_variables(target.name))}: not set"


def _find_in_twine_variables(
    target: Target, environment: Mapping[str, str], *, is_chosen: bool
) -> Credentials | str:
    """Return the credentials in `TWINE_USERNAME` and `TWINE_PASSWORD`, or the reason why none are for this index.

    If no variable of twine names an index, they are for PyPI, TestPyPI, and an index that the user selected
    (`is_chosen`).
    """
    if not (password := environment.get("TWINE_PASSWORD")):
        return "TWINE_PASSWORD: not set"
    names = [name for name in ("TWINE_REPOSITORY_URL", "TWINE_REPOSITORY") if environment.get(name)]
    for name in names:
        if not target.matches_name_or_url(environment[name]):
            return f"TWINE_PASSWORD: for another index ({name} is {name_or_host(environment[name])})"
    if not names and not is_chosen and target.public_name is None:
        return f"TWINE_PASSWORD: for another index, without --index {target.name}"
    user = environment.get("TWINE_USERNAME") or TOKEN_USER
    return Credentials(user, Secret(password), "TWINE_PASSWORD")


def _find_in_pypirc(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    """Return the credentials in the user's `.pypirc`, or the reason why there are none.

    Raises:
        Blocked: The file cannot be parsed, or has credentials for another index under this name.
    """
    path, sections = _read_pypirc(environment)
    if target.name not in sections:
        return f"{path}: no section [{target.name}]"
    section = sections[target.name]
    if not (password := section.get("password")):
        return f"{path}: no password in [{target.name}]"
    repository = section.get("repository")
    if not repository and target.name not in (PRODUCTION, TEST):
        return f"{path}: no repository in [{target.name}], the URL that the password is for"
    if repository and not target.matches_name_or_url(repository):
        raise Blocked(
            "credentials-for-other-index",
            f"the password in [{target.name}] of {path} is for {name_or_host(repository)}, "
            f"but index {target.name} is {target.host}",
            fix=f"correct `repository` in [{target.name}]; or configure that index under another name: "
            "[tool.relnox.indexes.NAME] and --index NAME",
        )
    return Credentials(section.get("username") or TOKEN_USER, Secret(password), path)


def _read_pypirc(environment: Mapping[str, str]) -> tuple[str, configparser.RawConfigParser]:
    """Return the path and the sections of the user's `.pypirc`, also sections that `index-servers` does not list.

    The path is `TWINE_CONFIG_FILE`, by default `~/.pypirc`. If the file cannot be opened, there are no sections;
    if it cannot be parsed, `Blocked` is raised.
    """
    path = environment.get("TWINE_CONFIG_FILE") or "~/.pypirc"
    parser = configparser.RawConfigParser()
    try:
        with suppress(RuntimeError):  # no home directory
            parser.read(Path(path).expanduser(), encoding="utf-8")
    except (ValueError, configparser.Error) as error:  # whose text quotes the line, which may hold a password
        why, fix = "it is not in UTF-8", "save it in UTF-8"
        if not isinstance(error, ValueError):
            why = f"line {error.lineno} is not valid" if hasattr(error, "lineno") else "it is not an INI file"
            fix = "write a section for each index, such as [pypi], with username and password each in a line"
        raise Blocked("pypirc-invalid", f"{path} cannot be read ({why})", fix) from None
    return path, parser


def undeclared_index_error(name: str, environment: Mapping[str, str]) -> Blocked | None:
    """Return the error for an index that the project's settings lack, if `.pypirc` has it; otherwise None.

    The caller has looked for the name in the settings.

    Raises:
        Blocked: `.pypirc` cannot be parsed.
    """
    path, sections = _read_pypirc(environment)
    if name not in sections:
        return None
    return Blocked(
        "index-unknown",
        f"index {name} is in {path}, but not in the settings of this project",
        fix=f"add [tool.relnox.indexes.{name}] to pyproject.toml, with its URLs `upload` and `simple`; "
        f"the password can stay in {path}",
    )


def _find_trusted_publishing(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    """Return credentials for Trusted Publishing, or the reason why it cannot be used.

    Errors are those of `token_provider`.
    """
    provider = trusted_publishing.token_provider(target, environment)
    if isinstance(provider, str):
        return f"Trusted Publishing: {provider}"
    origin = f"Trusted Publishing, as {provider.identity.description}"
    return Credentials(TOKEN_USER, provider.token, origin, uses_oidc=True)


def _find_in_keyring(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    """Return the credentials that twine would find in the keyring, or the reason why there are none.

    They are looked up by the upload URL and by the user name in `TWINE_USERNAME` or `.pypirc`, if there is one. An
    error of the keyring is a reason, too.
    """
    _, sections = _read_pypirc(environment)
    own_user = sections.get(target.name, "username", fallback="")
    user = environment.get("TWINE_USERNAME") or own_user
    url = target.upload_url
    try:
        backends = _keyring_backends()
        for backend in backends:
            if not user and (credential := backend.get_credential(url, None)) is not None:
                return Credentials(credential.username or TOKEN_USER, Secret(credential.password), "keyring")
            if password := backend.get_password(url, user or TOKEN_USER):
                return Credentials(user or TOKEN_USER, Secret(password), "keyring")
    except ModuleNotFoundError:  # a dependency of twine on most platforms only
        return "keyring: not installed"
    except Exception as error:  # noqa: BLE001 - backends are third-party code; the text may quote the secret
        return f"keyring: error ({type(error).__name__})"
    return f"keyring: no entry for {user or TOKEN_USER} at {url}" if backends else "keyring: no backend"


def _keyring_backends() -> list[KeyringBackend]:
    """Return the configured backend of the keyring, or else those of this platform, the preferred one first.

    `keyring.get_keyring`, which twine calls, is not used: it imports the backends of all platforms, and one of
    them starts linkers on macOS, which delete `/dev/null` if the user is root.
    """
    from keyring import backend, core

    configured = core.load_env() or core.load_config()
    if configured is not None:
        return [configured]
    for entry_point in entry_points(group="keyring.backends"):
        # The chainer imports all others.
        if (
            entry_point.name != "chainer"
            and _KEYRING_PLATFORMS.get(entry_point.name, sys.platform) == sys.platform
        ):
            with suppress(Exception):  # a backend that cannot be loaded has no entry
                initialize = entry_point.load()
                if callable(initialize):
                    initialize()
    backends = (kind() for kind in backend.KeyringBackend.get_viable_backends())
    recommended = filter(core.recommended, backends)
    return sorted(recommended, key=backend.by_priority, reverse=True)


def netrc_login(target: Target, environment: Mapping[str, str]) -> Login | None:
    """Return the login for the host of an index's simple API from `.netrc`, or from the file named by `NETRC`.

    Return None if there is no file, no entry for the host (`default` is not used), or if the URL is not encrypted.

    Raises:
        Blocked: The file cannot be parsed.
    """
    paths = [environment["NETRC"]] if environment.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in paths if addresses.is_encrypted_url(target.simple_url) else ():
        try:
            entry = netrc(Path(path).expanduser()).hosts.get(urlsplit(target.simple_url).hostname or "")
        except (NetrcParseError, UnicodeDecodeError) as error:  # whose text quotes the line
            why = f"line {error.lineno}" if isinstance(error, NetrcParseError) else "it is not in UTF-8"
            raise Blocked(
                "credentials-missing",
                f"{path} cannot be parsed ({why})",
                fix="write each entry like: machine HOST login USER password PASSWORD",
            ) from None
        except (OSError, RuntimeError):  # no file, or no home directory
            continue
        return Login(entry[0] or entry[1], Secret(entry[2] or "")) if entry is not None else None
    return None
