"""Environment variables for the programs that relnox runs, without credentials or redirection to other indexes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from relnox.core.credential_variables import find_credentials, find_upload_credentials, is_upload_setting_name

_FOREIGN_PREFIXES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "COVERAGE_")
_REDIRECTING_PREFIXES = ("PIP_", "UV_")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PASSED_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PIP_CERT", "UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
_INSTALLER_VARIABLES = r"(?a)(PIP_|UV_(?!PUBLISH_)|GIT_CONFIG_)\w+|NETRC|SSH_AUTH_SOCK"
"""Matches variables that an installer needs to log in to a private index or repository."""


def clean_environment(
    base: Mapping[str, str],
    *,
    own_indexes: bool = False,
    passed: Collection[str] = (),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment for a program that must not see credentials.

    Variables that hold credentials (see `core.credential_variables`), and those that change where Python imports
    modules from, are removed. Variables for proxies and certificates are kept, but no proxy is used for loopback
    addresses. Python programs read and write UTF-8.

    Args:
        base: The variables to start from.
        own_indexes: Whether pip and uv use the user's configuration, including credentials for indexes. If False,
            no variable or configuration file can make them use other indexes than those on their command line.
        passed: Names of variables to keep although they look like credentials; upload credentials are never kept.
        more: Variables to add or replace.
    """
    hidden_names, never = find_credentials(base), find_upload_credentials(base)
    dropped_prefixes = _FOREIGN_PREFIXES + (() if own_indexes else _REDIRECTING_PREFIXES)

    def is_passed(name: str) -> bool:
        if name in never or is_upload_setting_name(name):
            return False
        if name in _PASSED_VARIABLES or name in passed:
            return True
        of_installer = own_indexes and re.fullmatch(_INSTALLER_VARIABLES, name) is not None
        return not name.startswith(dropped_prefixes) and (of_installer or name not in hidden_names)

    kept_variables = {name: value for name, value in base.items() if is_passed(name)}
    isolation = {} if own_indexes else {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return (
        kept_variables
        | isolation
        | _no_proxy_for_loopback(kept_variables)
        | {"PYTHONUTF8": "1"}
        | dict(more or {})
    )


def search_path(variables: Mapping[str, str]) -> str:
    """Return the `PATH` in which the programs installed next to relnox's own interpreter come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])


def _no_proxy_for_loopback(base: Mapping[str, str]) -> dict[str, str]:
    """Return `no_proxy` and `NO_PROXY` with the loopback addresses added, so that local indexes can be reached."""
    # Without variables for proxies there are none: `NO_PROXY` alone would disable the system's proxy settings.
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in base):
        return {}
    excluded_hosts = ",".join(filter(None, [base.get("no_proxy"), base.get("NO_PROXY")]))
    hosts = [host for host in map(str.strip, excluded_hosts.split(",")) if host]
    merged_hosts = hosts if "*" in hosts else [*dict.fromkeys([*hosts, *_LOOPBACK])]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(merged_hosts))


def without_upload_credentials(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without upload credentials, which only relnox uses; those of git are kept."""
    never = find_upload_credentials(base)
    return {name: value for name, value in base.items() if name not in never and not is_upload_setting_name(name)}
