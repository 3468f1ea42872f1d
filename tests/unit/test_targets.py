"""Which index a name, a tag, a variable means."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from twine import utils

from relnox.core.settings.config import Config, IndexConfig
from relnox.errors import Blocked
from relnox.indexes import Indexes, credentials, targets
from relnox.indexes.index import Index

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-0815"
ELSEWHERE = "https://elsewhere.example.invalid/legacy/"
RULES = {
    "nightly-old-*": "old",
    "nightly-*": "company",
    "rc": "staging",
    "prerelease": "testpypi",
    "final": "pypi",
}


def index(upload: str, *, production: bool = False) -> IndexConfig:
    return IndexConfig(upload=upload, simple="https://house.example.invalid/simple", production=production)


@pytest.mark.parametrize(
    ("tag", "version", "expected"),
    [
        ("v1.2.3", "1.2.3", "pypi"),
        ("v1.2.3-alpha.0", "1.2.3a0", "testpypi"),
        ("v1.2.3-beta.1", "1.2.3b1", "testpypi"),
        ("v1.2.3-rc.1", "1.2.3rc1", "staging"),  # the special kind before the general one
        ("v1.2.3.dev4", "1.2.3.dev4", "testpypi"),
        ("v1.2.3.post1", "1.2.3.post1", "pypi"),
        ("nightly-1.2.3", "1.2.3", "company"),  # the pattern before any kind
        ("nightly-old-1.2.3", "1.2.3", "old"),  # of several patterns the first that is written
    ],
)
def test_the_tag_chooses_the_index(tag: str, version: str, expected: str) -> None:
    assert targets.select_index_by_tags(Config(targets=RULES), {"demo": (tag, Version(version))}) == expected


def test_undecided_rules_are_an_error() -> None:
    config = Config(targets={"final": "pypi", "rc": "staging"})
    assert targets.select_index_by_tags(Config(), {"demo": None}) == "pypi"
    final, candidate = ("v1", Version("1")), ("a-v1rc1", Version("1rc1"))
    with pytest.raises(Blocked, match=r"^demo has no tag at the commit that was built") as refused:
        targets.select_index_by_tags(config, {"demo": None})
    assert "--index NAME" in (refused.value.fix or "")
    with pytest.raises(Blocked, match=r"no rule of .* matches v1a1") as refused:
        targets.select_index_by_tags(config, {"demo": ("v1a1", Version("1a1"))})
    assert 'prerelease = "testpypi"' in (refused.value.fix or "")
    with pytest.raises(Blocked, match="v1 to pypi, a-v1rc1 to staging") as refused:
        targets.select_index_by_tags(config, {"demo": final, "a": candidate})
    assert "--package NAME" in (refused.value.fix or "")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("pypi", Config()),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY)})),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY.upper().replace("HTTPS", "https"))})),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY.replace("/legacy", ":443/legacy"))})),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY.replace("/legacy", "./legacy"))})),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY.replace("https", "http"))})),
        ("house", Config(indexes={"house": index(utils.DEFAULT_REPOSITORY.replace("upload.", ""))})),
        (  # the same address under another name
            "house",
            Config(indexes={"company": index(ELSEWHERE, production=True), "house": index(ELSEWHERE + "x/")}),
        ),
        ("house", Config(indexes={"house": index(ELSEWHERE, production=True)})),
    ],
)
def test_production_is_known_under_any_name(name: str, config: Config) -> None:
    assert targets.find_target(name, config).production


@pytest.mark.parametrize("name", ["testpypi", "house"])
def test_a_test_index_is_none_of_production(name: str) -> None:
    assert not targets.find_target(name, Config(indexes={"house": index(ELSEWHERE)})).production


def test_a_misspelled_index_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(Blocked, match="unknown index testpipy") as refused:
        targets.find_target("testpipy", Config())
    assert refused.value.fix == "did you mean testpypi?"
    with pytest.raises(Blocked, match="unknown index pipy") as refused:
        targets.find_target("pipy", Config())
    assert refused.value.fix == "choose one of embedded, pypi, testpypi"
    for rule in ("fianl", "Final", "pre-release"):
        with pytest.raises(Blocked, match=rf"{rule} in \[tool.relnox.targets\] is neither a kind of versions"):
            targets.check_index_settings(Config(targets={rule: "pypi"}))
    with pytest.raises(Blocked, match=r"unknown index pipy in \[tool\.relnox\.targets\] final"):
        targets.check_index_settings(Config(targets={"final": "pipy"}))


VARIABLES = (
    *("TWINE_REPOSITORY_URL", "UV_PUBLISH_URL", "PDM_PUBLISH_REPO", "HATCH_INDEX_REPO", "FLIT_INDEX_URL"),
    *("PIP_INDEX_URL", "UV_INDEX_URL"),
)
SECTIONS = (
    "",
    "[{name}]\n",
    "[{name}]\nrepository = {url}\n",
    "[distutils]\nindex-servers = {name}\n[{name}]\nrepository = {url}\n",
)


@pytest.mark.parametrize("name", ["pypi", "testpypi", "house"])
@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("variables", [(), *((each,) for each in VARIABLES), VARIABLES])
def test_neither_a_variable_nor_a_pypirc_moves_a_target(
    name: str, section: str, variables: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the whole matrix; ignored variables are reported, and a password of another index is not taken.
    config = Config(indexes={"house": index("https://house.example.invalid/upload/")})
    pypirc = tmp_path / "pypirc"
    pypirc.write_text(section.format(name=name, url=ELSEWHERE) + (f"password = {CANARY}\n" if section else ""))
    environment = dict.fromkeys(variables, ELSEWHERE) | {
        "TWINE_CONFIG_FILE": str(pypirc),
        f"RELNOX_{name.upper()}_TOKEN": CANARY,
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    hosts = {"pypi": utils.DEFAULT_REPOSITORY, "testpypi": utils.TEST_REPOSITORY}
    with closing(Indexes(config, tmp_path / "index")) as indexes:
        target = indexes[name]
        assert target.upload_url == hosts.get(name, "https://house.example.invalid/upload/")
        assert target.credentials.origin == f"RELNOX_{name.upper()}_TOKEN"
        warnings = [*target.ignored_variable_warnings()]
        publishing = [each for each in variables if each not in ("PIP_INDEX_URL", "UV_INDEX_URL")]
        assert sorted(each.partition(" ")[0] for each in warnings) == sorted(publishing)
        assert all(f"files are uploaded to {name} ({target.host})" in each for each in warnings)
    del environment[f"RELNOX_{name.upper()}_TOKEN"]
    if "repository" in section:
        with pytest.raises(Blocked, match=r"is for elsewhere\.example\.invalid, but"):
            credentials.find_credentials(target, environment)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        (utils.DEFAULT_REPOSITORY, None),
        ("pypi", None),
        (f"https://me:{CANARY}@elsewhere.example.invalid/", "elsewhere.example.invalid"),
        ("http://me:word@[::1/", "an invalid URL"),
    ],
)
@pytest.mark.parametrize("variable", VARIABLES[:5])
def test_a_variable_that_means_another_index_is_ignored_with_a_warning(
    variable: str, value: str, means: str | None
) -> None:
    warnings = [*Index(targets.find_target("pypi", Config()), {variable: value}).ignored_variable_warnings()]
    assert [warning.partition(" is ignored")[0] for warning in warnings] == (
        [f"{variable} ({means})"] if means else []
    )


@pytest.mark.parametrize(
    "key",
    ["[tool.relnox.indexes.house] upload", "[tool.relnox.indexes.house] simple", "[tool.relnox] trusted-index"],
)
@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1/", "http://", "http://127.0.0.1:99999/", "ftp://127.0.0.1/", "a.invalid"),
        f"https://me:{CANARY}@a.invalid/",
    ],
)
def test_an_address_that_is_invalid_or_has_a_password_is_refused(key: str, url: str) -> None:
    # the settings are committed, and addresses are printed.
    stated = dict.fromkeys(("upload", "simple", "index"), ELSEWHERE) | {key[-6:].lstrip(".-"): url}
    config = Config(
        indexes={"house": IndexConfig(upload=stated["upload"], simple=stated["simple"])},
        trusted_index=stated["index"],
    )
    problem = "contains a user name or a password for a.invalid" if "@" in url else "is not a valid index URL"
    with pytest.raises(Blocked, match=f"^{re.escape(key)} {problem}") as refused:
        targets.check_index_settings(config)
    assert CANARY not in f"{refused.value.message} {refused.value.fix}"
