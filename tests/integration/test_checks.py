"""A corpus of archives that are not right: each made from scratch, each refused in words of its own."""

from __future__ import annotations

import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from packed import INFO, METADATA, MODULES, TOP, sdist, wheel, with_fields

from relnox.building import archives, checks
from relnox.building.checks.expected import ExpectedArchive
from relnox.building.checks.metadata import differing_requirements
from relnox.core.records import replace
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[Path], Path]

pytestmark = pytest.mark.heavy

TRACKED = frozenset(
    {"pyproject.toml", "README.md", "LICENSE", "src/demo_app/__init__.py", "src/demo_app/py.typed"}
)
REQUIRES = ('attrs ; extra == "Fast"', "Six >= 1")
GOOD = ExpectedArchive(name="demo-app", version=Version("1.0"), requires=REQUIRES, tracked_files=TRACKED)
PLAIN = ExpectedArchive(name="demo-app")

# Invented tokens, in two pieces: this file is in an sdist too, and must not be found there itself.
LETTERS = "q7Zw4Xe9Rt2Yu8Io3Pa6Sd5Fg1Hj0KlBnMcVxQwErTyUiOpAsDfGhJkLzXcVbNm7Qz4W9e2R"
TOKENS = {
    "pypi-" + "AgE" + LETTERS: "an upload token of a package index",
    "ghp" + "_" + LETTERS[:36]: "a GitHub token",
    "github" + "_pat_" + LETTERS[:22] + "_" + LETTERS[:59]: "a GitHub token",
    "glpat" + "-" + LETTERS[:20]: "a GitLab token",
    "AKIA" + "Q7ZWRTYUIOPASDFG": "an AWS access key",
    "xoxb" + "-214365870912-" + LETTERS[:24]: "a Slack token",
    "npm" + "_" + LETTERS[:36]: "an npm token",
    "//host/:_auth" + "Token=" + LETTERS[:36]: "an npm token",
    "sk_" + "live_" + LETTERS[:24]: "a Stripe key",
    "-----BEGIN " + "RSA PRIVATE KEY-----\n" + LETTERS: "a private key",
    "-----BEGIN " + "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + LETTERS: "a private key",
    '"-----BEGIN ' + "PRIVATE KEY-----\\n" + LETTERS: "a private key",
}


def found(path: Path, expected: ExpectedArchive = PLAIN) -> list[str]:
    try:
        findings = checks.check_archive(archives.read_archive(path), expected)
    except Failed as error:
        return [f"error: {error.message}"]
    assert all(finding.file == path.name and finding.fix for finding in findings)
    return [f"{finding.level}: {finding.message}" for finding in findings]


def paired(
    directory: Path, *, promised: str = METADATA, built: str = METADATA, **files: dict[str, str]
) -> list[str]:
    one = archives.read_archive(sdist(directory, files.get("sdist"), metadata=promised))
    findings = checks.check_wheels_against_sdist(
        [one, archives.read_archive(wheel(directory, files.get("wheel"), metadata=built))]
    )
    return [f"{finding.level}: {finding.message}" for finding in findings]


def test_a_valid_sdist_and_wheel_have_no_findings(tmp_path: Path) -> None:
    assert found(sdist(tmp_path), GOOD) == []
    assert found(wheel(tmp_path), GOOD) == []
    assert paired(tmp_path) == []


# --- metadata ------------------------------------------------------------------------------------------

