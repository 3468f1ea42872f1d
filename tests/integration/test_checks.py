"""A corpus of archives that are not right: each made from scratch, each refused in words of its own."""

from __future__ import annotations

import io
import sys
import tarfile
import types
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from packed import INFO, METADATA, MODULES, TOP, digest, sdist, wheel, with_fields

from relnox.building import archives, checks
from relnox.building.archives import ArchiveError
from relnox.building.checks import identity
from relnox.building.checks.identity import ExpectedArchive
from relnox.building.checks.index_rules import ACCEPTED_PLATFORMS
from relnox.building.checks.requirements import differing_requirements
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
        findings = checks.check_archive(archives.read(path), expected)
    except ArchiveError as error:
        return [f"error: {error.reason}"]
    assert all(finding.file == path.name and finding.fix for finding in findings)
    return [f"{finding.level}: {finding.message}" for finding in findings]


def paired(
    directory: Path, *, promised: str = METADATA, built: str = METADATA, **files: dict[str, str]
) -> list[str]:
    one = archives.read(sdist(directory, files.get("sdist"), metadata=promised))
    findings = checks.check_wheel_against_sdist(
        one, archives.read(wheel(directory, files.get("wheel"), metadata=built))
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
    ("Summary: " + "x" * 513, "Summary has 513 characters (the public index accepts at most 512)"),
    ("Summary: one\n  two", "'summary' must be a single line"),
    (
        "Project-URL: " + "x" * 33 + ", https://example.org",
        "has 33 characters (the public index accepts at most 32)",
    ),
    (
        "Project-URL: A, https://a.org\nProject-URL: A, https://b.org",
        "metadata field project-url is unknown or malformed",
    ),
    ("Classifier: Private :: Do Not Upload", "'Private :: Do Not Upload' prevents uploads to the public index"),
    ("Classifier: Natural Language :: Ukranian", "'Natural Language :: Ukranian' is deprecated"),
    ("Classifier: Python :: 3", "classifier 'Python :: 3' is not known to the public index"),
    ("Classifier: Topic", "classifier 'Topic' is not known to the public index"),
    ("Classifier: Topic ::Software Development", "classifier 'Topic ::Software Development' is not known"),
    ("Keywords: a\nKeywords: b", "metadata field keywords is unknown or malformed"),
    ("License: MIT", "metadata has both License and License-Expression"),
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
        "warning: Summary has 513 characters (the public index accepts at most 512)"
    ]
    path = wheel(tmp_path, metadata=METADATA.replace("Demo-App", "other"))
    assert found(path, private) == ["error: Name is 'other' in the metadata, but demo-app in the file name"]


def test_metadata_without_metadata_version_is_rejected(tmp_path: Path) -> None:
    metadata = with_fields(drop=["Metadata-Version"])
    assert "error: Metadata-Version is missing" in found(wheel(tmp_path, metadata=metadata))


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_local_versions_are_rejected(kind: str, tmp_path: Path) -> None:
    metadata, stem = with_fields("Version: 1.0+local"), "demo_app-1.0+local"
    if kind == "wheel":
        path = wheel(tmp_path, metadata=metadata, name=f"{stem}-py3-none-any.whl")
    else:
        path = sdist(tmp_path, metadata=metadata, name=f"{stem}.tar.gz", top=stem)
    assert found(path) == ["error: version 1.0+local is a local version (rejected by the public index)"]


def test_a_license_declared_twice_is_a_warning(tmp_path: Path) -> None:
    # PEP 639
    metadata = with_fields("Classifier: License :: OSI Approved :: MIT License")
    assert found(wheel(tmp_path, metadata=metadata)) == [
        (
            "warning: license is declared as 'MIT OR Apache-2.0' and as a classifier "
            "(License :: OSI Approved :: MIT License)"
        )
    ]


