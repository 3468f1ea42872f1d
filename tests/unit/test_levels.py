from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.bump.release_history import (
    Commit,
    ReleaseHistory,
    auto_bump_requests,
    collect_histories,
    find_tag_coverage,
    level_of_commit,
)
from relnox.core.bump.version_bumps import BumpRequest
from relnox.core.packages import Package, VersionSource
from relnox.core.settings.config import CommitsConfig, Config
from relnox.core.versions.versioning import Bump
from relnox.core.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.versions.versioning import Level, Phase


def package(name: str, directory: str | None = None, version: str | None = "1.0.0") -> Package:
    return Package(
        name=name,
        directory=directory if directory is not None else name,
        version=Version(version) if version else None,
        source=VersionSource(kind="toml" if version else "tags", file=f"{name}/pyproject.toml"),
        backend="hatchling.build",
    )


# --- what a commit's message asks for ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # The examples of the specification.
        ("feat: allow provided config object to extend\n\nBREAKING CHANGE: `extends` key is now used\n", "major"),
        ("feat!: send an email to the customer when a product is shipped", "major"),
        ("feat(api)!: send an email to the customer when a product is shipped", "major"),
        ("feat!: drop support for Node 6\n\nBREAKING CHANGE: use JavaScript features of Node 7.", "major"),
        ("docs: correct spelling of CHANGELOG", None),
        ("feat(lang): add Polish language", "minor"),
        (
            "fix: prevent racing of requests\n\nIntroduce a request id.\n\nReviewed-by: Z\nRefs: #123\n",
            "patch",
        ),
        ("revert: let us never again speak of the noodle incident\n\nRefs: 676104e, a215868", "patch"),
        # A breaking change is one whatever the type.
        ("chore!: drop Python 3.9", "major"),
        ("refactor(core, web)!: rename", "major"),
        ("chore: x\n\nBREAKING-CHANGE: the synonym", "major"),
        ("fix: x\n\nRefs: #1\nBREAKING CHANGE: after another footer", "major"),
        ("fix: x\r\n\r\nBREAKING CHANGE: with line ends of another system\r\n", "major"),
        # Types are read in any case, the footer in capitals only.
        ("FEAT: x", "minor"),
        ("Fix(Core): x", "patch"),
        ("fix: x\n\nbreaking change: in small letters", "patch"),
        ("fix: x\n\nBREAKING CHANGE without a colon", "patch"),
        ("fix: x\n\nThis is no BREAKING CHANGE: it is inside of a line", "patch"),
        ("fix: BREAKING CHANGE: in the subject", "patch"),
        ("perf: x", "patch"),
        ("feat(a-b/c.d)\t: x", None),
        ("feat:\tx", "minor"),
        ("build-deps: x", None),
        # These are no Conventional Commits.
        ("", None),
        ("Add a feature", None),
        ("feat", None),
        ("feat:", None),
        ("feat: ", None),
        ("feat:x", None),
        ("feat : x", None),
        ("feat (core): x", None),
        ("feat!(core): x", None),
        ("feat(core: x", None),
        ("feat(a\nb): x", None),
        ("feature: x", None),
        (": x", None),
        ("[fix]: x", None),
        ("fixup! feat: x", None),
        ('Revert "feat: x"\n\nThis reverts commit 676104e.', "patch"),
        ('Revert "feat!: x"\n\nThis reverts commit 676104e.', "patch"),
        ('Revert "feat: x" (#13)\n\nReverts owner/repository#12', "patch"),
        ('Reapply "feat: x"\n\nThis reverts commit 676104e.', "patch"),
        ('Revert "feat: x"', "patch"),
        ('Revert "feat: x" of last week', None),
        ("Merge branch 'feat: x'", None),
        ("Merge pull request #1 from a/b\n\nfeat: x", None),
        ("Release 1.3.0", None),
        ("Add a feature\n\nBREAKING CHANGE: not below a header", None),
        ("Note that\nfeat: x", None),
        # The body of a squash merge lists its commits; they count if the subject has no type.
        ("Add it (#12)\n\n* feat: one\n\n* fix: two\n", "minor"),
        ("Add it (#12)\n\n* fix: one\n\nmore\n\n* docs: two\n\nBREAKING CHANGE: it moved\n", "major"),
        ("Add it (#12)\r\n\r\n- fix(core)!: one\r\n", "major"),
        ("Add it\n\n* note: that\n* feature\n", None),
        ("docs: add it (#12)\n\n* feat: one\n", None),
    ],
)
def test_the_level_of_a_message(message: str, expected: Level | None) -> None:
    assert level_of_commit(message, CommitsConfig()) == expected