FIELDS = [
    (
        "Metadata-Version: 2.6",
        "Metadata-Version is 2.6 (the public index accepts 1.0, 1.1, 1.2",
    ),
    ("Metadata-Version: 2.0", "Metadata-Version is 2.0 (the public index accepts"),
    ("Metadata-Version: 2.3", "license-expression introduced in metadata version 2.4, not 2.3"),
    ("Summary: " + "x" * 513, "Summary has more than 512 characters (rejected by the public index)"),
    ("Summary: one\n  two", "'summary' must be a single line"),
    (
        "Project-URL: A, https://a.org\nProject-URL: A, https://b.org",
        "metadata field project-url is unknown or malformed",
    ),
    ("Classifier: Private :: Do Not Upload", "'Private :: Do Not Upload' prevents uploads to the public index"),
    (
        "Classifier: Natural Language :: Ukranian",
        "'Natural Language :: Ukranian' is deprecated (rejected by the public index)",
    ),
    ("Classifier: Python :: 3", "classifier 'Python :: 3' does not exist (rejected by the public index)"),
    ("Classifier: Topic", "classifier 'Topic' does not exist (rejected by the public index)"),
    (
        "Classifier: Topic ::Software Development",
        "classifier 'Topic ::Software Development' does not exist",
    ),
    (
        f"Project-URL: {'x' * 33}, https://a.org",
        "of a URL has more than 32 characters (rejected by the public index)",
    ),
    ("License: MIT", "License and License-Expression are both set (rejected by the public index)"),
    ("Keywords: a\nKeywords: b", "metadata field keywords is unknown or malformed"),
    ("License-Expression: My own", "'My own' is invalid for 'license-expression'"),
    ("License-File: ../LICENSE", "'../LICENSE' is invalid for 'license-file'"),
    ("License-File: COPYING", f"license file COPYING is missing (expected at {INFO}/licenses/COPYING)"),
    ("Requires-Dist: six @ https://example.org/six.whl", "requirement six @ https://"),
    ("Requires-Dist: six >= one", "'six >= one' is invalid for 'requires-dist'"),
    ("Requires-Python: three", "'three' is invalid for 'requires-python'"),
    ("Provides-Extra: -fast-", "'-fast-' is invalid for 'provides-extra'"),
    ("Description-Content-Type: text/html", "'description-content-type' must be one of"),
    ("Description-Content-Type: text/markdown; charset=latin-1", "can only specify the UTF-8 charset"),
    ("Dynamic: version", "'version' is not allowed as a dynamic field"),
    ("Colour: blue", "metadata field colour is unknown or malformed"),
    ("Summary: a\nSummary: b", "metadata field summary is unknown or malformed"),
    ("Metadata-Version: 2.5\nImport-Name: a-b", "'a-b' is not a valid identifier"),
]


@pytest.mark.parametrize(("lines", "said"), FIELDS, ids=[said for _, said in FIELDS])
def test_metadata_fields_that_the_index_rejects(lines: str, said: str, tmp_path: Path) -> None:
    metadata = with_fields(*lines.splitlines()) if "\n " not in lines else with_fields(lines)
    for message in (findings := found(wheel(tmp_path, metadata=metadata))):
        assert message.startswith("error: ")
    assert sum(said in message for message in findings) == 1, findings
    assert len(findings) == 1 or "LICENSE" in said or "License-File" in lines, findings


def test_what_the_index_rejects_is_a_warning_for_private_packages(tmp_path: Path) -> None:
    metadata = with_fields("Classifier: Private :: Do Not Upload", f"Summary: {'x' * 513}")
    private = ExpectedArchive(name="demo-app", is_private=True)
    assert found(wheel(tmp_path, metadata=metadata), private) == [
        "warning: Summary has more than 512 characters (rejected by the public index)"
    ]
    path = wheel(tmp_path, metadata=METADATA.replace("Demo-App", "other"))
    assert found(path, private) == ["error: Name is 'other' in the metadata, but demo-app in the file name"]


def test_local_versions_are_rejected(tmp_path: Path) -> None:
    metadata, stem = with_fields("Version: 1.0+local"), "demo_app-1.0+local"
    for path in (
        wheel(tmp_path, metadata=metadata, name=f"{stem}-py3-none-any.whl"),
        sdist(tmp_path, metadata=metadata, name=f"{stem}.tar.gz", top=stem),
    ):
        assert found(path) == ["error: version 1.0+local is a local version (rejected by the public index)"]
        assert found(path, replace(PLAIN, is_private=True))[0].startswith("warning: ")


@pytest.mark.parametrize("names", ['"NOPE"', '"LICENSE", "docs/NOPE"'])
def test_a_license_file_that_only_pyproject_names_is_an_error(names: str, tmp_path: Path) -> None:
    settings = f"[project]\nlicense-files = [{names}]\n"
    files = {"pyproject.toml": settings, "LICENSE": "MIT\n", "src/demo_app.py": ""}
    missing = names.split('"')[-2]
    assert f"error: {missing} is missing (listed in [project] license-files)" in found(sdist(tmp_path, files))


