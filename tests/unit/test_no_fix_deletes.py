"""No text that relnox prints advises to delete or overwrite what is not the problem's own."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import relnox

if TYPE_CHECKING:
    from collections.abc import Iterator

DESTRUCTIVE = re.compile(
    r"git tag (-d|-f|--delete|--force)|--delete\b|\bpush\b.* (-d|-f|--force)\b|\bpush \S+ \+?:|update-ref -d"
    r"|git (reset|restore|clean|rm)\b|branch -[dD]|checkout (--|\.)|stash (drop|clear)|--abort\b|(?<!\w)--force"
    r"|\brm\b|\bunlink\b|--clear|--clean\b|[Dd]elete (it|that|the|them)\b|then remove|remove (that|the) (file|dir)"
)

SAFE_FIXES = {
    "check that git can sign tags: git tag --sign --message=test relnox-test && git tag --delete relnox-test": (
        "deletes the tag only if the command before has just created it"
    ),
    "list it: git submodule add URL {}; or remove it: git rm --cached {}": (
        "removes the entry of a submodule that no file describes; the directory and the commit keep it"
    ),
    "git rm --cached {} && git commit -m 'Remove {}'": "a link that the commit has; the file system keeps it",
    "--force ": "of `git add --force`, which adds files that git ignores",
    (
        "merge the pull request; or move the change to {} and delete the branch by hand; to see the change: "
        "git fetch {} {} && git log FETCH_HEAD"
    ): "no command: the user looks at the change and decides",
    "git tag --delete {}": "after --undo: tags at HEAD that say, by their trailers, that relnox made them",
    "to see what would be lost: git diff {}; to undo a bump without --commit: git restore {}": (
        "after --undo: only files that a bump edits, with the command that shows their changes"
    ),
    "git restore {}": "after a bump without a commit: files that only the bump has edited",
    "rm {}": "after a bump without a commit: files that the bump has created",
    "git add --force {}, and commit it; or generate it in a before-build hook": "adds a file that git ignores",
    "rerun the command, which completes that one; and delete the draft by hand: {}": (
        "a draft that this run made, beside a public release of the tag"
    ),
    "--clear": "of the embedded index, relnox's own test index, and of `uv venv`",
    "{}, or delete the attestation: publish then signs the file again": "the invalid attestation itself",
}
"""Maps each fix that deletes something to the reason why it does no harm where it is printed."""

OTHER_TEXTS = {
    "--clean would remove {} from {} (outside the checkout it removes only what the {} there lists)",
    "index {} cannot be cleared (--clear works only on the embedded index, relnox's own test index)",
    "pass --index embedded, or remove --clear",
    "git reset",
    "git rm --cached {}",
    "git rm --cached",
    "rm",
    "a secret in a repository is public from the first push on, whatever is deleted later",
    "it is locked already; to lock it again, delete the file",
    "python3 -m venv --clear ~/relnox && {}/pip install --no-deps --require-hashes -r {}",
    "--force",
    "--force-with-lease={}:",
    "--force-with-lease={}:{}",
    "--force-with-lease=refs/heads/{}:{}",
    "--force-with-lease=refs/tags/{}:",
}
"""Texts about options, and arguments of commands that relnox runs itself."""


def printed_texts() -> Iterator[str]:
    """Yield each string in the product, without docstrings; values in it are shown as `{}`."""
    for path in sorted(Path(relnox.__file__).parent.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            match node:
                case ast.JoinedStr():
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                    )
                case ast.Constant(value=str(text)) if id(node) not in parts | docstrings:
                    yield text


def test_every_fix_that_deletes_is_known_to_be_safe() -> None:
    texts = {text for text in printed_texts() if DESTRUCTIVE.search(text)}
    assert texts - OTHER_TEXTS <= SAFE_FIXES.keys()
