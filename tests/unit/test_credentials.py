"""Who uploads: where it is looked for, in which order, and for whom a password is not."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, ClassVar

import keyring.backend
import pytest

from relnox.core.settings.config import Config, IndexConfig
from relnox.errors import Blocked
from relnox.indexes import credentials, targets
from relnox.indexes.credentials import find_credentials
from relnox.indexes.targets import find_target

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-0815"
HOUSE = IndexConfig(upload="https://house.example.invalid:8443/upload/", simple="https://house.example.invalid/s/")
CONFIG = Config(indexes={"house": HOUSE})


class Keyring(keyring.backend.KeyringBackend):
    """Knows passwords, and remembers what it was asked."""

    priority = 1
    known: ClassVar[dict[tuple[str, str], str]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        if "broken" in service:
            raise ValueError(CANARY)
        return self.known.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.known[service, username] = password


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> type[Keyring]:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{__name__}.Keyring")
    monkeypatch.setattr(Keyring, "known", {})
    monkeypatch.setattr(Keyring, "asked", [])
    return Keyring


def pypirc(directory: Path, text: str) -> dict[str, str]:
    path = directory / "pypirc"
    path.write_text(text, encoding="utf-8")
    return {"TWINE_CONFIG_FILE": str(path)}


def test_credentials_are_asked_in_the_documented_order(tmp_path: Path, ring: type[Keyring]) -> None:
    target = find_target("testpypi", Config())
    ring.known[target.upload_url, "u"] = "from-keyring"
    # Variables of other tools do not change the address that the keyring is asked for; blanks are no token.
    section = "[testpypi]\nusername = u\n"
    environment = {
        **pypirc(tmp_path, f"{section}password = from-file\n"),
        "RELNOX_TESTPYPI_TOKEN": "own\n",
        "TEST_PYPI_TOKEN": "usual",
        "TWINE_USERNAME": "someone",
        "TWINE_PASSWORD": "twine",
    }
    path = environment["TWINE_CONFIG_FILE"]
    for variable, user, text in (
        ("RELNOX_TESTPYPI_TOKEN", "__token__", "own"),
        ("TEST_PYPI_TOKEN", "__token__", "usual"),
        ("TWINE_PASSWORD", "someone", "twine"),
        (None, "u", "from-file"),
    ):
        found = find_credentials(target, environment)
        assert (found.user, found.secret("demo").reveal()) == (user, text)
        assert found.origin == (variable or path)
        if variable:
            del environment[variable]
    environment = pypirc(tmp_path, section) | {"RELNOX_TESTPYPI_TOKEN": " \n"}
    assert ring.asked == []
    found = find_credentials(target, environment | {"TWINE_REPOSITORY_URL": "https://elsewhere.example.invalid/"})
    assert {service for service, _ in ring.asked} == {target.upload_url}
    assert (found.user, found.secret("demo").reveal(), found.origin) == ("u", "from-keyring", "keyring")


def test_bytes_of_variables_that_are_not_text_are_sent_as_they_are(tmp_path: Path) -> None:
    environment = pypirc(tmp_path, "") | {"RELNOX_HOUSE_TOKEN": os.fsdecode(b"\xff") + CANARY}
    found = find_credentials(find_target("house", CONFIG), environment)
    login = credentials.Login(found.user, found.secret("demo"))
    assert login.password == b"\xff" + CANARY.encode()


def test_the_error_lists_the_searched_places_in_order(tmp_path: Path, ring: type[Keyring]) -> None:
    target = find_target("house", CONFIG)
    environment = pypirc(tmp_path, "[house]\nusername = me\n")
    with pytest.raises(credentials.CredentialsNotFound) as refused:
        find_credentials(target, {**environment, "TEST_PYPI_TOKEN": CANARY, "RELNOX_OTHER_TOKEN": CANARY})
    path = environment["TWINE_CONFIG_FILE"]
    assert refused.value.message.splitlines() == [
        "no credentials for house (house.example.invalid:8443):",
        "  RELNOX_HOUSE_TOKEN: not set",
        "  TWINE_PASSWORD: not set",
        f"  {path}: no password in [house]",
        "  Trusted Publishing: not running on a supported CI provider",
        f"  keyring: no entry for me at {HOUSE.upload}",
    ]
    assert "RELNOX_HOUSE_TOKEN" in (refused.value.fix or "")


def test_a_failing_keyring_is_skipped_without_quoting_its_error(tmp_path: Path, ring: type[Keyring]) -> None:
    target = targets.Target("house", "https://broken.example.invalid/", "")
    with pytest.raises(credentials.CredentialsNotFound, match=r"keyring: error \(ValueError\)") as refused:
        find_credentials(target, {**pypirc(tmp_path, ""), "TWINE_USERNAME": "me"})
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("repository", "host"),
    [
        ("http://127.0.0.1:9/", "127.0.0.1:9"),
        ("https://me:canary-0815@elsewhere.example.invalid/legacy/", "elsewhere.example.invalid"),
        ("https://house.example.invalid:8444/upload/", "house.example.invalid:8444"),
        ("https://house.example.invalid:port/", "house.example.invalid"),
    ],
)
def test_a_password_of_another_index_in_pypirc_is_not_sent_to_this_one(
    repository: str, host: str, tmp_path: Path
) -> None:
    text = f"[house]\nrepository = {repository}\npassword = {CANARY}\n"
    with pytest.raises(Blocked) as refused:
        find_credentials(find_target("house", CONFIG), pypirc(tmp_path, text))
    assert f"is for {host}, but index house is house.example.invalid:8443" in refused.value.message
    assert CANARY not in f"{refused.value.message} {refused.value.fix}"


@pytest.mark.parametrize("line", ["", "repository =\n", "username = me\n"])
def test_a_password_in_pypirc_that_names_no_host_is_for_a_public_index_only(
    line: str, tmp_path: Path, ring: type[Keyring]
) -> None:
    # The settings of a checkout may give any name to any host.
    text = f"[{{}}]\n{line}password = {CANARY}\n"
    with pytest.raises(
        credentials.CredentialsNotFound, match=r"no repository in \[house\], the URL that the pass"
    ):
        find_credentials(find_target("house", CONFIG), pypirc(tmp_path, text.format("house")), is_chosen=True)
    found = find_credentials(find_target("testpypi", CONFIG), pypirc(tmp_path, text.format("testpypi")))
    assert found.secret("demo").reveal() == CANARY


def test_a_password_of_this_index_in_pypirc_is(tmp_path: Path) -> None:
    repository = "https://HOUSE.example.invalid:8443/another/path"
    text = f"[house]\nrepository = {repository}\npassword = {CANARY}\n"
    found = find_credentials(find_target("house", CONFIG), pypirc(tmp_path, text))
    assert found.secret("demo").reveal() == CANARY
    assert CANARY not in f"{found!r} {found} {vars(found)}"


@pytest.mark.parametrize(
    ("name", "value"), [("TWINE_REPOSITORY_URL", "https://a.example.invalid/"), ("TWINE_REPOSITORY", "company")]
)
def test_a_password_for_another_repository_of_twine_is_ignored(name: str, value: str, tmp_path: Path) -> None:
    environment = {**pypirc(tmp_path, ""), "TWINE_PASSWORD": CANARY, name: value}
    with pytest.raises(credentials.CredentialsNotFound, match=rf"TWINE_PASSWORD: for another index \({name} is "):
        find_credentials(find_target("house", CONFIG), environment)
    environment[name] = HOUSE.upload if "URL" in name else "house"
    assert find_credentials(find_target("house", CONFIG), environment).secret("demo").reveal() == CANARY


def test_a_password_of_twine_without_a_repository_is_for_public_and_chosen_indexes(tmp_path: Path) -> None:
    environment = {**pypirc(tmp_path, ""), "TWINE_PASSWORD": CANARY}
    for name in ("pypi", "testpypi"):
        assert find_credentials(find_target(name, CONFIG), environment).secret("demo").reveal() == CANARY
    house = find_target("house", CONFIG)
    with pytest.raises(credentials.CredentialsNotFound, match="for another index, without --index"):
        find_credentials(house, environment)
    assert find_credentials(house, environment, is_chosen=True).secret("demo").reveal() == CANARY
    environment["TWINE_REPOSITORY"] = "company"
    with pytest.raises(credentials.CredentialsNotFound, match="TWINE_PASSWORD: for another index"):
        find_credentials(house, environment, is_chosen=True)


def test_backends_of_other_platforms_are_not_imported(tmp_path: Path) -> None:
    # The one of macOS looks for a library with `ld -o /dev/null`, which deletes the device if root runs it.
    linker = tmp_path / "ld"
    linker.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/log\nexit 1\n', encoding="utf-8")
    linker.chmod(0o755)
    code = (
        "import sys\n"
        "from relnox.core.settings.config import Config\n"
        "from relnox.indexes import credentials, targets\n"
        "try:\n    credentials.find_credentials(targets.find_target('testpypi', Config()), {})\n"
        "except credentials.CredentialsNotFound as error:\n    print(error.message)\n"
        "print(*sys.modules)\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "PYTHON_KEYRING_BACKEND"}
    variables |= {"HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert "keyring: no" in done.stdout
    assert done.stderr == ""
    assert sys.platform == "darwin" or "keyring.backends.macOS" not in done.stdout.split()
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    "text", [f"password = {CANARY}\n", f"[house\npassword = {CANARY}\n", f"[house]\n{CANARY}\n"]
)
def test_a_pypirc_that_cannot_be_read_is_not_quoted(text: str, tmp_path: Path) -> None:
    with pytest.raises(Blocked, match="cannot be read") as refused:
        find_credentials(find_target("house", CONFIG), pypirc(tmp_path, text))
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", ["forge", "FORGE", "Forge"])
def test_no_index_shares_the_variable_of_the_forge_token(name: str) -> None:
    assert credentials.token_variables(name) == ("RELNOX_FORGE_TOKEN",)
    table = {"upload": HOUSE.upload, "simple": HOUSE.simple}
    with pytest.raises(Blocked, match=rf"the key '{name}' of .*RELNOX_FORGE_TOKEN"):
        Config.parse({"indexes": {name: table}}, {})
    Config.parse({"indexes": {"forge-2": table}}, {})