def test_license_files_of_older_setuptools_are_accepted(tmp_path: Path) -> None:
    metadata = with_fields(
        "Metadata-Version: 2.1", "License-File: COPYING", "License: MIT", drop=["License-Expression"]
    )
    assert found(wheel(tmp_path, metadata=metadata)) == []


@pytest.mark.parametrize(
    ("drop", "missing"),
    [
        (["Requires-Python"], ["requires-python"]),
        (["Author-email", "Maintainer-email"], ["authors"]),
        (["Summary", "Classifier"], ["description", "classifiers"]),
        (["Project-URL", "License-Expression", "License-File"], ["license, urls"]),
    ],
)
def test_forgotten_fields_are_warnings(drop: list[str], missing: list[str], tmp_path: Path) -> None:
    path = wheel(tmp_path, metadata=with_fields(drop=drop))
    assert found(path) == [f"warning: metadata lacks {names}" for names in missing]
    private = with_fields("Classifier: Private :: Do Not Upload", drop=drop)
    assert found(wheel(tmp_path, metadata=private), replace(PLAIN, is_private=True)) == []


def test_a_license_classifier_is_a_license(tmp_path: Path) -> None:
    fields = "Classifier: License :: OSI Approved :: MIT License"
    assert found(wheel(tmp_path, metadata=with_fields(fields, drop=["License-Expression", "License-File"]))) == []


def test_a_file_above_the_default_limit_is_a_warning(tmp_path: Path) -> None:
    path = wheel(tmp_path, MODULES | {"demo_app/data.bin": b"x" * (102 << 20)})
    assert found(path) == ["warning: size is 102 MiB (the default limit of the public index is 100 MiB)"]


# --- identity ------------------------------------------------------------------------------------------


def test_a_name_or_version_that_differs_from_the_plan_is_an_error(tmp_path: Path) -> None:
    planned = ExpectedArchive(name="other", version=Version("2.0"))
    assert found(wheel(tmp_path), planned) == [
        "error: name is demo-app, but other was planned",
        "error: version is 1.0, but 2.0 was planned",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("Demo_App-1.0.tar.gz", "demo.app-1.0.tar.gz", "demo-app-1.0.tar.gz", "demo_app-01.0.tar.gz"),
        "Demo_App-1.0-py3-none-any.whl",
    ],
)
def test_file_names_have_to_be_normalized(name: str, tmp_path: Path) -> None:
    # PEP 427, PEP 625
    is_wheel = name.endswith(".whl")
    path = wheel(tmp_path, name=name) if is_wheel else sdist(tmp_path, name=name, top=name.removesuffix(".tar.gz"))
    right = f"demo_app-1.0{'-py3-none-any.whl' if is_wheel else '.tar.gz'}"
    assert found(path) == [f"error: file name is not normalized (the public index requires {right})"]


