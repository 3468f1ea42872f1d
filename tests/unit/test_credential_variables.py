"""Which variables hold a credential, by their names and values."""

from __future__ import annotations

import pytest

from relnox.core.credential_variables import (
    find_credential_variables,
    find_upload_credential_variables,
)
from relnox.core.settings.config import Config
from relnox.errors import Blocked
from relnox.system.process import clean_environment, without_upload_credentials

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJl"
UPLOAD = {
    **dict.fromkeys(("PYPI_TOKEN", "TEST_PYPI_TOKEN", "RELNOX_HOUSE_TOKEN", "MATURIN_PYPI_TOKEN"), "secret-0815"),
    **dict.fromkeys(("TWINE_PASSWORD", "UV_PUBLISH_TOKEN", "UV_PUBLISH_PASSWORD", "FLIT_PASSWORD"), "secret-0815"),
    **dict.fromkeys(("PDM_PUBLISH_PASSWORD", "HATCH_INDEX_AUTH", "POETRY_PYPI_TOKEN_HOUSE"), "secret-0815"),
    **dict.fromkeys(
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PYPI_ID_TOKEN", "ID_TOKEN_1", "CI_JOB_JWT_V2", "PYPIRC"), "secret-0815"
    ),
    "HARMLESS": "pypi-AgEIcHlwaS5vcmcCJGQ0",
    "COPY": "x secret-0815 y",
}
OTHERS = {
    **dict.fromkeys(("GITHUB_TOKEN", "GH_TOKEN", "CI_JOB_TOKEN", "NPMTOKEN", "AWS_SESSION_TOKEN"), "1"),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET", "DB_PASSWD"), "1"),
    **dict.fromkeys(("GOOGLE_APPLICATION_CREDENTIALS", "OPENAI_API_KEY", "SOMEAPIKEY", "SIGNING_KEY"), "1"),
    **dict.fromkeys(("AZURE_DEVOPS_EXT_PAT", "NETRC", "SSH_AUTH_SOCK", "DOCKER_AUTH_CONFIG", "MYSQL_PWD"), "1"),
    **dict.fromkeys(("SLACK_WEBHOOK_URL", "CORP_KEY", "SSHKEY", "RELEASE_KEYS", "AGE_KEY_FILE"), "1"),
    **dict.fromkeys(("TWINE_USERNAME", "POETRY_HTTP_BASIC_HOUSE_PASSWORD", "UV_INDEX_HOUSE_PASSWORD"), "1"),
    "github_token": "1",
    "A": "ghp_0123456789abcdefghijABCDEFGHIJ",
    "B": "github_pat_0123456789abcdefghij",
    "C": "glpat-0123456789abcdefghij",
    "D": JWT,
    "E": "https://user:word@host.example.invalid/simple/",
    "F": "https://0123456789abcdef@host.example.invalid/",
    "G": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "GIT_CONFIG_VALUE_0": "AUTHORIZATION: basic eHg6eXk=",
}
NONE = {
    **dict.fromkeys(("TOKENIZERS_PARALLELISM", "GIT_AUTHOR_NAME", "PATH", "PWD", "OLDPWD", "XAUTHORITY"), "1"),
    **dict.fromkeys(
        ("MATURIN_PEP517_ARGS", "FLIT_ROOT_INSTALL", "CFLAGS", "SOURCE_DATE_EPOCH", "KEYBOARD", "A_KEYBOARD"), "1"
    ),
    "https_proxy": "http://user:word@proxy.example.invalid:3128",
    "REMOTE": "ssh://git@host.example.invalid/acme/demo.git",
    "DIRECTORY": "/opt/pypi-mirror/pypi-0123456789abcdefghij:/nix/store/x-glibc-locales-0123456789abcdef",
    "ADDRESS": "https://host.example.invalid/a@b",
}


def test_names_and_values_that_files_are_uploaded_with() -> None:
    assert find_upload_credential_variables(UPLOAD | OTHERS | NONE) == UPLOAD.keys()


def test_names_and_values_of_all_other_credentials() -> None:
    assert find_credential_variables(UPLOAD | OTHERS | NONE) == UPLOAD.keys() | OTHERS.keys()


def test_foreign_code_sees_none_of_them_and_git_all_but_those_for_uploads() -> None:
    everything = UPLOAD | OTHERS | NONE

    assert set(clean_environment(everything)) & everything.keys() == NONE.keys()
    for_git = set(without_upload_credentials(everything))
    assert for_git == everything.keys() - UPLOAD.keys() - {"TWINE_USERNAME"}


def test_installers_keep_what_they_log_in_to_a_private_index_with() -> None:
    base = OTHERS | {"PIP_EXTRA_INDEX_URL": OTHERS["E"], "UV_PUBLISH_PASSWORD": "x", "UV_INDEX_URL": OTHERS["E"]}

    kept = set(clean_environment(base, own_indexes=True)) & base.keys()

    assert kept == {
        *("PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_INDEX_HOUSE_PASSWORD"),
        *("NETRC", "SSH_AUTH_SOCK", "GIT_CONFIG_VALUE_0"),
    }
    assert not set(clean_environment(base)) & base.keys()


def test_the_project_lets_named_variables_through_but_none_for_uploads() -> None:
    base = UPLOAD | OTHERS

    assert "GH_TOKEN" in clean_environment(base, passed=["GH_TOKEN"])
    # Whatever a variable is called: what holds an upload token goes to no program.
    assert not {"COPY", "HARMLESS"} & clean_environment(base, passed=["COPY", "HARMLESS"]).keys()


@pytest.mark.parametrize("name", sorted(UPLOAD.keys() - {"COPY", "HARMLESS"}))
def test_a_setting_that_lets_an_upload_credential_through_is_refused(name: str) -> None:
    with pytest.raises(
        Blocked, match=rf"pass-env\[1\] = '{name}' is not valid: no program may read an upload credential"
    ):
        Config.parse({"pass-env": ["CORP_KEY", name]})
