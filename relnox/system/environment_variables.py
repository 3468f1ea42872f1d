"""The environment variables of programs that relnox runs: without credentials, and without redirections."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from relnox.core.credential_variables import credentials, is_upload_setting_name, upload_credentials

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_FOREIGN_PREFIXES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "COVERAGE_")
_REDIRECTING_PREFIXES = ("PIP_", "UV_")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PASSED_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PIP_CERT", "UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
_INSTALLER_VARIABLES = re.compile(r"(PIP_|UV_(?!PUBLISH_)|GIT_CONFIG_)\w+|NETRC|SSH_AUTH_SOCK", re.ASCII)
"""Variables that an installer needs to log in to a private index or repository."""


def clean_environment(
    base: Mapping[str, str],
    *,
    own_indexes: bool = False,
    passed: Collection[str] = (),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return an environment for programs that must not see credentials.

    Variables that hold credentials (see `core.credential_variables`) and those that change where another Python
    imports from are left out. Proxies and certificates stay, but no proxy is used for loopback addresses. Output
    is UTF-8.

    Args:
        base: The variables to start from.
        own_indexes: Whether pip and uv read the user's configuration, credentials included. If not, no variable
            and no file redirects them to another index than the one on their command line.
        passed: Variables that stay although they look like credentials; those for uploads never stay.
        more: Variables to set.
    """
    hidden, never = _credentials(tuple(base.items()))
    dropped = _FOREIGN_PREFIXES + (() if own_indexes else _REDIRECTING_PREFIXES)

    def is_passed(name: str) -> bool:
        if name in never or is_upload_setting_name(name):
            return False
        if name in _PASSED_VARIABLES or name in passed:
            return True
        of_installer = own_indexes and _INSTALLER_VARIABLES.fullmatch(name) is not None
        return not name.startswith(dropped) and (of_installer or name not in hidden)

    variables = {name: value for name, value in base.items() if is_passed(name)}
    isolation = {} if own_indexes else {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return variables | isolation | _without_proxy_to_loopback(variables) | {"PYTHONUTF8": "1"} | dict(more or {})


def _without_proxy_to_loopback(base: Mapping[str, str]) -> dict[str, str]:
    """Return both cases of `NO_PROXY` with the loopback addresses, so that indexes on this machine are reached.

    Without a proxy variable nothing is set: `NO_PROXY` alone would disable the system's proxy settings.
    """
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in base):
        return {}
    excluded = ",".join(filter(None, [base.get("no_proxy"), base.get("NO_PROXY")]))
    hosts = [host for host in map(str.strip, excluded.split(",")) if host]
    merged = hosts if "*" in hosts else [*dict.fromkeys([*hosts, *_LOOPBACK])]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(merged))


def without_upload_credentials(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that any program may see: git keeps its credentials, but only relnox uploads."""
    _, never = _credentials(tuple(base.items()))
    return {name: value for name, value in base.items() if name not in never and not is_upload_setting_name(name)}


@lru_cache(maxsize=16)  # git is run many times with the same environment
def _credentials(variables: tuple[tuple[str, str], ...]) -> tuple[frozenset[str], frozenset[str]]:
    environment = dict(variables)
    return credentials(environment), upload_credentials(environment)