def test_requirements_have_to_match_the_plan(tmp_path: Path) -> None:
    planned = ExpectedArchive(name="demo-app", requires=("six>=2", 'attrs; extra == "fast"'))
    assert found(wheel(tmp_path), planned) == [
        "error: requirement six>=2 is in pyproject.toml, but not in the metadata",
        "error: requirement six>=1 is in the metadata, but not in pyproject.toml",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Foo.Bar[b,A] >= 1.0, <2", "foo-bar[a,b]<2,>=1.0"),
        ("a; (python_version<'3.9') and extra == 'X_y'", 'a; extra == "x-y" and python_version < "3.9"'),
        ("a @ https://example.org/a.whl", "a@https://example.org/a.whl"),
        ("a~=1.4.2", "a>=1.4.2,<1.5.0"),  # as poetry-core writes it
        ("a ~= 2.0", "a<3,>=2.0"),
        ("a; python_version < '3.11'", "a; python_full_version < '3.11'"),  # as uv_build writes it
        ("a; python_version < '3.11' and os_name != 'nt'", "a; os_name != 'nt' and python_full_version < '3.11'"),
        # Without clauses that others imply, as poetry-core writes them:
        ("a<3,<4", "a<3"),
        ("a<=3,<4", "a<=3"),
        ("a>1.0,>=1.0", "a>1.0"),
        ("a>=1.0.post1,>0.9.dev0", "a>=1.0.post1"),
        ("a~=1.4.2,>=1.0", "a>=1.4.2,<1.5.0"),
        ("a>=1,!=0.5", "a>=1"),
        ("a<2,!=2.9.*", "a<2"),
        ("a>=3,!=2.9.*", "a>=3"),
        ("a==1.5,>=1,!=1.4", "a==1.5"),
    ],
)
def test_requirements_that_accept_the_same_versions_are_equal(one: str, other: str) -> None:
    assert differing_requirements([one], [other], name="demo", with_markers=True) == ([], [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a<3,<4", "a<4"),
        ("a<3,<4", "a"),
        ("a<3,<4", "b<3"),
        ("a[x]<3,<4", "a<3"),
        ("a<3,<4; extra == 'x'", "a<3"),
        ("a @ https://example.org/a.whl", "a"),
        ("a<3,>=1", "a<3"),
        ("a>=2,!=2.9.*", "a>=2"),
        ("a>=2.9.5,!=2.9.*", "a>=2.9.5"),
        ("a<4rc1,<4", "a<4rc1"),  # <4 excludes 4b1
        ("a>=1.0.post1,>1.0", "a>=1.0.post1"),  # >1.0 excludes 1.0.post1
        ("a==1.0,!=1.0+local", "a==1.0"),
        ("a==1.*,>=1.2", "a==1.*"),
        ("a>3,<2", "a>3"),
        ("a===1.0,>=1.0", "a===1.0"),
        ("a>1", "a>=1"),
        ("a>=1!2", "a>=2"),
        ("a~=1.4.2", "a~=1.4"),
    ],
)
def test_requirements_that_accept_other_versions_differ(one: str, other: str) -> None:
    assert differing_requirements([one], [other], name="d") != ([], [])
    assert differing_requirements([other], [one], name="d") != ([], [])


@pytest.mark.parametrize("planned", ["six>=1,>=0.5; os_name == 'x'", "six>=1; python_version < '3.12'"])
def test_markers_that_differ_from_the_plan_are_a_warning(planned: str, tmp_path: Path) -> None:
    expected = ExpectedArchive(name="demo-app", requires=(planned, 'attrs; extra == "fast"'))
    (message,) = found(wheel(tmp_path), expected)
    assert message.startswith("warning: markers of requirements differ from pyproject.toml: six>=")


def test_different_requirements_differ() -> None:
    for one, other in (
        ("a; os_name == 'nt' or os_name == 'x'", "a; os_name == 'nt' and os_name == 'x'"),
        ("a; python_version < '3.11'", "a; python_version <= '3.11'"),
    ):
        assert differing_requirements([one], [other], name="d", with_markers=True)[0]
        assert differing_requirements([one], [other], name="d") == ([], [])
    assert differing_requirements(["a"], ["a; extra == 'x'"], name="d") == (["a"], ['a; extra == "x"'])
    assert differing_requirements([], ["a; extra == 'x'"], name="d") == ([], ['a; extra == "x"'])


def test_backends_may_resolve_extras_of_extras() -> None:
    planned = ["six", "attrs; extra == 'fast'", "demo[fast]; extra == 'all'"]
    built = ["six", "attrs; extra == 'fast'", "attrs; extra == 'all'"]
    assert differing_requirements(planned, built, name="demo") == ([], [])


# --- sdists --------------------------------------------------------------------------------------------


def test_all_files_of_an_sdist_are_in_one_directory(tmp_path: Path) -> None:
    (finding,) = found(sdist(tmp_path, None, tarfile.TarInfo("other/setup.py")))
    assert finding.startswith(f"error: top-level entries are {TOP}, other instead of a single directory")