def test_license_files_of_older_setuptools_are_accepted(tmp_path: Path) -> None:
    metadata = with_fields("Metadata-Version: 2.1", "License-File: COPYING", drop=["License-Expression"])
    assert found(wheel(tmp_path, metadata=metadata)) == []


def test_a_file_above_the_default_limit_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relnox.building.checks.index_rules.MAX_FILE_SIZE", 1 << 20)
    path = wheel(tmp_path, MODULES | {"demo_app/data.bin": b"x" * (3 << 20)})
    assert found(path) == ["warning: size is 3 MiB (the default limit of the public index is 1 MiB)"]


def test_trove_classifiers_is_used_if_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists: Any = types.ModuleType("trove_classifiers")
    lists.classifiers = {"Development Status :: 3 - Alpha"}
    lists.deprecated_classifiers = {}
    monkeypatch.setitem(sys.modules, "trove_classifiers", lists)
    assert found(wheel(tmp_path)) == [
        "error: classifier 'Programming Language :: Python :: 3' is not known to the public index"
    ]


# --- identity ------------------------------------------------------------------------------------------


def test_a_name_or_version_that_differs_from_the_plan_is_an_error(tmp_path: Path) -> None:
    planned = ExpectedArchive(name="other", version=Version("2.0"))
    assert found(wheel(tmp_path), planned) == [
        "error: name is demo-app, but other was planned",
        "error: version is 1.0, but 2.0 was planned",
    ]


def test_metadata_that_differs_from_the_file_name_is_an_error(tmp_path: Path) -> None:
    path = wheel(tmp_path, metadata=with_fields("Name: other", "Version: 2.0"))
    assert found(path) == [
        "error: Name is 'other' in the metadata, but demo-app in the file name",
        "error: Version is '2.0' in the metadata, but 1.0 in the file name",
    ]


@pytest.mark.parametrize("name", ["Demo_App-1.0", "demo.app-1.0", "demo-app-1.0", "demo_app-01.0"])
def test_file_names_of_sdists_have_to_be_normalized(name: str, tmp_path: Path) -> None:
    # PEP 625
    path = sdist(tmp_path, name=f"{name}.tar.gz", top=name)
    assert found(path) == ["error: file name is not normalized (rejected by the public index)"]


def test_file_names_of_wheels_have_to_be_normalized(tmp_path: Path) -> None:
    path = wheel(tmp_path, name="Demo_App-1.0-py3-none-any.whl")
    assert found(path) == ["error: file name is not normalized (rejected by the public index)"]
    path = wheel(tmp_path, name="demo_app-1.00-py3-none-any.whl")
    assert found(path, GOOD) == ["warning: version in the file name is not normalized (1.0)"]


def test_prohibited_project_names(tmp_path: Path) -> None:
    metadata, name = with_fields("Name: asyncio"), "asyncio-1.0-py3-none-any.whl"
    path = wheel(tmp_path, metadata=metadata, name=name)
    assert found(path, ExpectedArchive(name="asyncio")) == [
        (
            "warning: project name asyncio is a module of Python's standard library (the public index accepts no "
            "new project of that name)"
        )
    ]
    metadata, name = with_fields("Name: requirements.txt"), "requirements_txt-1.0-py3-none-any.whl"
    path = wheel(tmp_path, metadata=metadata, name=name)
    assert found(path, ExpectedArchive(name="requirements-txt")) == [
        "error: project name requirements-txt is prohibited on the public index"
    ]


def test_a_file_name_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    name = "demo_app-1.0-" + ".".join(f"py{number}" for number in range(200, 238)) + "-none-any.whl"
    assert found(wheel(tmp_path, name=name)) == [
        f"error: file name has {len(name)} characters (the public index accepts at most 246)"
    ]


