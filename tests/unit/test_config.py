"""`[tool.relnox]`: what is taken, what is refused, and a JSON schema that says the same."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from textwrap import dedent
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.commands import json_schema, options_by_table
from relnox.core.settings.checklist import ManualItem
from relnox.core.settings.config import (
    BuildConfig,
    CheckConfig,
    CiConfig,
    CommitsConfig,
    Config,
    DiffConfig,
    ForgeReleaseConfig,
    GroupConfig,
    Hook,
    HooksConfig,
    IndexConfig,
    InstallChecks,
    TaskConfig,
    TestConfig,
    VerifyConfig,
    VersionFileConfig,
    config_table,
)
from relnox.core.settings.release_lines import ReleaseLine
from relnox.errors import Blocked

OPTIONS = options_by_table()

TABLE = config_table(OPTIONS)
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

EVERYTHING = """
    packages = ["libs/*"]
    exclude = ["libs/old"]
    metadata-only = ["Acme.Meta"]
    versions = "independent"
    scheme = "calver"
    prerelease-start = 1
    tag-format = "{name}-v{version}"
    tag-formats = { "libs/*" = "{directory}/{version}" }
    paths = { "libs/*" = ["/proto/**", "!docs/"] }
    branch = "trunk"
    remote = "upstream"
    update-requirements = "always"
    commit-message = "Release {packages}"
    trusted-index = "https://index.example.invalid/simple/"
    pass-env = ["CORP_LICENSE_KEY"]
    on-visible-credentials = "refuse"
    dependents = "minor"
    version-literals = false
    optional-extensions = ["acme-*"]
    fake-secrets = ["certs/*.key"]
    dependency-updates = { acme-contrib = "Acme.Core" }
    targets = { prerelease = "testpypi", final = "house" }
    managed-by = "cargo-release"
    changelog = "keep-a-changelog"
    changelog-file = "HISTORY.md"
    groups = { pair = { packages = ["acme-*"], kind = "linked" } }

    [[version-files]]
    file = "docs/conf.py"
    pattern = '^release = "(?P<version>[^"]+)"'
    count = 1
    package = "acme-core"
    scheme = "semver"

    [commits]
    minor = ["feat", "add"]
    patch = ["fix"]
    major-version-zero = false

    [indexes.house]
    upload = "https://index.example.invalid/upload/"
    simple = "https://index.example.invalid/simple/"
    production = false

    [test]
    command = ["python", "-m", "pytest"]
    requires = ["pytest"]
    env = { COLOUR = "none" }

    [[hooks.before-build]]
    run = ["python", "tools/generate.py"]
    env = { B = "2", A = "1" }
    time-limit = 60

    [[hooks.before-publish]]
    run = ["nox", "-s", "tests"]

    [wheels]
    Acme_GUI = ["cp{312,313}-macosx_arm64"]

    [diff]
    max-growth = "20%"
    top-level = ["acme_tools"]

    [ci]
    trigger = "tag"
    publish-job = "nox"
    python = "3.13"
    tokens = { house = "HOUSE_TOKEN" }

    [check]
    environments = ["release"]
    test-index = "house"
    storage-limit = 20000
    severity = { metadata = "off", ci-green = "warning" }

    [[check.manual]]
    title = "Announce it"
    link = "https://example.org/list"
    when = "after"

    [bump]
    commit = true

    [build]
    output = "artifacts"
    strict = true

    [publish]
    attestations = "off"

    [verify]
    python = ["3.12"]
    wait = 30
    smoke = { acme_core = ["acme_core.greet()"] }
    modules = { Acme-Core = ["acme_core"] }

    [forge-release]
    notes = "commits"
    latest = "Acme_Core"
    """

BLOCKED = (
    ("brnch = 'main'", "tool.relnox has no key 'brnch'", "did you mean branch?"),
    (
        "branch = 1",
        "tool.relnox.branch = 1 is not a string, a list of strings, or a table of strings",
        "set tool.relnox.branch to a string, a list of strings, or a table of strings",
    ),
    ("packages = 'libs/*'", "tool.relnox.packages = 'libs/*' is not a list of strings", None),
    ("packages = ['libs/*', 1]", "tool.relnox.packages[1] = 1 is not a string", None),
    (
        "scheme = 'semvr'",
        "tool.relnox.scheme = 'semvr' is not one of pep440, semver, calver",
        "did you mean semver?",
    ),
    ("prerelease-start = 2", "tool.relnox.prerelease-start = 2 is greater than 1", "use a number from 0 to 1"),
    ("prerelease-start = -1", "tool.relnox.prerelease-start = -1 is not a whole number", None),
    ("prerelease-start = true", "tool.relnox.prerelease-start = True is not a whole number", None),
    ("tag-formats = ['core']", "tool.relnox.tag-formats = ['core'] is not a table", None),
    ("[indexes.house]\nupload = 'x'", "tool.relnox.indexes.house requires the key 'simple'", None),
    ("indexes.house = 'x'", "tool.relnox.indexes.house = 'x' is not a table", None),
    ("test.command = 'pytest'", "tool.relnox.test.command = 'pytest' is not a list of strings", None),
    (
        "wheels.acme-gui = 'cp312-win32'",
        "tool.relnox.wheels.acme-gui = 'cp312-win32' is not a list of strings",
        None,
    ),
    (
        "bump.allow-branch = true",
        "tool.relnox.bump.allow-branch is set, but --allow-branch can be set on the command line only",
        None,
    ),
    ("build.strict = 'yes'", "tool.relnox.build.strict = 'yes' is not true or false", None),
    ("publish.strict = true", "tool.relnox.publish has no key 'strict'", None),
    ("verify.smok.core = []", "tool.relnox.verify has no key 'smok'", "did you mean smoke?"),
    (
        "[[hooks.before-buld]]\nrun = ['x']",
        "tool.relnox.hooks has no key 'before-buld'",
        "did you mean before-build?",
    ),
    (
        "[[hooks.before-build]]\nrun = ['x']\ntimelimit = 3",
        "tool.relnox.hooks.before-build[0] has no key 'timelimit'",
        "did you mean time-limit?",
    ),
    (
        "[[hooks.after-publish]]\nrun = 'x y'",
        "tool.relnox.hooks.after-publish[0].run = 'x y' is not a list of strings",
        None,
    ),
    (
        "[[hooks.before-build]]\ntime-limit = 3",
        "tool.relnox.hooks.before-build[0] requires the key 'run'",
        None,
    ),
    ("verify.skip.core = true", "tool.relnox.verify.skip.core = True is not a string", None),
    ("verify.smoke.core = 'x()'", "tool.relnox.verify.smoke.core = 'x()' is not a list of strings", None),
)


def read(text: str) -> dict[str, Any]:
    return tomllib.loads(dedent(text))


def accepted(data: object) -> bool:
    """Whether relnox takes it."""
    try:
        Config.parse(data, OPTIONS)
    except Blocked:
        return False
    return True


def described(data: object) -> bool:
    """Whether relnox takes it, or refuses it for what JSON Schema does not describe: what a text must be like."""
    try:
        Config.parse(data, OPTIONS)
    except Blocked as refused:
        is_of_text = re.search("^the key '|is not valid: | twice, the second time as ", refused.message)
        return is_of_text is not None
    return True


def test_a_project_that_says_nothing_has_the_defaults() -> None:
    assert Config.parse({}, OPTIONS) == Config(is_written=True)


def test_everything_that_can_be_said() -> None:
    assert Config.parse(read(EVERYTHING), OPTIONS) == Config(
        is_written=True,
        packages=("libs/*",),
        exclude=("libs/old",),
        metadata_only=("acme-meta",),
        versions="independent",
        scheme="calver",
        prerelease_start=1,
        tag_format="{name}-v{version}",
        tag_formats={"libs/*": "{directory}/{version}"},
        paths={"libs/*": ("/proto/**", "!docs/")},
        branch=(ReleaseLine("trunk"),),
        remote="upstream",
        update_requirements="always",
        commit_message="Release {packages}",
        trusted_index="https://index.example.invalid/simple/",
        pass_env=("CORP_LICENSE_KEY",),
        on_visible_credentials="refuse",
        dependents="minor",
        version_literals=False,
        optional_extensions=("acme-*",),
        fake_secrets=("certs/*.key",),
        dependency_updates={"acme-contrib": "acme-core"},
        targets={"prerelease": "testpypi", "final": "house"},
        managed_by="cargo-release",
        changelog="keep-a-changelog",
        changelog_file="HISTORY.md",
        groups={"pair": GroupConfig(packages=("acme-*",), kind="linked")},
        version_files=(
            VersionFileConfig(
                file="docs/conf.py",
                pattern='^release = "(?P<version>[^"]+)"',
                package="acme-core",
                scheme="semver",
            ),
        ),
        commits=CommitsConfig(minor=("feat", "add"), patch=("fix",), major_version_zero=False),
        indexes={
            "house": IndexConfig(
                upload="https://index.example.invalid/upload/",
                simple="https://index.example.invalid/simple/",
                production=False,
            )
        },
        test=TestConfig(command=("python", "-m", "pytest"), requires=("pytest",), env={"COLOUR": "none"}),
        hooks=HooksConfig(
            before_build=(Hook(run=("python", "tools/generate.py"), env={"A": "1", "B": "2"}, time_limit=60),),
            before_publish=(Hook(run=("nox", "-s", "tests")),),
        ),
        wheels={"acme-gui": ("cp{312,313}-macosx_arm64",)},
        diff=DiffConfig(max_growth="20%", top_level=("acme_tools",)),
        ci=CiConfig(trigger="tag", publish_job="nox", python="3.13", tokens={"house": "HOUSE_TOKEN"}),
        check=CheckConfig(
            environments=("release",),
            test_index="house",
            storage_limit=20000,
            severity={"metadata": "off", "ci-green": "warning"},
            manual=(ManualItem(title="Announce it", link="https://example.org/list", when="after"),),
        ),
        bump=TaskConfig(options={"commit": True}),
        build=BuildConfig(options={"output": "artifacts", "strict": True}),
        publish=TaskConfig(options={"attestations": "off"}),
        verify=VerifyConfig(
            options={"python": ("3.12",), "wait": 30},
            smoke={"acme-core": ("acme_core.greet()",)},
            modules={"acme-core": ("acme_core",)},
        ),
        forge_release=ForgeReleaseConfig(options={"notes": "commits"}, latest="acme-core"),
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('tag-format = "v{version"', "it must contain {version} once"),
        ('tag-format = "v{version}}"', "it must contain {version} once"),
        ('build.commands.demo = ["make", "dist"]', "no word of it contains {output}"),
        ('build.commands.demo = ["make", "--to={outputs}"]', "no word of it contains {output}"),
        ('build.output = ""', "it names no file"),
        ('verify.smoke.demo = ["1 +"]', "it is not an expression of Python (invalid syntax)"),
        ('verify.smoke.demo = ["import demo"]', "it is not an expression of Python (invalid syntax)"),
        ("verify.smoke.demo = [\"demo.main(['x')\"]", "it is not an expression of Python"),
        ('verify.modules.demo = ["demo-app"]', "it is not the name of a module"),
        ('verify.modules.demo = ["demo..app"]', "it is not the name of a module"),
        ('test.requires = ["pytest >"]', "it is not a requirement"),
        ('test.requires = ["py test"]', "it is not a requirement"),
        ('commits.minor = ["feat!"]', "it is not the type of a Conventional Commit"),
        ('check.severity.chanelog = "off"', "is not one of git-clean, "),
        ('check.severity.changelog = "none"', "is not one of error, warning, off"),
        ('check.manual = [{ title = "A", link = "javascript:1" }]', "it is not the address of a page"),
        ('commits.patch = [""]', "it is not the type of a Conventional Commit"),
        *((f"indexes.{name} = {{}}", "is predefined") for name in ("pypi", "PyPI", "test-pypi", "Embedded")),
        ('commit-message = "Release {versoin} of {packages}"', "{versoin} is not a field"),
        ('commit-message = "Release {version} {}"', "{} is not a field"),
        ('commit-message = "Release {version!r}"', "{version!r} is not a field"),
        ('commit-message = "Release {version"', "a brace in it is no part of a field"),
        ('commit-message = "Release {{version}}"', "a brace in it is no part of a field"),
        ("hooks.before-build = [{ run = [] }]", "before-build[0].run is not valid: it is empty"),
        ("hooks.before-build = [{ run = [''] }]", "the program is missing"),
        ("hooks.before-build = [{ run = ['x'], env = { 'A=B' = '1' } }]", "not a valid variable name"),
        (r'tag-format = "v{version}\u0000"', "NUL"),
        ('tag-format = "v{version} "', "a git ref cannot contain ' '"),
        ('tag-format = "v{version}~"', "a git ref cannot contain '~'"),
        ('tag-format = "v{version}.lock"', "may begin with a dot or end with .lock"),
        ('tag-format = "/v{version}"', "cannot begin or end with a slash, or contain two in a row"),
        ('tag-format = "a//{version}"', "cannot begin or end with a slash, or contain two in a row"),
        ('tag-format = ".{version}"', "may begin with a dot or end with .lock"),
        ('tag-format = "v..{version}"', "cannot contain '..' or '@{', or end with a dot"),
        ('tag-format = "v@{{version}"', "it must contain {version} once"),
        ('tag-format = "-{version}"', "cannot begin with a dash or be HEAD"),
        (r'tag-format = "v\u001b{version}"', r"cannot contain '\x1b'"),
        (f'tag-format = "{"v" * 300}{{version}}"', "longer than file systems allow"),
        ('tag-format = "v"', "must contain {version} once"),
        ('tag-format = "{version}{version}"', "must contain {version} once"),
        ('verify.skip = { "a b" = "c" }', "not a valid package name"),
        ('verify.skip = { demo-x = "a", Demo_X = "b" }', "names demo-x twice, the second time as Demo_X"),
        ('branch = ""', "cannot begin or end with a slash, or contain two in a row"),
        ('branch = "a b"', "a git ref cannot contain ' '"),
        ('branch = "HEAD"', "cannot begin with a dash or be HEAD"),
        ('remote = ""', "not the name of a remote"),
        ('remote = "--upload-pack=touch x"', "not the name of a remote"),
        ('remote = "https://git.example.invalid/demo.git"', "not the name of a remote"),
        ('remote = "../demo.git"', "not the name of a remote"),
        ('changelog-file = ""', "names no file"),
        ('changelog-file = "/etc/passwd"', "absolute path"),
        ('changelog-file = "../x.md"', "leads out of the project"),
        (r'changelog-file = "a\nb"', "contains control characters"),
        ('commit-message = " "', "git requires a commit message"),
        (r'commit-message = "a\u0000"', "NUL"),
        ('version-files = [{ file = "a.txt", pattern = "(" }]', "not a regular expression"),
        ('version-files = [{ file = "a.txt", pattern = "x" }]', "no group called version"),
        ('version-files = [{ file = "../a.txt" }]', "leads out of the project"),
        ('indexes = { "a/b" = { upload = "https://x/", simple = "https://x/" } }', "only letters, digits"),
        ('test = { command = [""] }', "the program is missing"),
        (r'test = { command = ["a", "\u0000"] }', "NUL"),
        ('test = { env = { "A=B" = "c" } }', "not a valid variable name"),
        ('build = { commands = { demo = [" "] } }', "the program is missing"),
        ('hooks.before-build = [{ run = ["x"], time-limit = 99999999999 }]', "is greater than 1000000000"),
        ('hooks.before-build = [{ run = ["x"], time-limit = -1 }]', "not a whole number"),
        ('hooks.before-build = [{ run = ["x"], time-limit = 1e400 }]', "= inf is not a whole number"),
        ('hooks.before-build = [{ run = ["x"], time-limit = nan }]', "= nan is not a whole number"),
        ("verify = { wait = 99999999999 }", "is greater than 1000000000"),
        (f"branch = [{'0,' * 5_000}]", "is not a string"),
        ("build = { commands = { demo = [] } }", "it is empty"),
        ('build = { python = ["3.x"] }', "it is not a Python version"),
        ('verify = { python = ["../../x"] }', "it is not a Python version"),
        ('rehearse = { python = [""] }', "it is not a Python version"),
        ('pass-env = ["A=B"]', "not a valid variable name"),
    ],
)
def test_what_would_fail_in_the_middle_of_a_release_is_refused_when_it_is_read(line: str, why: str) -> None:
    with pytest.raises(Blocked, match=re.escape(why)) as refused:
        Config.parse(tomllib.loads(line), OPTIONS)
    assert refused.value.code in ("setting-invalid", "value-invalid")
    assert refused.value.fix


def test_requirements_of_tests_may_be_paths_and_options() -> None:
    words = ("pytest>=8; python_version > '3'", "./helpers", "-r tests/requirements.txt")
    assert Config.parse({"test": {"requires": list(words)}}, OPTIONS).test.requires == words


def test_every_key_is_said_above() -> None:
    said = read(EVERYTHING).keys()

    assert TABLE.keys.keys() - said == {"status", "tag", "collect", "release", "rehearse"}


@pytest.mark.parametrize(
    "path", ["docs/changes", "./docs/changes", "docs//changes/", "docs/./changes", "docs\\changes"]
)
def test_paths_are_normalized(path: str) -> None:
    config = Config.parse({"changelog-file": path, "version-files": [{"file": path}]})
    assert config.changelog_file == "docs/changes"
    assert [file.file for file in config.version_files] == ["docs/changes"]


def test_a_package_is_tried_as_all_are_unless_something_else_is_said() -> None:
    verify = Config.parse(read(EVERYTHING), OPTIONS).verify

    core, other = (verify.install_checks(name, metadata_only=False) for name in ("acme-core", "acme-other"))
    assert core == InstallChecks(modules=("acme_core",), smoke=("acme_core.greet()",))
    assert other == InstallChecks()


def test_an_index_is_a_production_index_by_default() -> None:
    data = {"indexes": {"house": {"upload": "u", "simple": "s"}}}

    assert Config.parse(data, OPTIONS).indexes["house"].production is True


@pytest.mark.parametrize(("text", "message", "fix"), BLOCKED)
def test_what_is_wrong_is_named(text: str, message: str, fix: str | None) -> None:
    with pytest.raises(Blocked) as refused:
        Config.parse(read(text), OPTIONS)
    assert refused.value.message == message
    assert refused.value.fix
    assert fix is None or refused.value.fix == fix


def test_the_table_itself_may_be_wrong() -> None:
    with pytest.raises(Blocked, match=r"tool\.relnox = 'on' is not a table"):
        Config.parse("on", OPTIONS)


# the JSON schema


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == jsonschema.Draft7Validator.META_SCHEMA["$schema"]


def test_validate_pyproject_finds_the_schema() -> None:
    (entry,) = entry_points(group="validate_pyproject.tool_schema", name="relnox")

    assert entry.load()("relnox") == SCHEMA


def test_everything_in_the_schema_is_explained() -> None:
    def unexplained(schema: dict[str, Any], where: str) -> list[str]:
        inner = schema.get("properties", {}) | {
            name: schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)
        }
        missing = (
            [] if schema.get("description") or where.endswith((".items", ".additionalProperties")) else [where]
        )
        return missing + [each for name, kind in inner.items() for each in unexplained(kind, f"{where}.{name}")]

    assert unexplained(SCHEMA, "tool.relnox") == []


def test_the_schema_takes_everything_that_can_be_said() -> None:
    VALIDATOR.validate(read(EVERYTHING))


@pytest.mark.parametrize("text", [text for text, _, _ in BLOCKED])
def test_the_schema_refuses_what_relnox_refuses(text: str) -> None:
    assert not VALIDATOR.is_valid(read(text))


ANY_VALUE = st.recursive(
    # A float that is a whole number is an integer to JSON Schema, and to TOML it is not.
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(0.1, 0.9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def near(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema describes, with something else in their place now and then."""
    if "anyOf" in schema:
        return st.one_of([near(kind) for kind in schema["anyOf"]])
    match schema["type"]:
        case "object":
            named = {name: near(kind) for name, kind in schema.get("properties", {}).items()}
            free = schema["additionalProperties"]
            names = st.sampled_from([*named, "other"])
            of: st.SearchStrategy[Any] = (
                st.dictionaries(st.text("ab-", min_size=1, max_size=3), near(free), max_size=2)
                if free
                else st.lists(names, unique=True, max_size=3).flatmap(
                    lambda chosen: st.fixed_dictionaries({name: named.get(name, ANY_VALUE) for name in chosen})
                )
            )
        case "array":
            of = st.lists(near(schema["items"]), max_size=2)
        case "string":
            of = st.sampled_from(schema["enum"]) if "enum" in schema else st.text(max_size=3)
        case "boolean":
            of = st.booleans()
        case _:
            of = st.integers(0, schema.get("maximum", 5))
    return st.integers(0, 19).flatmap(lambda chance: ANY_VALUE if chance == 0 else of)


@given(near(SCHEMA))
def test_the_schema_and_relnox_agree(data: object) -> None:
    if not described(data):
        assert not VALIDATOR.is_valid(data)
    if accepted(data):
        assert VALIDATOR.is_valid(data)


@given(ANY_VALUE)
def test_the_schema_and_relnox_agree_on_anything(data: object) -> None:
    assert VALIDATOR.is_valid(data) is described(data)