def test_a_link_inside_an_sdist_is_a_warning(tmp_path: Path) -> None:
    link = tarfile.TarInfo(f"{TOP}/beside")
    link.type, link.linkname = tarfile.SYMTYPE, "LICENSE"
    assert found(sdist(tmp_path, None, link)) == [f"warning: contains a link: '{TOP}/beside' -> 'LICENSE'"]


def test_an_sdist_without_pyproject_cannot_be_built(tmp_path: Path) -> None:
    (finding,) = found(sdist(tmp_path, drop=["pyproject.toml"]), GOOD)
    assert finding.startswith("error: pyproject.toml is missing (the sdist cannot be built")


def test_an_sdist_with_setup_py_only_is_a_warning(tmp_path: Path) -> None:
    path = sdist(tmp_path, {"setup.py": ""}, drop=["pyproject.toml"])
    assert found(path) == ["warning: pyproject.toml is missing (builds from setup.py alone are deprecated)"]
    assert any(finding.startswith("error: pyproject.toml is missing") for finding in found(path, GOOD))


def test_untracked_files_in_an_sdist_are_a_warning(tmp_path: Path) -> None:
    module = {"src/demo_app/__init__.py": ""}
    generated = dict.fromkeys(
        ["setup.cfg", "src/demo_app.egg-info/SOURCES.txt", "src/demo_app/_version.py", ".gitignore"], ""
    )
    assert found(sdist(tmp_path, module | generated), GOOD) == []
    path = sdist(tmp_path, module | dict.fromkeys(["notes.txt", "a", "b", "c"], ""))
    assert found(path, GOOD) == ["warning: contains files that git does not track: a, b, c and 1 more"]


def test_modules_missing_from_an_sdist_are_a_warning(tmp_path: Path) -> None:
    # the classic mistake, a subpackage that no pattern names.
    more = TRACKED | {"src/demo_app/sub/__init__.py", "src/demo_app/tests/test_it.py", "noxfile.py"}
    expected = ExpectedArchive(name="demo-app", tracked_files=more)
    assert found(sdist(tmp_path), expected) == [
        "warning: lacks modules of a package that it contains: src/demo_app/sub/__init__.py"
    ]


# --- wheels --------------------------------------------------------------------------------------------

SCRIPTS = f"{INFO}/entry_points.txt"


def with_tag(tag: str) -> Make:
    """A wheel with this tag in its WHEEL file."""
    return lambda to: wheel(to, MODULES | {f"{INFO}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"})


WHEELS: list[tuple[str, Make]] = [
    ("error: RECORD is wrong: Unable to retrieve `RECORD`", lambda to: wheel(to, record="x" * 200_000)),
    ("error: Wheel-Version is missing in the WHEEL file", lambda to: wheel(to, drop=[f"{INFO}/WHEEL"])),
    (
        "error: Wheel-Version is 2.0 in the WHEEL file (installers support 1.x)",
        lambda to: wheel(to, MODULES | {f"{INFO}/WHEEL": "Wheel-Version: 2.0\nTag: py3-none-any\n"}),
    ),
    ("error: the tags in the WHEEL file differ from those in the file name", with_tag("cp311-cp311-win32")),
    (
        "error: the tags in the WHEEL file differ from those in the file name",  # without expanding 10 billion
        with_tag("-".join([".".join(f"x{number}" for number in range(2200))] * 3)),
    ),
    (
        f"error: metadata directory is {INFO}, other-1.0.dist-info, expected {INFO}",
        lambda to: wheel(to, MODULES | {"other-1.0.dist-info/x": ""}),
    ),
    (
        "warning: is tagged for any platform, but contains demo_app/a.so",
        lambda to: wheel(to, MODULES | {"demo_app/a.so": ""}),
    ),
    *(
        (f"error: {said}", lambda to, text=text: wheel(to, MODULES | {SCRIPTS: text}))
        for said, text in {
            "script run = 'demo_app' does not refer to a function": "[console_scripts]\nrun = demo_app\n",
            "entry point run = 'a/cli.py' is not an object reference": "[gui_scripts]\nrun = a/cli.py\n",
            "entry_points.txt cannot be parsed: ": "run = x\n",
            "script name 'run it' is rejected by the public index": "[console_scripts]\nrun it = demo_app:main\n",
            "script name 'run+' is rejected by the public index": "[gui_scripts]\nrun+ = demo_app:main\n",
        }.items()
    ),
]


