"""Environment variables that hold credentials, recognized by patterns of names and values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(
    r"(TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|CREDENTIALS?|API_?KEYS?|PRIVATE_?KEY|ACCESS_?KEY)(?![A-Z])"
    r"|(^|_)(AUTH|JWT|NETRC|PASS|PAT)(?![A-Z])"
    r"|_PWD$"
    r"|(^|_)(AGE|DEPLOY|ENCRYPTION|GPG|MASTER|PGP|SIGNING|SSH)_?KEY(?![A-Z])",
    re.ASCII,
)
"""Words end where no letter follows: TOKENIZERS_PARALLELISM, GIT_AUTHOR_NAME and PATH do not match."""
_UPLOAD_TOOLS = ("TWINE_", "UV_PUBLISH_", "PDM_PUBLISH_", "HATCH_INDEX_", "POETRY_PYPI_", "ACTIONS_ID_TOKEN_")
"""Settings of upload tools: a user name or the path of a configuration file is half of a credential."""
_UPLOAD_NAME = re.compile(
    r"(TWINE|UV_PUBLISH|PDM_PUBLISH|FLIT|MATURIN)_PASSWORD"
    r"|UV_PUBLISH_TOKEN|HATCH_INDEX_AUTH|POETRY_PYPI_TOKEN_\w+"
    r"|RELNOX_\w+_TOKEN|(\w+_)?PYPI_(API_)?TOKEN"
    r"|ACTIONS_ID_TOKEN_REQUEST_TOKEN|(\w+_)?ID_TOKEN(_\d+)?|CI_JOB_JWT(_\w+)?",
    re.ASCII,
)
"""Passwords and tokens for an index, and identity tokens that can be exchanged for one."""
_UPLOAD_TOKEN = re.compile(r"(?<![\w./-])pypi-\w{16,}", re.ASCII)
_TOKEN = re.compile(
    r"(?<![\w./-])pypi-\w{16,}"
    r"|gh[pousr]_\w{20,}|github_pat_\w{20,}"
    r"|gl(?:agent|cbt|dt|ft|imt|pat|ptt|rt|soat)-[\w-]{20,}"
    r"|npm_\w{36}|xox[abeprs]-[\w-]{16,}|sk_live_\w{24,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]: *\w+ ",
    re.ASCII,
)
_USER_IN_URL = re.compile(r"https?://[^/\s@]+@|://[^/\s:@]*:[^/\s@]+@", re.ASCII)
_PROXY = re.compile(r"(\w+_)?PROXY", re.ASCII)
"""Proxies are kept, even with passwords: downloads need them."""
_ASSIGNMENT = re.compile(r"(\w+)=[\"']?([^\s\"';&|]+)", re.ASCII)
"""As in `bash -c 'NAME=value program'`."""
_MIN_COPY = 8
"""Characters: a shorter value may be part of an unrelated one."""


def credentials(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that hold a credential of any kind, or lead to one."""
    return upload_credentials(variables) | {
        name
        for name, value in variables.items()
        if _NAME.search(name.upper())
        or is_upload_setting_name(name)
        or _TOKEN.search(value)
        or ("@" in value and _USER_IN_URL.search(value) and not _PROXY.fullmatch(name.upper()))
    }


def upload_credentials(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that allow uploads, copies under other names included."""
    names = {
        name
        for name, value in variables.items()
        if value and (is_upload_credential_name(name) or _UPLOAD_TOKEN.search(value))
    }
    values = [variables[name] for name in names if len(variables[name]) >= _MIN_COPY]
    return frozenset(
        names | {name for name, value in variables.items() if any(secret in value for secret in values)}
    )


def is_upload_credential_name(name: str) -> bool:
    """Return whether an environment variable with this name holds an upload credential."""
    return _UPLOAD_NAME.fullmatch(name.upper()) is not None


def is_upload_setting_name(name: str) -> bool:
    """Return whether an environment variable with this name is a setting of an upload tool."""
    return name.upper().startswith(_UPLOAD_TOOLS)


def in_arguments(arguments: Sequence[str], secrets: Sequence[str]) -> tuple[str, ...]:
    """Describe the upload credentials in a command line, without their values; `secrets` are known values."""
    names: dict[str, None] = {}
    for argument in arguments:
        for name, value in _ASSIGNMENT.findall(argument):
            if is_upload_credential_name(name) and not value.startswith("$"):
                names[name] = None
        has_secret = any(secret in argument for secret in secrets if len(secret) >= _MIN_COPY)
        if not names and (has_secret or _UPLOAD_TOKEN.search(argument)):
            names["an upload token"] = None
    return tuple(names)
