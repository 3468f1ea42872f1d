"""Credentials in the user's files `.pypirc` and `.netrc`."""

from __future__ import annotations

import base64
import configparser
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relnox.errors import Blocked
from relnox.system import network
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest

    from relnox.indexes.targets import Target


class Login:
    """A user name and a secret, which can be the `auth` of a request.

    Args:
        user: The user name, or `__token__` for a token.
        secret: The password or token.
    """

    def __init__(self, user: str, secret: Secret) -> None:
        self.user = user
        self.secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the `Authorization` header (RFC 7617) to a request, and return the request."""
        encoded_login = base64.b64encode(f"{self.user}:{self.secret.reveal()}".encode())
        request.headers["Authorization"] = _MaskedHeader(f"Basic {encoded_login.decode()}")
        del encoded_login  # tracebacks may show variables
        return request


def netrc_login(target: Target, environment: Mapping[str, str]) -> Login | None:
    """Return the login for the host of an index's simple API from `.netrc`, or from the file named by `NETRC`.

    Return None if there is no entry for the host, or if its URL is not encrypted. The entry `default` is not used.

    Raises:
        Blocked: The file cannot be parsed.
    """
    from netrc import NetrcParseError, netrc

    if not network.is_encrypted(target.simple_url):
        return None
    variable = environment.get("NETRC")
    for path in [Path(variable)] if variable else [Path("~/.netrc"), Path("~/_netrc")]:
        try:
            entry = netrc(path.expanduser()).hosts.get(urlsplit(target.simple_url).hostname or "")
        except (NetrcParseError, UnicodeDecodeError) as error:  # whose text quotes the line
            raise Blocked(
                "credentials-missing",
                f"{path} cannot be parsed ({type(error).__name__})",
                fix="correct the file; the format of an entry is: machine HOST login USER password PASSWORD",
            ) from None
        except (OSError, RuntimeError):  # no file, or no home directory
            continue
        return Login(entry[0] or entry[1], Secret(entry[2] or "")) if entry is not None else None
    return None


def undeclared_index_error(name: str, environment: Mapping[str, str]) -> Blocked | None:
    """Return the error for an index that is in `.pypirc` but not in the project's settings; otherwise None."""
    path = pypirc_path(environment)
    if name not in pypirc_section_names(path):
        return None
    return Blocked(
        "index-unknown",
        f"index {name} is in {path}, but not in the settings of this project",
        fix=f"add [tool.relnox.indexes.{name}] to pyproject.toml, with its URLs `upload` and `simple`; "
        f"the password can stay in {path}",
    )


class _MaskedHeader(str):
    """The value of a header with a masked `repr`, which tracebacks of third-party code may show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'"


class HiddenMapping(Mapping[str, str]):
    """A mapping whose `repr` does not show its values, for example in tracebacks."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._get, self._names = values.__getitem__, values.__iter__

    def __getitem__(self, name: str) -> str:
        return self._get(name)

    def __iter__(self) -> Iterator[str]:
        return self._names()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{len(self)} hidden values"


def pypirc_section(target: Target, path: str) -> HiddenMapping | None:
    """Return the values in an index's section of a `.pypirc`, as read by twine, or None if there is no section.

    Raises:
        Blocked: The file cannot be read.
    """
    from twine import exceptions, utils

    try:
        sections = utils.get_config(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, configparser.Error, exceptions.TwineException) as error:
        # The parser's text quotes the line, which may hold a password.
        raise Blocked(
            "pypirc-invalid",
            f"{path} cannot be read ({type(error).__name__})",
            fix="correct it; the format is documented at packaging.python.org",
        ) from None
    section = sections.get(target.name)
    return None if section is None else HiddenMapping({key: value for key, value in section.items() if value})


def pypirc_section_names(path: str) -> list[str]:
    """Return the names of all sections of a `.pypirc`, including those that `index-servers` does not list."""
    parser = configparser.RawConfigParser()
    with contextlib.suppress(OSError, ValueError, configparser.Error):
        parser.read(Path(path).expanduser(), encoding="utf-8")
    return parser.sections()


def pypirc_path(environment: Mapping[str, str]) -> str:
    """Return the path of the user's `.pypirc`."""
    return environment.get("TWINE_CONFIG_FILE") or "~/.pypirc"