@pytest.mark.parametrize(("said", "make"), WHEELS, ids=[said for said, _ in WHEELS])
def test_invalid_wheels(said: str, make: Make, tmp_path: Path) -> None:
    findings = found(make(tmp_path))
    assert any(finding.startswith(said) for finding in findings), findings


@pytest.mark.parametrize(
    ("platform", "taken"),
    [
        ("any", True),
        ("win_arm64", True),
        ("manylinux_2_28_x86_64", True),
        ("manylinux2014_aarch64", True),
        ("musllinux_1_2_riscv64", True),
        ("macosx_10_9_universal2", True),
        ("macosx_15_0_arm64", True),
        ("macosx_26_0_arm64", True),
        ("pyemscripten_2026_0_wasm32", True),
        ("linux_armv7l", True),
        ("ios_13_0_arm64_iphoneos", True),
        ("android_24_arm64_v8a", True),
        ("linux_aarch64", False),
        ("manylinux_2_28_mips", False),
        ("musllinux_1_2_ppc64", False),
        ("macosx_12_3_arm64", False),
        ("macosx_16_0_arm64", False),
        ("macosx_10_9_fat32", False),
        ("pyodide_2025_0_wasm32", False),
    ],
)
def test_platform_tags_that_the_public_index_accepts(platform: str, taken: bool, tmp_path: Path) -> None:
    findings = found(wheel(tmp_path, name=f"{TOP}-py3-none-{platform}.whl"))
    assert any("is rejected by the public index" in finding for finding in findings) is not taken


def test_metadata_of_vendored_packages_is_ignored(tmp_path: Path) -> None:
    # setuptools ships a dozen of them below `_vendor`.
    carried = {
        f"demo_app/_vendor/six-1.0.dist-info/{name}": f"x {name}"
        for name in ("RECORD", "WHEEL", "entry_points.txt")
    }
    path = wheel(tmp_path, carried | MODULES)
    assert found(path) == []


def test_findings_of_check_wheel_contents_are_warnings(tmp_path: Path) -> None:
    path = wheel(tmp_path, MODULES | {"demo_app/__pycache__/x.pyc": b"x"})
    assert found(path) == [
        "warning: check-wheel-contents W001: Wheel contains .pyc/.pyo files: demo_app/__pycache__/x.pyc"
    ]


# --- secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [sdist, wheel])
@pytest.mark.parametrize(("token", "held"), TOKENS.items(), ids=range(len(TOKENS)))
def test_tokens_are_reported_without_their_value(token: str, held: str, kind: Make, tmp_path: Path) -> None:
    planted: Any = {"demo_app/__init__.py": f"x = 1\nKEY = '{token}'\n"}
    path = kind(tmp_path, planted)  # type: ignore[call-arg]
    findings = found(path)
    assert len(findings) == 1, findings
    assert findings[0].startswith("error: ")
    assert findings[0].endswith(f"demo_app/__init__.py contains {held} (line 2)")
    assert LETTERS[:8] not in findings[0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (".env", "API_TOKEN=abc", "error: demo_app-1.0/.env contains local settings (according to its name)"),
        (".env.local", "export DB_PASSWORD='x'", "error: demo_app-1.0/.env.local contains local settings"),
        (".env", "COMPOSE_PROJECT=demo", "warning: demo_app-1.0/.env contains local settings"),
        (".pypirc", "[pypi]\n", "error: demo_app-1.0/.pypirc contains credentials of package indexes"),
        (".netrc", "machine x", "error: demo_app-1.0/.netrc contains credentials of servers"),
        ("keys/id_rsa", "x", "error: demo_app-1.0/keys/id_rsa contains a private SSH key"),
        (".git-credentials", "x", "error: demo_app-1.0/.git-credentials contains credentials of git"),
        (".aws/credentials", "x", "error: demo_app-1.0/.aws/credentials contains credentials of a cloud"),
        ("demo.p12", "x", "warning: demo_app-1.0/demo.p12 is a key store (according to its name)"),
        (
            "tests/.pypirc",
            "[pypi]\n",
            "warning: demo_app-1.0/tests/.pypirc contains credentials of package indexes",
        ),
    ],
)
def test_files_with_secrets_are_known_by_name(name: str, content: str, said: str, tmp_path: Path) -> None:
    findings = found(sdist(tmp_path, {name: content}))
    assert len(findings) == 1
    assert findings[0].startswith(said)


LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"


@pytest.mark.parametrize("kind", [sdist, wheel])
def test_pointers_of_git_lfs_are_errors_except_in_tests(kind: Make, tmp_path: Path) -> None:
    planted: Any = {"demo_app/__init__.py": "x = 1\n", "demo_app/model.bin": LFS_POINTER}
    (finding,) = found(kind(tmp_path, planted))  # type: ignore[call-arg]
    assert finding.startswith("error: ")
    assert finding.endswith("demo_app/model.bin is a pointer of Git LFS, not the file itself")
    planted = {"demo_app/__init__.py": "x = 1\n", "demo_app/tests/model.bin": LFS_POINTER}
    (finding,) = found(kind(tmp_path, planted))  # type: ignore[call-arg]
    assert finding.startswith("warning: ")
    planted = {"demo_app/__init__.py": "x = 1\n", "demo_app/lfs.txt": f"{LFS_POINTER}{'text ' * 300}"}
    assert found(kind(tmp_path, planted)) == []  # type: ignore[call-arg]


def test_untracked_local_settings_are_an_error(tmp_path: Path) -> None:
    findings = found(sdist(tmp_path, {".env": "COMPOSE_PROJECT=demo", "src/demo_app/__init__.py": ""}), GOOD)
    assert findings == [
        "warning: contains files that git does not track: .env",
        "error: demo_app-1.0/.env contains local settings (according to its name)",
    ]


@pytest.mark.parametrize(
    "name", [".env.example", ".env.sample", "env.py", "id_rsa.pub", "secrets.py", "tests/cert.pem"]
)
def test_templates_and_public_keys_are_not_secrets(name: str, tmp_path: Path) -> None:
    content = "API_TOKEN=\n-----BEGIN CERTIFICATE-----\n" + LETTERS
    assert found(sdist(tmp_path, {name: content})) == []


@pytest.mark.parametrize(
    "content",
    [
        "ghp" + "_" + "x" * 36,
        "AKIA" + "IOSFODNN7EXAMPLE",
        "npm" + "_" + "0123456789" * 3 + "abcdef",
        "a" + "ghp" + "_" + LETTERS[:36],
        "if text.startswith('-----BEGIN " + "PRIVATE KEY-----'): pass",
        "-----BEGIN " + "PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN " + "PUBLIC KEY-----\n" + LETTERS,
    ],
)
def test_placeholders_are_not_secrets(content: str, tmp_path: Path) -> None:
    assert found(sdist(tmp_path, {"demo.py": content})) == []


@pytest.mark.parametrize("pattern", ["*.key", "certs/*", "certs/server.key", "ldapserver/certs/server.key"])
@pytest.mark.parametrize("kind", [sdist, wheel])
def test_keys_that_are_not_secret_can_be_allowed_by_path(kind: Make, pattern: str, tmp_path: Path) -> None:
    key = next(token for token in TOKENS if "RSA" in token)
    planted: Any = {"demo_app/__init__.py": "", "demo_app/ldapserver/certs/server.key": key}
    path = kind(tmp_path, planted)  # type: ignore[call-arg]
    (problem,) = checks.check_archive(archives.read_archive(path), PLAIN)
    assert problem.level == "error"
    assert '[tool.relnox] fake-secrets = ["certs/server.key"]' in problem.fix
    assert found(path, replace(PLAIN, fake_secrets=(pattern,))) == []
    assert len(found(path, replace(PLAIN, fake_secrets=("other/*.key", "server", "certs")))) == 1