def test_requirements_have_to_match_the_plan(tmp_path: Path) -> None:
    planned = ExpectedArchive(name="demo-app", requires=("six>=2", 'attrs; extra == "fast"'))
    assert found(wheel(tmp_path), planned) == [
        "error: requirement six>=2 is in pyproject.toml, but not in the metadata",
        "error: requirement six>=1 is in the metadata, but not in pyproject.toml",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
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
def test_redundant_clauses_can_be_ignored(one: str, other: str) -> None:
    assert differing_requirements([one], [other], name="d") != ([], [])
    assert differing_requirements([one], [other], name="d", redundant=False) == ([], [])
    assert differing_requirements([other], [one], name="d", redundant=False) == ([], [])


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
    ],
)
def test_other_clauses_are_not_redundant(one: str, other: str) -> None:
    assert differing_requirements([one], [other], name="d", redundant=False) != ([], [])


def test_requirements_that_differ_in_redundant_clauses_are_a_warning(tmp_path: Path) -> None:
    planned = ExpectedArchive(name="demo-app", requires=("six>=1,>=0.5", 'attrs; extra == "fast"'))
    assert found(wheel(tmp_path), planned) == [
        "warning: redundant clauses of requirements differ from pyproject.toml: six>=0.5,>=1"
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
    ],
)
def test_equivalent_requirements_are_equal(one: str, other: str) -> None:
    assert differing_requirements([one], [other], name="demo", markers=True) == ([], [])


def test_different_requirements_differ() -> None:
    for one, other in (
        ("a; os_name == 'nt' or os_name == 'x'", "a; os_name == 'nt' and os_name == 'x'"),
        ("a; python_version < '3.11'", "a; python_version <= '3.11'"),
    ):
        assert differing_requirements([one], [other], name="d", markers=True)[0]
        assert differing_requirements([one], [other], name="d") == ([], [])
    assert differing_requirements(["a"], ["a; extra == 'x'"], name="d") == (["a"], ['a; extra == "x"'])
    assert differing_requirements([], ["a; extra == 'x'"], name="d") == ([], ['a; extra == "x"'])
    assert differing_requirements(["a>1"], ["a>=1"], name="d") == (["a>1"], ["a>=1"])


def test_backends_may_resolve_extras_of_extras() -> None:
    planned = ["six", "attrs; extra == 'fast'", "demo[fast]; extra == 'all'"]
    built = ["six", "attrs; extra == 'fast'", "attrs; extra == 'all'"]
    assert differing_requirements(planned, built, name="demo") == ([], [])


@given(
    st.permutations(["six>=1", "attrs<3,>=2", "toml; extra == 'x'", "a[b,c]; os_name == 'nt' and extra == 'y'"])
)
def test_the_order_of_requirements_is_irrelevant(shuffled: list[str]) -> None:
    assert differing_requirements(sorted(shuffled), shuffled, name="demo") == ([], [])


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True), st.integers(0, 9999))
def test_normalized_file_names_are_accepted_for_any_project_name(name: str, number: int) -> None:
    import pathlib

    from packaging.utils import canonicalize_name

    normal = canonicalize_name(name)
    archive = archives.Archive(
        path=pathlib.Path(f"{normal.replace('-', '_')}-{number}.tar.gz"),
        kind="sdist",
        name=normal,
        version=Version(str(number)),
        tags=frozenset(),
        name_in_metadata=name,
        version_in_metadata=str(number),
        requires=(),
        import_names=None,
        entries=(),
        member_names=(),
        metadata=b"",
    )
    said = [each.message for each in identity.check_identity(archive, ExpectedArchive(name=normal))]
    assert [message for message in said if "standard library" not in message] == []


# --- sdists --------------------------------------------------------------------------------------------


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


