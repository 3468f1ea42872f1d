"""`check`: nothing in a healthy project, everything in one with every fault, and what cannot be known is said."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from checked import BACKENDS, check, committed, healthy
from fake_forge import GitHubServer, GitLabServer, remote_on_forge
from package_index import PackageIndex
from projects import git, remote_of, repository, write
from releases import made_wheel, write_manifest

from relnox.cli import main
from relnox.core.release import public_index
from relnox.core.settings.checklist import ITEMS, PROFILES

UNKNOWN_HERE = {"tests-pass", "ci-green", "environments"}
"""What a project without tests and without a forge does not say."""
OWN = """
[tool.relnox.indexes.own]
upload = "{upload}"
simple = "{simple}"
public-rules = true
"""


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "in-tree"])
def test_nothing_is_wrong_with_a_healthy_project(tmp_path: Path, backend: str) -> None:
    root = committed(healthy(tmp_path / "project", backend))
    for profile in PROFILES:
        checked = check(root, "--index", "embedded", "--profile", profile, "--skip", "test-index")
        assert checked.code == 0
        assert checked.named("failed", "warning") == set(), checked.items
        assert checked.named("not checkable here") <= UNKNOWN_HERE | {"release-diff"}  # nothing is built
        assert checked.named("ok", "not checkable here") == {
            item.name for item in ITEMS.values() if profile in item.profiles
        } - {"test-index"}


def test_every_fault_is_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # `check_states` has a fault for each item.
    monkeypatch.setattr(public_index, "AS_OF", date(2025, 1, 1))
    manual = '[[tool.relnox.check.manual]]\ntitle = "Tell everybody"\nwhen = "after"\n'
    root = healthy(tmp_path / "project", settings=manual)
    (root / "LICENSE").unlink()
    write(root, {"README.rst": "", ".pypirc": "[pypi]\npassword = secret\n"})
    committed(root)
    write(root, {"README.md": "changed\n"})
    checked = check(root, "--index", "embedded", "--profile", "before-publish")
    shown = capsys.readouterr()
    assert checked.code == 1
    faults = {"git-clean": "tree-dirty", "license": "license-file-missing", "secrets": "secret-tracked"}
    assert {name: checked.codes(name) for name in faults} == {name: {code} for name, code in faults.items()}
    assert checked.codes("index-rules") == {"index-rules-old"}
    assert checked.named("failed", "warning") >= {*faults, "index-rules"}
    for name in checked.named("failed", "warning"):
        assert all(problem["fix"] for problem in checked.items[name]["problems"]), name
        assert ITEMS[name].why in shown.err, name
        assert name in shown.out, name
    assert list(checked.items)[-1] == "manual"
    assert "after publishing: Tell everybody" in shown.out
    assert "password" not in shown.out + shown.err


@pytest.mark.parametrize("kind", [GitHubServer, GitLabServer])
@pytest.mark.parametrize(
    ("checks", "environments", "expected"),
    [
        ({"tests": "success"}, {"pypi": (1, True)}, {"ci-green": "ok", "environments": "ok"}),
        ({"tests": "failed"}, {"pypi": (0, True)}, {"ci-green": "failed", "environments": "warning"}),
        ({"tests": ""}, {}, dict.fromkeys(("ci-green", "environments"), "not checkable here")),
        ({}, {"pypi": (1, False)}, {"ci-green": "not checkable here", "environments": "warning"}),
    ],
)
def test_the_forge_is_asked(  # noqa: PLR0917 - a table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[GitHubServer | GitLabServer],
    checks: dict[str, str],
    environments: dict[str, tuple[int, bool]],
    expected: dict[str, str],
) -> None:
    root = committed(healthy(tmp_path / "project"))
    forge = kind(remote_of(root))
    is_github = isinstance(forge, GitHubServer)
    forge.checks = {
        name: state.replace("failed", "failure") if is_github else state for name, state in checks.items()
    }
    forge.environments, forge.prevents_self_review = environments, any(own[1] for own in environments.values())
    with remote_on_forge(forge, root, monkeypatch.setenv):
        checked = check(root, "--only", "ci-green", "--only", "environments")
        assert {name: checked.items[name]["status"] for name in expected} == expected
        if expected["environments"] == "warning":
            (problem,) = checked.items["environments"]["problems"]
            assert ("CI/CD" in problem["fix"]) != is_github
        monkeypatch.setenv("GITHUB_TOKEN" if is_github else "GITLAB_TOKEN", "wrong")
        refused = check(root, "--only", "ci-green", "--only", "environments")
        assert refused.code == 0
        assert refused.named("not checkable here") == {*expected}
        assert "is not accepted" in refused.items["ci-green"]["detail"]


def test_an_unclear_environment_hides_no_problem_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = '[tool.relnox.check]\nenvironments = ["one", "two"]\n'
    root = committed(healthy(tmp_path / "project", settings=named))
    forge = GitLabServer(remote_of(root))
    forge.environments, forge.prevents_self_review = {"one": (1, False), "two": (0, False)}, None
    with remote_on_forge(forge, root, monkeypatch.setenv):
        checked = check(root, "--only", "environments")
    (problem,) = checked.items["environments"]["problems"]
    assert "environment two of" in problem["message"]


def test_the_run_that_checks_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = committed(healthy(tmp_path / "project"))
    forge = GitHubServer(remote_of(root))
    forge.checks = {"release": "", "tests": "success"}
    monkeypatch.setenv("GITHUB_RUN_ID", "1")
    with remote_on_forge(forge, root, monkeypatch.setenv):
        assert check(root, "--only", "ci-green").named("ok") == {"ci-green"}


def test_items_are_chosen_and_weighed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    severity = '[tool.relnox.check.severity]\nlicense = "error"\nmetadata = "off"\nchangelog = "warning"\n'
    root = healthy(tmp_path / "project", settings=severity)
    (root / "LICENSE").unlink()
    (root / "CHANGELOG.md").unlink()
    committed(root)
    monkeypatch.setenv("CI", "true")
    checked = check(root, "--index", "embedded", "--skip", "secrets")
    assert checked.code == 1
    assert (checked.named("failed"), checked.named("warning")) == ({"license"}, {"changelog"})
    reasons = {name: checked.items[name]["detail"] for name in ("metadata", "secrets", "tags")}
    assert reasons == {"metadata": "off in the settings", "secrets": "--skip", "tags": "not in the profile ci"}
    only = check(root, "--only", "tags", "--only", "readme")
    assert only.named("ok") == {"tags", "readme"}
    assert only.code == 0


def test_a_version_that_the_index_has_is_not_new(tmp_path: Path) -> None:
    with PackageIndex() as index:
        settings = OWN.format(upload=index.upload_url, simple=index.simple_url)
        root = healthy(tmp_path / "project", settings=settings)
        repository(root)
        index.files = {"demo": {"demo-1.0.0-py3-none-any.whl": b"x"}}
        index.times = {"demo-1.0.0-py3-none-any.whl": "2026-01-01T00:00:00Z"}
        untagged = check(root, "--index", "own", "--only", "version-new")
        assert (untagged.code, untagged.codes("version-new")) == (4, {"version-not-higher"})
        git(root, "tag", "v1.0.0")
        assert check(root, "--index", "own", "--only", "version-new").code == 0
        wheel = made_wheel(root / "dist", "demo", version="1.0.0")
        write_manifest(root, [wheel], {"demo": ()}, commit=git(root, "rev-parse", "HEAD"))
        built_again = check(root, "--index", "own", "--only", "version-new")
        assert (built_again.code, built_again.codes("version-new")) == (4, {"index-file-differs"})
        assert "relnox bump --to 1.0.0.post1" in built_again.items["version-new"]["problems"][0]["fix"]


def test_servers_that_do_not_answer_say_nothing(tmp_path: Path) -> None:
    settings = OWN.format(upload="http://127.0.0.1:9/", simple="http://127.0.0.1:9/simple/")
    root = committed(healthy(tmp_path / "project", settings=settings))
    git(root, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    checked = check(root, "--index", "own")
    assert checked.code == 0
    assert checked.named("failed", "warning") == set()
    assert checked.named("not checkable here") == UNKNOWN_HERE | {
        *("git-branch", "git-history", "version-new", "tags", "index-name", "index-status", "index-storage")
    }


def test_fix_does_what_is_mechanical_and_shows_it_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = healthy(tmp_path / "project", settings="[tool.uv]\nno-index = true\n")
    write(
        root,
        {
            "noxfile.py": "import nox\nfrom relnox.sessions import bump, publish\n\nnox.options.sessions = []\n",
            "tasks.py": "from relnox.tasks import (  # noqa: I001\n    bump,\n)\n",
            "config/.pypirc": "[pypi]\npassword = x\n",
            "uv.lock": 'version = 1\nrequires-python = ">=3.12"\n',
        },
    )
    committed(root)
    options = ("--only", "secrets", "--only", "noxfile-imports", "--only", "lock-files", "--fix")
    assert main(["check", "--project", str(root), *options, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "+# ruff: noqa: F401" in shown
    assert "+/config/.pypirc" in shown
    assert "git rm --cached config/.pypirc" in shown
    assert git(root, "status", "--porcelain") == ""

    checked = check(root, *options)
    assert checked.code == 0, checked.items
    assert checked.named("ok") == {"secrets", "noxfile-imports", "lock-files"}
    assert (root / "config" / ".pypirc").exists()
    assert git(root, "ls-files", "config") == ""
    assert "# ruff: noqa: F401\nfrom relnox.tasks import (  # noqa: I001\n" in (root / "tasks.py").read_text(
        encoding="utf-8"
    )
    assert ">=3.11" in (root / "uv.lock").read_text(encoding="utf-8")
    again = check(root, *options[:-1])
    assert again.named("ok") == {"secrets", "noxfile-imports", "lock-files"}
    assert check(root, *options).code == 0


UNSAFE = "from relnox.sessions import bump, publish\n"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (UNSAFE, ""),
        ("import nox\nfrom relnox.sessions import *\n\nnox\n", ""),
        (UNSAFE.replace("\n", "  # noqa: F401\n"), ""),
        (UNSAFE.replace("\n", "  # noqa: E501, F401\n"), ""),
        (UNSAFE.replace("\n", "  # NOQA\n"), ""),
        (UNSAFE.replace("\n", "  # noqa: E501\n"), ""),
        (UNSAFE + '__all__ = ["bump", "publish"]\n', ""),
        (UNSAFE + '__all__ = ["bump"]\n', ""),
        (UNSAFE + "print(bump, publish)\n", ""),
        (UNSAFE.replace("bump, publish", "bump as bump"), ""),
        ("# ruff: noqa: F401\n" + UNSAFE, ""),
        ("# flake8: noqa\n" + UNSAFE, ""),
        (UNSAFE, '[lint.per-file-ignores]\n"noxfile.py" = ["F401"]\n'),
        (UNSAFE, '[lint.per-file-ignores]\n"tests/*" = ["F401"]\n'),
        (UNSAFE, '[lint]\nunfixable = ["F401"]\n'),
        (UNSAFE, '[lint]\nignore = ["F4"]\n'),
        (UNSAFE, 'extend-exclude = ["noxfile.py"]\n'),
        ("from relnox.sessions import (\n    bump,\n)\n", ""),
        ("from relnox.sessions import (  # noqa: F401\n    bump,\n)\n", ""),
        ("from relnox.sessions import (\n", ""),
    ],
)
def test_imports_are_unsafe_where_ruff_removes_them(tmp_path: Path, text: str, settings: str) -> None:
    root = healthy(tmp_path / "project")
    write(root, {"noxfile.py": text, "ruff.toml": settings})
    ruff = str(Path(sys.executable).with_name("ruff"))

    def is_removed_by_ruff() -> bool:
        before = (root / "noxfile.py").read_text(encoding="utf-8")
        subprocess.run([ruff, "check", "--fix", "--no-cache", "."], cwd=root, check=False, capture_output=True)
        after = (root / "noxfile.py").read_text(encoding="utf-8")
        (root / "noxfile.py").write_text(before, encoding="utf-8")
        names = ("relnox", "bump", "publish")
        return [name in before for name in names] != [name in after.split("__all__")[0] for name in names]

    is_unsafe = check(root, "--only", "noxfile-imports").codes("noxfile-imports") == {"import-unused"}
    assert is_unsafe == is_removed_by_ruff()
    if is_unsafe:
        assert check(root, "--only", "noxfile-imports", "--fix").code == 0
        assert not is_removed_by_ruff()


@pytest.mark.parametrize(
    ("item", "line", "code"),
    [
        ("license", 'license = { file = "/etc/hostname" }', "license-file-missing"),
        ("license", 'license-files = ["../*", "**x", ""]', "license-file-missing"),
        ("license", 'license = { text = "MIT" }', None),
        ("readme", "readme = 7", "readme-invalid"),
        ("readme", 'readme = { file = ["README.md"] }', None),
        ("readme", 'readme = "../README.md"', "file-changed"),
        ("readme", 'readme = { text = "Hello", content-type = "text/markdown" }', None),
        ("readme", 'readme = { file = "README.md", content-type = 7 }', None),
        ("readme", 'dynamic = ["readme"]', None),
        ("metadata", "description = 7\nrequires-python = 3\nkeywords = {}", "metadata-incomplete"),
        (
            "metadata",
            'dynamic = ["description", "requires-python", "keywords", "urls", "license"]',
            "metadata-incomplete",
        ),
        ("public-requirements", 'dependencies = ["not a requirement @ x"]', None),
    ],
)
def test_values_of_any_kind_are_no_bug(tmp_path: Path, item: str, line: str, code: str | None) -> None:
    root = tmp_path / "project"
    write(root, {"README.md": "# demo\n", "LICENSE": "MIT\n"})
    write(root, {"pyproject.toml": f'[project]\nname = "demo"\nversion = "1.0.0"\n{line}\n'})
    (tmp_path / "README.md").write_text("outside", encoding="utf-8")
    repository(root)
    assert check(root, "--index", "embedded", "--only", item).codes(item) == ({code} if code else set())


def test_outside_git_only_what_needs_git_is_not_checked(tmp_path: Path) -> None:
    checked = check(healthy(tmp_path / "project"), "--index", "embedded", "--profile", "before-publish")
    assert checked.code == 0
    assert checked.named("not checkable here") >= {"git-clean", "git-branch", "tags", "version-new", "secrets"}
    assert checked.named("ok") >= {"metadata", "readme", "license", "version-everywhere", "lock-files"}


OWN_ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (OWN_ROOT / ".git").exists(), reason="the files of an sdist are no repository")
def test_relnox_itself_passes(tmp_path: Path) -> None:
    root = tmp_path / "relnox"
    git(tmp_path, "clone", "--quiet", str(OWN_ROOT), str(root))
    checked = check(root, "--index", "embedded", "--profile", "ci")
    assert checked.code == 0, checked.items
    assert checked.codes("metadata") == {"metadata-incomplete"}  # its repository has no public address
    assert checked.named("warning") == {"metadata"}


def test_publish_names_what_a_person_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manual = """[[tool.relnox.check.manual]]\ntitle = "Read the notes"\nlink = "https://example.org/notes"
[[tool.relnox.check.manual]]\ntitle = "Tell everybody"\nwhen = "after"
"""
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "secret")
    with PackageIndex() as index:
        settings = OWN.format(upload=index.upload_url, simple=index.simple_url) + "production = true\n"
        root = committed(healthy(tmp_path / "project", settings=manual + settings))
        wheel = made_wheel(root / "dist", "demo", version="1.0.0")
        write_manifest(root, [wheel], {"demo": ()}, commit=git(root, "rev-parse", "HEAD"))
        main(["publish", "--project", str(root), "--index", "own", "--dry-run"])
    printed = capsys.readouterr().out
    assert "note: to be done before publishing: Read the notes (https://example.org/notes)" in printed
    assert "note: to be done after publishing: Tell everybody" in printed


def test_the_report_is_written_as_its_name_ends(tmp_path: Path) -> None:
    root = committed(healthy(tmp_path / "project"))
    for name, start in (("r.md", "### check: "), ("r.xml", "<?xml"), ("r.json", "{")):
        path = tmp_path / name
        main(["check", "--project", str(root), "--only", "readme", "--report", str(path)])
        assert path.read_text(encoding="utf-8").startswith(start)
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["task"] == "check"
