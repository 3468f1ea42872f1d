"""Who is uploading: found in a fixed, printed order, and never shown.

Where a credential is found never decides where files go: one of another index is not sent to this one.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relnox import network
from relnox.errors import Blocked
from relnox.indexes.targets import PRODUCTION, TEST, means, shown
from relnox.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import PreparedRequest

    from relnox.indexes.targets import Target

__all__ = [
    "TOKEN_USER",
    "Credentials",
    "Login",
    "NoCredentials",
    "Secret",
    "find",
    "for_reading",
    "only_in_pypirc",
    "variables",
]

TOKEN_USER = "__token__"  # noqa: S105 - the user name that goes with any token
_NO_TEXT = re.compile("[\ud800-\udfff]")
"""What the bytes of a variable become that are no text (PEP 383)."""
_USUAL_VARIABLE = {PRODUCTION: "PYPI_TOKEN", TEST: "TEST_PYPI_TOKEN"}


class NoCredentials(Blocked):
    """Nobody who may upload was found; the message says where was looked."""


class Login:
    """What one upload is sent with: the `auth` of a request.

    Args:
        user: The user's name; `__token__` for a token.
        secret: The password or token.
    """

    def __init__(self, user: str, secret: Secret) -> None:
        self.user = user
        self.secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request (RFC 7617)."""
        coded = base64.b64encode(f"{self.user}:{self.secret.reveal()}".encode())
        request.headers["Authorization"] = _Header(f"Basic {coded.decode()}")
        del coded
        return request


class Credentials:
    """Who uploads to an index, and where that was found.

    Args:
        user: The user's name; `__token__` for a token.
        secret: The password or token, or what gives one for a project by its normalised name.
        origin: Where it was found, in words.
        trusted: Whether it is minted for the job that is running (Trusted Publishing).
    """

    def __init__(
        self, user: str, secret: Secret | Callable[[str], Secret], origin: str, *, trusted: bool = False
    ) -> None:
        self.user = user
        self.origin = origin
        self.trusted = trusted
        self._secret = secret

    def login(self, project: str) -> Login:
        """What to upload a file of a project with, good for at least as long as a file takes.

        It is asked anew before each file, from any thread: tokens that the index mints do not last.

        Raises:
            RelnoxError: The index mints no token; see `trusted_publishing`.
        """
        return Login(self.user, self._secret if isinstance(self._secret, Secret) else self._secret(project))

    @property
    def secret(self) -> Secret:
        """The password or token for no project in particular."""
        return self.login("").secret

    def __repr__(self) -> str:
        return f"Credentials({self.user!r}, {self.origin!r})"


def variables(target: str) -> tuple[str, ...]:
    """The variables that may hold a token for an index, in the order they are asked."""
    own = f"RELNOX_{target.upper().replace('-', '_').replace('.', '_')}_TOKEN"
    return (own, _USUAL_VARIABLE[target]) if target in _USUAL_VARIABLE else (own,)


def find(target: Target, environment: Mapping[str, str]) -> Credentials:
    """Credentials for an index.

    Asked in this order: the index's token variables, `TWINE_USERNAME` and `TWINE_PASSWORD`, the index's
    section of `.pypirc`, the keyring, and Trusted Publishing where the CI engine gives an identity.

    Raises:
        NoCredentials: There are none; it says where was looked, in this order, and what was there.
        Blocked: Those there are belong to another index, an identity is one that no index takes, or they would be
            sent over plain http.
    """
    if not network.is_encrypted(target.upload_url):
        raise Blocked(
            "todo",
            f"no credential is sent to {target.name} ({target.host}) over http, which is not encrypted",
            fix=f"write https:// into upload of [tool.relnox.indexes.{target.name}]",
        )
    environment = _Unshown(environment)
    looked: list[str] = []
    for ask in (_from_token_variables, _from_twine_variables, _from_pypirc, _from_keyring, _from_identity):
        found = ask(target, environment)
        if isinstance(found, Credentials):
            return found
        looked.append(found)
    own = variables(target.name)[0]
    raise NoCredentials(
        "todo",
        "\n".join(
            [f"there are no credentials for {target.name} ({target.host}):", *(f"  {each}" for each in looked)]
        ),
        fix=f"set {own} to a token, or use .pypirc, the keyring or Trusted Publishing",
    )


def for_reading(target: Target, environment: Mapping[str, str]) -> Login | None:
    """The login that `.netrc` (or the file that `NETRC` names) has for the host of an index's simple API.

    The entry `default` is not used, and nothing over plain http.

    Raises:
        Blocked: The file cannot be parsed.
    """
    from netrc import NetrcParseError, netrc
    from pathlib import Path

    if not network.is_encrypted(target.simple_url):
        return None
    stated = environment.get("NETRC")
    for path in [Path(stated)] if stated else [Path("~/.netrc"), Path("~/_netrc")]:
        try:
            entry = netrc(path.expanduser()).hosts.get(urlsplit(target.simple_url).hostname or "")
        except (NetrcParseError, UnicodeDecodeError) as error:  # in other words: the parser's quote the line
            raise Blocked(
                "todo",
                f"{path} cannot be parsed ({type(error).__name__})",
                fix="correct it: machine HOST login USER password PASSWORD",
            ) from None
        except (OSError, RuntimeError):  # it is not there, or nobody is at home
            continue
        return Login(entry[0] or entry[1], Secret(entry[2] or "")) if entry is not None else None
    return None