MEMBERS: list[tuple[tarfile.TarInfo, str]] = [
    (
        special(f"{TOP}/passwd", tarfile.SYMTYPE, "/etc/passwd"),
        f"error: contains a link to a target outside the sdist: '{TOP}/passwd' -> '/etc/passwd'",
    ),
    (
        special(f"{TOP}/up", tarfile.SYMTYPE, "../../outside"),
        f"error: contains a link to a target outside the sdist: '{TOP}/up' -> ",
    ),
    (
        special(f"{TOP}/hard", tarfile.LNKTYPE, "../../outside"),
        f"error: contains a link to a target outside the sdist: '{TOP}/hard'",
    ),
    (
        special(f"{TOP}/beside", tarfile.SYMTYPE, "LICENSE"),
        f"warning: contains a link: '{TOP}/beside' -> 'LICENSE'",
    ),
    (special(f"{TOP}/null", tarfile.CHRTYPE), f"error: contains a device, a pipe or a sparse file: '{TOP}/null'"),
    (special(f"{TOP}/pipe", tarfile.FIFOTYPE), f"error: contains a device, a pipe or a sparse file: '{TOP}/pipe'"),
    (
        special(f"{TOP}/../../up.py", tarfile.REGTYPE),
        f"error: member name points outside the archive (..): '{TOP}/../../up.py'",
    ),
    (special(f"{TOP}/a\\b.py", tarfile.REGTYPE), "member name has a backslash"),
    (special(f"{TOP}/bell\x07.py", tarfile.REGTYPE), "member name has control characters"),
    (special(f"{TOP}/LICENSE", tarfile.REGTYPE), f"error: contains '{TOP}/LICENSE' 2 times"),
    (special(f"{TOP}/license", tarfile.REGTYPE), "error: member names differ in case or Unicode form only"),
    (
        special("other/setup.py", tarfile.REGTYPE),
        f"error: top-level entries are {TOP}, other instead of the single directory",
    ),
]


@pytest.mark.parametrize(("member", "said"), MEMBERS, ids=[said for _, said in MEMBERS])
def test_invalid_members_of_an_sdist(member: tarfile.TarInfo, said: str, tmp_path: Path) -> None:
    findings = found(sdist(tmp_path, None, member))
    assert any(said in finding for finding in findings), findings


def test_the_top_level_directory_of_an_sdist_has_its_name(tmp_path: Path) -> None:
    assert found(sdist(tmp_path, top="src")) == [f"warning: top-level directory is src instead of {TOP}"]


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        ("pyproject.toml", "error: pyproject.toml is missing (the sdist cannot be built)"),
        ("README.md", "error: README.md is missing (project.readme refers to it)"),
        ("LICENSE", "error: LICENSE is missing (project.license-files refers to it)"),
    ],
)
def test_files_missing_from_an_sdist(drop: str, said: str, tmp_path: Path) -> None:
    assert said in found(sdist(tmp_path, drop=[drop]), GOOD)


def test_an_sdist_with_setup_py_only_is_a_warning(tmp_path: Path) -> None:
    path = sdist(tmp_path, {"setup.py": ""}, drop=["pyproject.toml"])
    assert found(path) == ["warning: pyproject.toml is missing (builds from setup.py alone are deprecated)"]
    assert "error: pyproject.toml is missing, although git tracks it" in found(path, GOOD)


def test_untracked_files_in_an_sdist_are_a_warning(tmp_path: Path) -> None:
    module = {"src/demo_app/__init__.py": ""}
    generated = dict.fromkeys(["setup.cfg", "src/demo_app.egg-info/SOURCES.txt", "src/demo_app/_version.py"], "")
    assert found(sdist(tmp_path, module | generated), GOOD) == []
    path = sdist(tmp_path, module | dict.fromkeys(["notes.txt", "a", "b", "c"], ""))
    assert found(path, GOOD) == ["warning: contains files that git does not track: a, b, c and 1 more"]


def test_files_copied_from_a_parent_directory_are_accepted(tmp_path: Path) -> None:
    path = sdist(tmp_path, {f"src/{name}": text for name, text in MODULES.items()} | {".gitignore": "/dist/\n"})
    brought = "warning: contains files that git does not track: .gitignore"
    for above, reported in ((), True), ((".gitignore", b"/dist/\n"), False), ((".gitignore", b"other\n"), True):
        expected = ExpectedArchive(
            name="demo-app", tracked_files=TRACKED, parent_directory_files=(above,) if above else ()
        )
        assert (brought in found(path, expected)) is reported


