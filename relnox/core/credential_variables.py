"""Environment variables that hold credentials, recognized by patterns of names and values."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CREDENTIAL_NAME = (
    r"(?a)(TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|CREDENTIALS?)(?![A-Z])"
    r"|(_|ACCESS|API|DEPLOY|GPG|PRIVATE|SIGNING|SSH)KEYS?(?![A-Z])"
    r"|(^|_)(AUTH|JWT|NETRC|PASS|PAT)(?![A-Z])"
    r"|_PWD$|WEBHOOK"
)
"""Words in names of credential variables. No letter may follow: TOKENIZERS_PARALLELISM and PATH do not match."""
_UPLOAD_TOOLS = ("TWINE_", "UV_PUBLISH_", "PDM_PUBLISH_", "HATCH_INDEX_", "POETRY_PYPI_", "ACTIONS_ID_TOKEN_")
"""Prefixes of the variables that configure upload tools; they may name a user or a configuration file."""
_UPLOAD_NAME = re.compile(
    r"(TWINE|UV_PUBLISH|PDM_PUBLISH|FLIT|MATURIN)_PASSWORD"
    r"|UV_PUBLISH_TOKEN|HATCH_INDEX_AUTH|POETRY_PYPI_TOKEN_\w+"
    r"|RELNOX_\w+_TOKEN|(\w+_)?PYPI_(API_)?TOKEN|(\w+_)?PYPIRC"
    r"|ACTIONS_ID_TOKEN_REQUEST_TOKEN|(\w+_)?ID_TOKEN(_\d+)?|CI_JOB_JWT(_\w+)?",
    re.ASCII,
)
"""Names of variables with a password or token for an index, or an identity token that can be exchanged for one."""
_UPLOAD_TOKEN = re.compile(r"(?<![\w./-])pypi-\w{16,}", re.ASCII)
_CREDENTIAL_VALUE = (
    r"(?a)gh[pousr]_\w{20,}|github_pat_\w{20,}"
    r"|gl(?:agent|cbt|dt|ft|imt|pat|ptt|rt|soat)-[\w-]{20,}"
    r"|npm_\w{36}|xox[abeprs]-[\w-]{16,}|sk_live_\w{24,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]: *\w+ "
)
_USER_IN_URL = r"(?a)https?://[^/\s@]+@|://[^/\s:@]*:[^/\s@]+@"
_PROXY_NAME = r"(?a)(\w+_)?PROXY"
"""Names of proxy variables, which do not count as credentials even with a password: downloads need them."""
_MIN_COPY_LENGTH = 8
"""The length from which a secret is searched for in other values: a shorter one may match by accident."""


def find_credential_variables(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that hold a credential of any kind, or configure an upload tool.

    They are recognized by their names, such as `DEPLOY_KEY`, or by their values, such as a GitHub token or a URL
    with a password. A URL with a password does not count in a proxy variable, such as `HTTPS_PROXY`.
    """
    return find_upload_credential_variables(variables) | {
        name
        for name, value in variables.items()
        if re.search(_CREDENTIAL_NAME, name.upper())
        or is_upload_setting_name(name)
        or re.search(_CREDENTIAL_VALUE, value)
        or ("@" in value and re.search(_USER_IN_URL, value) and not re.fullmatch(_PROXY_NAME, name.upper()))
    }


def find_upload_credential_variables(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that hold an upload credential, recognized by name or value.

    That is a password or token for an index, or an identity token that can be exchanged for one. Variables of any
    name whose values contain the same secret are included; empty ones are not.
    """
    names = {
        name
        for name, value in variables.items()
        if value and (is_upload_credential_name(name) or _UPLOAD_TOKEN.search(value))
    }
    values = [variables[name] for name in names if len(variables[name]) >= _MIN_COPY_LENGTH]
    return frozenset(
        names | {name for name, value in variables.items() if any(secret in value for secret in values)}
    )


def is_upload_credential_name(name: str) -> bool:
    """Return whether a variable of this name, in any case, is for an upload credential, as TWINE_PASSWORD is."""
    return _UPLOAD_NAME.fullmatch(name.upper()) is not None


def is_upload_setting_name(name: str) -> bool:
    """Return whether a variable of this name, in any case, configures an upload tool, as TWINE_USERNAME does.

    Its value need not be secret.
    """
    return name.upper().startswith(_UPLOAD_TOOLS)