def only_in_pypirc(name: str, environment: Mapping[str, str]) -> Blocked | None:
    """The refusal for an index that is known to the user's `.pypirc` and not to the project, if it is one."""
    path = _pypirc(environment)
    if name not in _sections(path):
        return None
    return Blocked(
        "todo",
        f"{path} knows an index called {name}, and this project does not: its settings alone say where files go",
        fix=f"write upload and simple into [tool.relnox.indexes.{name}] of pyproject.toml; the password may stay",
    )


def _from_token_variables(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    for name in variables(target.name):
        if _legible(environment, name).strip():
            return Credentials(TOKEN_USER, Secret(environment[name].strip()), name)
    return f"{' and '.join(variables(target.name))}: not set"


def _legible(environment: Mapping[str, str], name: str) -> str:
    """What a variable holds; nothing where it is not set.

    Raises:
        Blocked: Its bytes are no text, and HTTP could not send them.
    """
    if _NO_TEXT.search(environment.get(name, "")):
        raise Blocked("todo", f"what {name} holds is not in UTF-8", fix=f"set {name} again")
    return environment.get(name, "")


def _from_twine_variables(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    if not _legible(environment, "TWINE_PASSWORD"):
        return "TWINE_PASSWORD: not set"
    for name in ("TWINE_REPOSITORY_URL", "TWINE_REPOSITORY"):
        if (value := environment.get(name)) and not means(value, target):
            return f"TWINE_PASSWORD: it goes with {name}, which names {shown(value)}"
    user = _legible(environment, "TWINE_USERNAME") or TOKEN_USER
    return Credentials(user, Secret(environment["TWINE_PASSWORD"]), "TWINE_PASSWORD")


def _from_pypirc(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    path = _pypirc(environment)
    section = _section(target, path)
    if section is None and target.name in _sections(path):
        return (
            f"{path}: it has [{target.name}], which counts once index-servers of [distutils] names {target.name}"
        )
    if section is None:
        return f"{path}: no section [{target.name}]"
    if not section.has("password"):
        return f"{path}: no password in [{target.name}]"
    if (repository := section.get("repository")) and not means(repository, target):
        raise Blocked(
            "todo",
            f"[{target.name}] of {path} is about {shown(repository)}, and {target.name} is {target.host}: "
            "its password is for another index",
            fix=f"correct repository in [{target.name}], or call that index by another name: "
            "[tool.relnox.indexes.NAME] and --index NAME",
        )
    user = section.get("username") or TOKEN_USER
    return Credentials(user, Secret(section.get("password")), path)


def _from_keyring(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    """Asked as twine asks it, for the address that relnox resolved."""
    try:
        import keyring
        from keyring.errors import NoKeyringError
    except ModuleNotFoundError:  # it is twine's, on most platforms
        return "keyring: not installed"
    section = _section(target, _pypirc(environment))
    user = _legible(environment, "TWINE_USERNAME") or (section.get("username") if section else "")
    address = target.upload_url
    try:
        if not user and (known := keyring.get_credential(address, None)) is not None:
            return Credentials(known.username or TOKEN_USER, Secret(known.password), "keyring")
        user = user or TOKEN_USER
        secrets = [Secret(text) for text in (keyring.get_password(address, user),) if text]
    except NoKeyringError:
        return "keyring: there is none"
    except Exception as error:  # noqa: BLE001 - a backend is anybody's code, and its error may quote the secret
        return f"keyring: it does not answer ({type(error).__name__})"
    return Credentials(user, secrets[0], "keyring") if secrets else f"keyring: nothing for {user} at {address}"


def _from_identity(target: Target, environment: Mapping[str, str]) -> Credentials | str:
    from relnox.indexes import trusted_publishing

    found = trusted_publishing.publisher(target.upload_url, target.name, environment)
    if isinstance(found, str):
        return f"Trusted Publishing: {found}"
    return Credentials(TOKEN_USER, found.token, f"Trusted Publishing, as {found.identity.told}", trusted=True)


class _Header(str):
    """A header's value that no traceback shows, though it is on its way through other people's code."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'"


class _Unshown(Mapping[str, str]):
    """Environment variables that no traceback prints."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._read, self._names = variables.__getitem__, variables.__iter__

    def __getitem__(self, name: str) -> str:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return self._names()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return "the environment"


class _Section:
    """The index's own section of a `.pypirc`. It is read when it is asked, and shows nothing."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self.get = read

    def has(self, key: str) -> bool:
        return bool(self.get(key))


def _section(target: Target, path: str) -> _Section | None:
    """The section of an index in a `.pypirc`, as twine reads it; None without one.

    Raises:
        Blocked: The file cannot be read.
    """
    import configparser

    from twine import exceptions, utils

    try:
        every = utils.get_config(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, configparser.Error, exceptions.TwineException) as error:
        # What is wrong is not told in the words of the parser: they quote the line, which may be a password's.
        raise Blocked(
            "todo",
            f"{path} cannot be read ({type(error).__name__})",
            fix="correct it; packaging.python.org tells its form",
        ) from None
    section = every.get(target.name)
    return None if section is None else _Section(lambda key: section.get(key) or "")


def _sections(path: str) -> list[str]:
    """Names of all sections of a `.pypirc`; twine passes those over that `index-servers` does not name."""
    import configparser
    from pathlib import Path

    parser = configparser.RawConfigParser()
    with contextlib.suppress(OSError, ValueError, configparser.Error):
        parser.read(Path(path).expanduser(), encoding="utf-8")
    return parser.sections()


def _pypirc(environment: Mapping[str, str]) -> str:
    return environment.get("TWINE_CONFIG_FILE") or "~/.pypirc"