def test_modules_missing_from_an_sdist_are_a_warning(tmp_path: Path) -> None:
    # the classic mistake, a subpackage that no pattern names.
    more = TRACKED | {"src/demo_app/sub/__init__.py", "src/demo_app/tests/test_it.py", "noxfile.py"}
    expected = ExpectedArchive(name="demo-app", tracked_files=more)
    assert found(sdist(tmp_path), expected) == [
        "warning: lacks modules of a package that it contains: src/demo_app/sub/__init__.py"
    ]


def test_a_decompression_bomb_is_rejected_in_an_sdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relnox.building.archives._MIN_UNPACKED_SIZE", 1 << 20)
    path = sdist(tmp_path, {"zeros": bytes(4 << 20)})
    assert found(path) == ["error: unpacks to more than 100 times its size"]


def test_sdists_in_other_formats_are_rejected(tmp_path: Path) -> None:
    # the public index reads sdists as gzip.
    path = tmp_path / f"{TOP}.tar.gz"
    with tarfile.open(path, "w:bz2") as archive:
        archive.addfile(tarfile.TarInfo(f"{TOP}/PKG-INFO"), io.BytesIO())
    with pytest.raises(Failed, match="Not a gzipped file"):
        archives.read(path)
    with pytest.raises(Failed, match="is a zip file instead of"):
        archives.read(wheel(tmp_path).rename(tmp_path / f"{TOP}.zip"))


# --- wheels --------------------------------------------------------------------------------------------

