"""Files that a commit hook, or the user, writes while they are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import everything, git, shell

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")
FILE = "packages/base/pyproject.toml"


def hook(root: Path, script: str, event: str = "pre-commit") -> None:
    shell(root / ".git/hooks" / event, script)


@pytest.mark.parametrize("event", ["pre-commit", "post-commit"])
@pytest.mark.parametrize("text", ["# saved", "readme = 'saved'"])
def test_a_file_that_is_saved_during_a_commit_is_not_in_the_release(
    two: Path, bump: Bump, event: str, text: str
) -> None:
    hook(two, f'echo "{text}" >> {FILE}', event)
    ran = bump(two, *RELEASE, code=0)
    assert f"without later changes of {FILE}" in ran.text
    released = git(two, "show", f"v2.1.0:{FILE}")
    assert text not in released
    assert (two / FILE).read_text() == f"{released}\n{text}\n"
    assert git(two, "diff", "--name-only") == FILE
    assert git(two, "diff", "--cached", "--name-only") == ""


def test_a_hook_may_add_to_the_message_of_the_release(two: Path, bump: Bump) -> None:
    hook(
        two,
        'sed -i "1s/^/JIRA-1 /" "$1"; echo "Change-Id: I1" >> "$1"; printf "\\nSeen.\\n" >> "$1"',
        "commit-msg",
    )
    bump(two, *RELEASE, code=0)
    message = git(two, "log", "-1", "--format=%B")
    assert message.startswith(
        "JIRA-1 Release 2.1.0\n\nRelease: pair-base 2.1.0\nRelease: pair-top 2.1.0\nChange-Id: I1"
    )
    assert "already released" in bump(two, *RELEASE).text


def test_a_hook_that_removes_the_trailers_fails_the_bump(two: Path, bump: Bump) -> None:
    before = everything(two)
    hook(two, 'sed -i 2,99d "$1"', "commit-msg")
    ran = bump(two, *RELEASE, code=2)
    assert "a commit hook removed trailers (Release or Development) from the commit message" in ran.text
    assert everything(two) == before


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo '# formatted' >> {FILE}; echo reformatted; exit 1", "reformatted"),
        (f"echo '# formatted' >> {FILE}; git add {FILE}", f"a commit hook changed the content of {FILE}"),
    ],
)
def test_a_file_that_is_saved_during_a_failed_bump_is_not_restored(
    two: Path, bump: Bump, script: str, message: str
) -> None:
    before = everything(two)
    hook(two, script)
    ran = bump(two, *RELEASE, code=2)
    assert message in ran.text
    assert f"not restored: {FILE} (neither its old nor its planned content)" in ran.text
    assert f"git diff {FILE}" in ran.text
    assert "2.1.0" in (two / FILE).read_text()
    git(two, "restore", FILE)
    assert everything(two) == before
