from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING

import pytest

from relnox.core.config import Config
from relnox.errors import Refused
from relnox.indexes import credentials, targets

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-0815"


def test_a_secret_cannot_be_shown_or_stored() -> None:
    # F30
    secret = credentials.Secret(CANARY)
    found = credentials.Credentials("user", secret, "PYPI_TOKEN")
    assert CANARY not in f"{secret} {secret!r} {found} {found!r} {vars(found)}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.copy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal() == CANARY


def test_credentials_are_asked_in_the_documented_order(tmp_path: Path) -> None:
    # S3.06
    pypirc = tmp_path / "pypirc"
    pypirc.write_text("[testpypi]\nusername = u\npassword = from-file\n", encoding="utf-8")
    target = targets.resolve("testpypi", Config())
    environment = {
        "RELNOX_TESTPYPI_TOKEN": "own",
        "TEST_PYPI_TOKEN": "usual",
        "TWINE_USERNAME": "someone",
        "TWINE_PASSWORD": "twine",
        "TWINE_CONFIG_FILE": str(pypirc),
    }
    expected = [
        ("RELNOX_TESTPYPI_TOKEN", "__token__", "own"),
        ("TEST_PYPI_TOKEN", "__token__", "usual"),
        ("TWINE_PASSWORD", "someone", "twine"),
        (None, "__token__", "from-file"),
    ]
    for variable, user, text in expected:
        found = credentials.find(target, environment)
        assert (found.user, found.secret.reveal()) == (user, text)
        assert found.origin == (variable or "~/.pypirc")
        if variable:
            del environment[variable]


def test_a_token_of_another_index_is_not_used() -> None:
    target = targets.resolve("pypi", Config())
    with pytest.raises(Refused, match="no credentials for pypi") as refused:
        credentials.find(target, {"TEST_PYPI_TOKEN": CANARY, "RELNOX_COMPANY_TOKEN": CANARY})
    assert "RELNOX_PYPI_TOKEN" in (refused.value.hint or "")
    assert CANARY not in f"{refused.value} {refused.value.hint}"


def test_a_pypirc_does_not_move_the_target(tmp_path: Path) -> None:
    # F26
    pypirc = tmp_path / "pypirc"
    pypirc.write_text("[pypi]\nrepository = http://127.0.0.1:9/\nusername = u\npassword = p\n", encoding="utf-8")
    target = targets.resolve("pypi", Config())
    found = credentials.find(target, {"TWINE_CONFIG_FILE": str(pypirc)})
    assert found.secret.reveal() == "p"
    assert target.upload_url == targets.resolve("pypi", Config()).upload_url