SCRIPTS = f"{INFO}/entry_points.txt"
WHEELS: list[tuple[str, Make]] = [
    (
        f"error: files are missing from RECORD: {INFO}/METADATA, {INFO}/WHEEL, {INFO}/entry_points.txt and 3 more",
        lambda to: wheel(to, record=f"{INFO}/RECORD,,\n"),
    ),
    ("error: RECORD is missing", lambda to: wheel(to, drop=[f"{INFO}/RECORD"])),
    ("error: the WHEEL file is missing", lambda to: wheel(to, drop=[f"{INFO}/WHEEL"])),
    (
        "error: files listed in RECORD are missing: demo_app/py.typed",
        lambda to: wheel(to, drop=["demo_app/py.typed"]),
    ),
    (
        "error: files have no secure hash in RECORD: demo_app/__init__.py",
        lambda to: wheel(to, record="demo_app/__init__.py,md5=x,1\n"),
    ),
    (
        "error: files do not match their hash or size in RECORD: demo_app/__init__.py",
        lambda to: wheel(to, record=f"demo_app/__init__.py,{digest(b'other')},5\n"),
    ),
    ("error: RECORD cannot be read: ", lambda to: wheel(to, record="x" * 200_000)),
    (
        "error: the tags in the WHEEL file differ from those in the file name",
        lambda to: wheel(to, MODULES | {f"{INFO}/WHEEL": "Wheel-Version: 1.0\nTag: cp311-cp311-win32\n"}),
    ),
    (
        "error: Wheel-Version is '2.0' in the WHEEL file (installers support 1.x)",
        lambda to: wheel(to, MODULES | {f"{INFO}/WHEEL": "Wheel-Version: 2.0\nTag: py3-none-any\n"}),
    ),
    (
        (
            "error: metadata directory is demo_app-1.0.dist-info, other-1.0.dist-info, "
            "expected demo_app-1.0.dist-info"
        ),
        lambda to: wheel(to, MODULES | {"other-1.0.dist-info/x": ""}),
    ),
    (
        "error: member name points outside the archive (..): '../outside.py'",
        lambda to: wheel(to, MODULES | {"../outside.py": ""}),
    ),
    ("error: member name is absolute: '/etc/passwd'", lambda to: wheel(to, MODULES | {"/etc/passwd": ""})),
    ("error: is empty (no modules, scripts or data)", lambda to: wheel(to, {}, drop=[SCRIPTS])),
    (
        "warning: is tagged for any platform, but contains demo_app/a.so",
        lambda to: wheel(to, MODULES | {"demo_app/a.so": ""}),
    ),
    (
        "error: script '../run' would be installed outside the scripts directory",
        lambda to: wheel(to, MODULES | {SCRIPTS: "[console_scripts]\n../run = demo_app:main\n"}),
    ),
    (
        "error: script run = 'demo_app' does not refer to a function",
        lambda to: wheel(to, MODULES | {SCRIPTS: "[console_scripts]\nrun = demo_app\n"}),
    ),
    (
        "error: entry point run = 'demo_app/cli.py' is not an object reference (module:object)",
        lambda to: wheel(to, MODULES | {SCRIPTS: "[gui_scripts]\nrun = demo_app/cli.py\n"}),
    ),
    (
        "error: entry point group 'my plugins' has an invalid name",
        lambda to: wheel(to, MODULES | {SCRIPTS: "[my plugins]\nx = demo_app\n"}),
    ),
    ("error: entry_points.txt cannot be parsed: ", lambda to: wheel(to, MODULES | {SCRIPTS: "run = x\n"})),
    (
        "error: platform tag linux_x86_64 is rejected by the public index",
        lambda to: wheel(to, name=f"{TOP}-cp311-cp311-linux_x86_64.whl"),
    ),
    (
        "error: platform tag macosx_11_3_arm64 is rejected by the public index",
        lambda to: wheel(to, name=f"{TOP}-cp311-cp311-macosx_11_3_arm64.whl"),
    ),
    (
        "error: platform tag freebsd_14_amd64 is rejected by the public index",
        lambda to: wheel(to, name=f"{TOP}-cp311-cp311-freebsd_14_amd64.whl"),
    ),
    (
        f"error: contains a file with an unsupported compression method: '{INFO}/METADATA'",
        lambda to: wheel(to, compression=zipfile.ZIP_BZIP2),
    ),
    (
        "error: has bytes before the zip archive",
        lambda to: changed(wheel(to), lambda old: b"#!/bin/sh\n" + old),
    ),
    (
        "error: has bytes after the end of the zip archive",
        lambda to: changed(wheel(to), lambda old: old + b"trailing"),
    ),
    ("error: cannot be read completely (File name in directory", lambda to: changed(wheel(to), _renamed)),
    (
        f"error: stores the size of {INFO}/METADATA, {INFO}/RECORD, {INFO}/WHEEL and 4 more after the content",
        lambda to: reopened(wheel(to), streamed=True),
    ),
    ("error: contains a symbolic link: 'demo_app/py.typed'", lambda to: reopened(wheel(to), mode=0o120777)),
]


@pytest.mark.parametrize(("said", "make"), WHEELS, ids=[said for said, _ in WHEELS])
def test_invalid_wheels(said: str, make: Make, tmp_path: Path) -> None:
    findings = found(make(tmp_path))
    assert any(finding.startswith(said) for finding in findings), findings


def changed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A wheel with other bytes."""
    path.write_bytes(change(path.read_bytes()))
    return path


def _renamed(old: bytes) -> bytes:
    """The name in the file's own header, in front of its content."""
    return old.replace(b"demo_app/__init__.pydef", b"demo_app/__INIT__.pydef")


def reopened(path: Path, *, streamed: bool = False, mode: int = 0) -> Path:
    """The wheel, written in another way, with `demo_app/py.typed` of another type."""
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    target = io.BytesIO()
    with zipfile.ZipFile(Stream(target) if streamed else target, "w") as new:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            if name == "demo_app/py.typed":
                entry.external_attr = mode << 16
            new.writestr(entry, data)
    path.write_bytes(target.getvalue())
    return path