def test_the_commit_types_are_settings() -> None:
    config = CommitsConfig(minor=("add",), patch=("docs", "fix"))
    assert [level_of_commit(f"{kind}: x", config) for kind in ("add", "docs", "feat", "perf")] == [
        "minor",
        "patch",
        None,
        None,
    ]
    assert level_of_commit("feat!: x", config) == "major"


def test_commit_types_in_settings_ignore_case() -> None:
    # "The units of information that make up Conventional Commits MUST NOT be treated as case sensitive."
    assert level_of_commit("Feature: x", CommitsConfig(minor=("Feature",))) == "minor"


@given(st.text(max_size=60))
def test_any_message_has_a_level_or_none(message: str) -> None:
    assert level_of_commit(message, CommitsConfig()) in {None, "patch", "minor", "major"}


# --- which commits are since --------------------------------------------------------------------------


class Graph(NamedTuple):
    """A history, children before their parents, and some commits of it."""

    parents: dict[str, tuple[str, ...]]
    chosen: list[str]

    def ancestors(self, commit: str) -> set[str]:
        """A commit and all that it contains, the plain way."""
        found: set[str] = set()
        waiting = [commit]
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting += self.parents[at]
        return found


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any history with one newest commit, merges and several roots among it."""
    count = draw(st.integers(1, 12))
    parents: dict[str, tuple[str, ...]] = {}
    for number in range(count):
        most = min(3, count - number - 1)
        older = st.integers(number + 1, count - 1) if most else st.nothing()
        found = draw(st.lists(older, max_size=most, unique=True))
        parents[f"c{number}"] = tuple(f"c{each}" for each in found)
    head = Graph(parents, [])
    reachable = head.ancestors("c0")
    parents = {commit: above for commit, above in parents.items() if commit in reachable}
    return Graph(parents, draw(st.lists(st.sampled_from(sorted(parents)), unique=True, max_size=5)))


@given(graphs(), st.data())
def test_histories_equal_sets_of_ancestors(graph: Graph, data: st.DataObject) -> None:
    packages = [
        package("root", "."),
        package("a", "libs/a"),
        package("b", "libs/b"),
        package("deep", "libs/a/deep"),
    ]
    files = {
        "root": ["README.md", "libs/README", "libs/ab/x", "src/x/y.py"],
        "a": ["libs/a/x", "libs/a/src/x/y", "libs/a/deeper/x"],
        "b": ["libs/b/x"],
        "deep": ["libs/a/deep/x", "libs/a/deep/x/y"],
    }
    names = list(files)
    touched = {
        commit: data.draw(st.lists(st.sampled_from(names), unique=True), label=commit) for commit in graph.parents
    }
    commits = [
        Commit(commit, "fix: x", tuple(data.draw(st.sampled_from(files[name])) for name in touched[commit]))
        for commit in graph.parents
    ]
    tags = {f"{name}-v1.0": commit for name, commit in zip(names, graph.chosen, strict=False)}
    tagged = {name: (f"{name}-v1.0", Version("1.0")) for name in names if f"{name}-v1.0" in tags}
    released = list(dict.fromkeys(tags[tag] for tag, _ in tagged.values()))
    masks, newest_common = find_tag_coverage(graph.parents, released)
    old = (
        {each for commit in newest_common for each in graph.ancestors(commit)}
        if len(tagged) == len(names)
        else set()
    )
    found = collect_histories(packages, tagged, tags, masks, (each for each in commits if each.id not in old))
    for name in names:
        behind = graph.ancestors(tags[f"{name}-v1.0"]) if name in tagged else set()
        since = [each for each in commits if name in touched[each.id] and each.id not in behind]
        tag, version = tagged.get(name, (None, None))
        assert found[name] == ReleaseHistory(tag, version, tuple(since))


# --- what auto asks for --------------------------------------------------------------------------------


def asked(
    packages: list[Package],
    history: Mapping[str, ReleaseHistory],
    phase: Phase | None = None,
    *,
    shift: bool = True,
) -> dict[str, BumpRequest]:
    config = Config(commits=CommitsConfig(major_version_zero=shift))
    return auto_bump_requests(Workspace(tuple(packages)), history, config, phase)


def since(version: str, *messages: str) -> ReleaseHistory:
    """A package that was released with a tag, and what was committed since then, the newest first."""
    commits = tuple(Commit(str(number), message, ("x",)) for number, message in enumerate(messages))
    return ReleaseHistory(f"v{version}", Version(version), commits)


def test_the_highest_level_counts_and_its_newest_commit_is_the_reason() -> None:
    history = {"a": since("1.0.0", "docs: x", "feat: new\n\nBody", "fix: y", "feat: old")}
    assert asked([package("a")], history) == {
        "a": BumpRequest(Bump(part="minor"), "minor: feat: new (and 3 more commits)")
    }


@pytest.mark.parametrize(
    ("version", "message", "shift", "part"),
    [
        ("1.0.0", "feat!: x", True, "major"),
        ("0.9.0", "feat!: x", True, "minor"),
        ("0.9.0", "feat: x", True, "patch"),
        ("0.9.0", "fix: x", True, "patch"),
        ("0.9.0", "feat!: x", False, "major"),
    ],
)
def test_levels_shift_below_1(version: str, message: str, part: Level, *, shift: bool) -> None:
    found = asked([package("a", version=version)], {"a": since(version, message)}, shift=shift)
    assert found["a"] == BumpRequest(Bump(part=part), found["a"].reason)


@pytest.mark.parametrize("messages", [(), ("docs: x",), ("Merge branch 'x'", "Release 1.0.0")])
def test_commits_without_a_level_request_no_bump(messages: tuple[str, ...]) -> None:
    assert asked([package("a")], {"a": since("1.0.0", *messages)}) == {}


@pytest.mark.parametrize(
    ("messages", "part"),
    [
        (['Revert "feat: x"\n\nThis reverts commit 0000001.', "feat: x"], None),
        (['Revert "feat: x (#1)" (#2)\n\nReverts o/r#1', "docs: y", "feat: x (#1)"], None),
        (['Reapply "feat: x"', 'Revert "feat: x"', "feat: x"], "minor"),
        (['Revert "Revert "feat: x""', 'Revert "feat: x"', "feat: x"], "minor"),
        (['Revert "feat: x"', "feat: x", 'Revert "feat: x"', "feat: x", "fix: y"], "patch"),
        (['Revert "feat: old"\n\nThis reverts commit 0123456789.', "feat: x"], "minor"),
        (['Revert "feat: old"'], "patch"),
    ],
)
def test_what_is_reverted_does_not_count(messages: list[str], part: Level | None) -> None:
    history = since("1.0.0", *messages)
    commits = tuple(commit._replace(id=f"{commit.id:0>7}") for commit in history.commits)
    found = asked([package("a")], {"a": history._replace(commits=commits)})
    assert [request.bump for request in found.values()] == ([Bump(part=part)] if part else [])


def test_a_version_raised_by_hand_is_released_as_it_is() -> None:
    found = asked([package("a", version="1.5.0")], {"a": since("1.0.0")})
    assert found == {"a": BumpRequest(None, "raised by hand since v1.0.0")}


def test_a_local_segment_that_marks_development_is_not_released() -> None:
    of_last_release = package("a", version="1.0.0+dev")
    assert asked([of_last_release], {"a": since("1.0.0")}) == {}
    assert asked([of_last_release], {"a": since("1.0.0", "fix: x")})["a"].bump == Bump(part="patch")
    found = asked([package("a", version="1.5.0+dev")], {"a": since("1.0.0")})
    assert found == {"a": BumpRequest(Bump(to="1.5.0", allow_lower=True), "raised by hand since v1.0.0")}


def test_a_dev_version_after_the_tag_does_not_count_as_raised_by_hand() -> None:
    # It marks where development goes on.
    found = asked([package("a", version="1.1.0.dev0")], {"a": since("1.0.0", "fix: x")})
    assert found["a"].bump == Bump(part="patch")
    assert asked([package("a", version="1.1.0.dev0")], {"a": since("1.0.0", "docs: x")}) == {}


@pytest.mark.parametrize(
    ("version", "bump"), [("0.1.0", None), ("1.0.0a1", None), ("0.1.0.dev1", Bump(part="release"))]
)
def test_the_first_release_has_the_current_version(version: str, bump: Bump | None) -> None:
    nothing = ReleaseHistory(None, None, ())
    assert asked([package("a", version=version)], {"a": nothing}) == {"a": BumpRequest(bump, "no tag yet")}
    assert asked([package("a", version=version)], {}) == {"a": BumpRequest(bump, "no tag yet")}


def test_no_bump_without_a_version_and_a_tag() -> None:
    assert asked([package("a", version=None)], {"a": ReleaseHistory(None, None, ())}) == {}
    found = asked([package("a", version=None)], {"a": since("1.0.0", "feat: x")})
    assert found["a"].bump == Bump(part="minor")


def test_a_phase_makes_a_prerelease_of_the_level() -> None:
    found = asked([package("a")], {"a": since("1.0.0", "feat: x")}, phase="beta")
    assert found["a"].bump == Bump(part="minor", pre="beta")