@pytest.mark.parametrize(
    ("code", "program"),
    [
        ("__pyarmor" + "__(__name__, __file__, b'...')", "Pyarmor"),
        ("__pyarmor" + "_enter__(1)", "Pyarmor"),
        ("---BEGIN PYE" + " FILE---\nabc\n---END PYE FILE---", "SourceDefender"),
    ],
)
@pytest.mark.parametrize("kind", [sdist, wheel])
def test_encrypted_code_is_rejected(kind: Make, code: str, program: str, tmp_path: Path) -> None:
    planted: Any = {"demo_app/__init__.py": f"from runtime import x\n{code}\n"}
    (finding,) = found(kind(tmp_path, planted))  # type: ignore[call-arg]
    assert finding.startswith("error: ")
    assert finding.endswith(f"demo_app/__init__.py is encrypted by {program} (rejected by the public index)")


@pytest.mark.parametrize("name", ["tests/certificates/server.pem", "src/ssl_test.cc", "src/test_creds/ca.key"])
def test_keys_in_tests_are_a_warning(name: str, tmp_path: Path) -> None:
    key = next(token for token in TOKENS if "RSA" in token)
    findings = found(sdist(tmp_path, {name: key}))
    assert findings == [f"warning: demo_app-1.0/{name} contains a private key (line 1)"]


# --- pairs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ("Version: 2.0", "error: is demo-app 1.0, but its sdist is demo-app 2.0"),
        ("Requires-Dist: six>=2", "error: requirement six>=2 is not in the metadata of its sdist"),
        ("Requires-Dist: attrs", "error: requirement six>=1 is in the metadata of its sdist only"),
        ("Requires-Python: >=3.12", "error: Requires-Python is '>=3.12', but '>=3.11' in its sdist"),
        ("Provides-Extra: other", "error: Provides-Extra is ['other'], but ['fast'] in its sdist"),
    ],
)
def test_static_metadata_of_the_sdist_has_to_match_in_the_wheel(built: str, said: str, tmp_path: Path) -> None:
    # PEP 643
    if built.startswith("Version"):
        one = archives.read_archive(sdist(tmp_path, name="demo_app-2.0.tar.gz", metadata=with_fields(built)))
        findings = checks.check_wheels_against_sdist([one, archives.read_archive(wheel(tmp_path))])
        assert [f"{each.level}: {each.message}" for each in findings] == [said]
        return
    assert any(message.startswith(said) for message in paired(tmp_path, built=with_fields(built)))
    dynamic = with_fields(f"Dynamic: {built.partition(':')[0]}")
    assert paired(tmp_path, promised=dynamic, built=with_fields(built)) == []
    old = with_fields("Metadata-Version: 2.1")
    assert paired(tmp_path, promised=old, built=with_fields(built)) == []


def test_equivalent_metadata_fields_are_equal(tmp_path: Path) -> None:
    built = with_fields(
        "Classifier: Programming Language :: Python :: 3",
        "Classifier: Development Status :: 3 - Alpha",
        "Requires-Dist: attrs ; extra == 'fast'",
        "Requires-Dist: six >= 1",
        "Requires-Python: >= 3.11",
    )
    assert paired(tmp_path, built=built) == []


def test_modules_of_a_wheel_that_differ_from_its_sdist(tmp_path: Path) -> None:
    source = {"src/demo_app/__init__.py": "x = 1\n", "lib/old.py": "y = 1\n"}
    built = {
        "demo_app/__init__.py": "x = 2\n",
        "demo_app/moved.py": "y = 1\n",
        "demo_app/new.py": "z = 1\n",
        "demo_app/_version.py": "v = 1\n",
    }
    assert paired(tmp_path, sdist=source, wheel=built) == [
        "warning: has files that differ from those in its sdist: demo_app/__init__.py",
        "warning: has files that are not in its sdist: demo_app/new.py",
    ]


# --- whatever it is ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@given(data=st.data(), kind=st.sampled_from(["sdist", "wheel"]))
def test_a_damaged_archive_has_findings_and_no_traceback(
    data: st.DataObject, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.getbasetemp() / "damaged"
    directory.mkdir(exist_ok=True)
    path = wheel(directory) if kind == "wheel" else sdist(directory)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with suppress(Failed):
        checks.check_archive(archives.read_archive(path), PLAIN)