class Stream(io.RawIOBase):
    """What cannot be gone back in: the sizes of files are known when their bytes are written."""

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._target.write(content)


@pytest.mark.parametrize(
    ("platform", "taken"),
    [
        ("any", True),
        ("win_arm64", True),
        ("manylinux_2_28_x86_64", True),
        ("manylinux2014_aarch64", True),
        ("musllinux_1_2_riscv64", True),
        ("macosx_10_9_universal2", True),
        ("macosx_26_0_arm64", True),
        ("linux_armv7l", True),
        ("ios_13_0_arm64_iphoneos", True),
        ("android_24_arm64_v8a", True),
        ("linux_aarch64", False),
        ("manylinux_2_28_mips", False),
        ("musllinux_1_2_ppc64", False),
        ("macosx_12_3_arm64", False),
    ],
)
def test_platform_tags_that_the_public_index_accepts(platform: str, taken: bool) -> None:
    assert bool(ACCEPTED_PLATFORMS.fullmatch(platform)) is taken


def test_metadata_of_vendored_packages_is_ignored(tmp_path: Path) -> None:
    # setuptools ships a dozen of them below `_vendor`.
    carried = {
        f"demo_app/_vendor/six-1.0.dist-info/{name}": f"x {name}"
        for name in ("RECORD", "WHEEL", "entry_points.txt")
    }
    path = wheel(tmp_path, carried | MODULES)
    assert found(path) == []


def test_a_decompression_bomb_is_rejected_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relnox.building.archives._MIN_UNPACKED_SIZE", 1 << 20)
    path = wheel(tmp_path, {"zeros": bytes(4 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert found(path) == ["error: unpacks to more than 100 times its size"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_members_are_errors(tmp_path: Path) -> None:
    findings = found(wheel(tmp_path, twice=["demo_app/py.typed"]))
    assert "error: contains 'demo_app/py.typed' 2 times" in findings


def test_findings_of_check_wheel_contents_are_warnings(tmp_path: Path) -> None:
    path = wheel(tmp_path, MODULES | {"demo_app/__pycache__/x.pyc": b"x"})
    assert found(path) == [
        "warning: check-wheel-contents W001: Wheel contains .pyc/.pyo files: demo_app/__pycache__/x.pyc"
    ]


def test_check_wheel_contents_is_used_if_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in, for its own modules are not among those of the tests."""

    class Error(Exception):
        pass

    failed = types.SimpleNamespace(check=types.SimpleNamespace(name="W009", value="Too much"), args=["a", "b"])
    modules: dict[str, dict[str, Any]] = {
        "": {},
        ".checker": {"WheelChecker": lambda: types.SimpleNamespace(check_contents=lambda contents: [failed])},
        ".contents": {"WheelContents": types.SimpleNamespace(from_wheel=str)},
        ".errors": {"WheelValidationError": Error},
    }
    for name, content in modules.items():
        module = types.ModuleType(f"check_wheel_contents{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    assert found(wheel(tmp_path)) == ["warning: check-wheel-contents W009: Too much: a, b"]


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
        "error: demo_app-1.0/.env contains local settings (according to its name)",
        "warning: contains files that git does not track: .env",
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
        ("Summary: Another", "warning: Summary is 'Another', but 'A demonstration' in its sdist"),
        ("License-Expression: MIT", "warning: License-Expression is 'MIT', but 'MIT OR"),
    ],
)
def test_static_metadata_of_the_sdist_has_to_match_in_the_wheel(built: str, said: str, tmp_path: Path) -> None:
    # PEP 643
    if built.startswith("Version"):
        one = archives.read(sdist(tmp_path, name="demo_app-2.0.tar.gz", metadata=with_fields(built)))
        findings = checks.check_wheel_against_sdist(one, archives.read(wheel(tmp_path)))
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
        checks.check_archive(archives.read(path), PLAIN)
