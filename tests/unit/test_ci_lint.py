"""Release smells in present workflows: each has a file, a line, a message and a fix; ordinary ones have none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twine.utils import TEST_REPOSITORY

from relnox.ci.compare import WORKFLOW_RULES
from relnox.ci.lint import release_problems
from relnox.ci.workflows import parse_workflow, parse_yaml
from relnox.errors import Problem

HEAD = """\
on: {push: {tags: ["v*"]}}
permissions: {}
jobs:
  publish:
    runs-on: ubuntu-latest
    environment: pypi
    permissions: {id-token: write}
    steps:
"""
DOWNLOAD = "      - {uses: actions/download-artifact@v8, with: {name: dist, path: dist/}}\n"
UPLOAD = "      - uses: pypa/gh-action-pypi-publish@v1\n"
ACTION = HEAD + DOWNLOAD + UPLOAD
BRANCH = ACTION.replace('{tags: ["v*"]}', "{branches: [main]}")
CHECKOUT = "      - uses: actions/checkout@v7\n"
TAGGING = """\
on: {push: {branches: [main]}}
jobs:
  tag:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - run: |
          git tag v1
          git push origin --tags
"""
RELEASING = TAGGING.replace("git push origin --tags", "gh release create v1 --generate-notes")
TEST_HOST = TEST_REPOSITORY.split("/")[2]


def run(command: str) -> str:
    """Return a workflow that uploads with a command."""
    return f"{HEAD}{DOWNLOAD}      - run: {command}\n"


SMELLS = {
    "a glob": (run("twine upload dist/*"), 10, "uploads whatever is in a directory"),
    "a glob in a script": (
        HEAD + "      - run: |\n          # upload\n          python -m twine upload \\\n            dist/*\n",
        11,
        "uploads whatever is in a directory",
    ),
    "no files": (run("uv publish -v"), 10, "uploads whatever is in a directory"),
    "a glob of an action": (
        f"{HEAD}      - {{uses: PyO3/maturin-action@v1, with: {{command: upload, args: 'wheels-*/*'}}}}\n",
        9,
        "uploads whatever is in a directory",
    ),
    "merged artifacts": (
        ACTION.replace("{name: dist, path: dist/}", "{pattern: dist-*, path: dist, merge-multiple: true}"),
        9,
        "all artifacts of the run",
    ),
    "skip-existing": (f"{ACTION}        with:\n          skip-existing: true\n", 12, "skips files"),
    "skip_existing": (f"{ACTION}        with: {{skip_existing: true}}\n", 11, "skips files"),
    "--skip-existing": (run("twine upload --skip-existing dist/a.whl"), 10, "skips files"),
    "a token": (f"{ACTION}        with: {{password: '${{{{ secrets.TOKEN }}}}'}}\n", 11, "token TOKEN"),
    "a token in a variable": (
        run("twine upload dist/a.whl\n        env: {TWINE_PASSWORD: '${{ secrets.T }}'}"),
        11,
        "token T ",
    ),
    "an additional index": (
        f"{ACTION}      - run: pip install --extra-index-url https://example.org a\n",
        11,
        "additional index",
    ),
    "an additional index in a variable": (
        ACTION.replace("jobs:", "env: {UV_EXTRA_INDEX_URL: https://example.org}\njobs:"),
        3,
        "additional index",
    ),
    "the test index after an upload elsewhere": (
        f"on: push\njobs: {{a: {{steps: [run: pip install --extra-index-url https://{TEST_HOST}/ a]}}}}\n",
        2,
        "additional index",
    ),
    "an additional index of a script": (
        f"{ACTION}      - run: export PIP_EXTRA_INDEX_URL=https://example.org\n",
        11,
        "additional index",
    ),
    "a called workflow whose caller has the identity": (
        ACTION.replace("{push: {tags", "{workflow_call: , push: {tags").replace("{id-token: write}", "{}"),
        1,
        "that others call",
    ),
    "a called workflow": (ACTION.replace("{push: {tags", "{workflow_call: , push: {tags"), 1, "that others call"),
    "cancellation": (
        ACTION.replace("jobs:", "concurrency:\n  group: release\n  cancel-in-progress: true\njobs:"),
        5,
        "cancels job publish",
    ),
    "no environment": (ACTION.replace("    environment: pypi\n", ""), 4, "outside of an environment"),
    "a build beside the identity": (
        HEAD + CHECKOUT + "      - run: python -m build\n" + UPLOAD,
        10,
        "runs the project's code and uploads",
    ),
    "an upload that builds": (
        HEAD + CHECKOUT + "      - run: poetry publish --build\n",
        10,
        "runs the project's code and uploads",
    ),
    "a script of the project beside the identity": (
        HEAD + CHECKOUT + "      - run: V=$(./scripts/version.sh)\n" + UPLOAD,
        10,
        "runs the project's code and uploads",
    ),
    "an action that builds beside the identity": (
        HEAD + CHECKOUT + "      - uses: python-semantic-release/python-semantic-release@v10\n" + UPLOAD,
        10,
        "runs the project's code and uploads",
    ),
    "a build beside the identity of another job": (
        f"{ACTION}  build:\n    permissions: write-all\n    steps:\n{CHECKOUT}      - run: nox -s build\n",
        15,
        "runs the project's code and has id-token",
    ),
}
NOTES = {"a token", "a token in a variable"}


def found(*texts: str) -> list[Problem]:
    """The findings in workflows `0.yml`, `1.yml` and so on."""
    return list(
        release_problems([parse_workflow(f"{number}.yml", text.encode()) for number, text in enumerate(texts)])
    )


@pytest.mark.parametrize("name", SMELLS)
def test_a_smell_is_named_with_its_file_its_line_and_a_fix(name: str) -> None:
    text, line, message = SMELLS[name]
    (problem,) = found(text)
    assert (problem.code, problem.file) == ("workflow-unsafe", f"0.yml:{line}")
    assert message in problem.message
    assert problem.fix
    assert problem.level == ("note" if name in NOTES else "error")


@pytest.mark.parametrize(
    "text",
    [
        ACTION,
        run("twine upload dist/a-1.0.tar.gz dist/a-1.0-py3-none-any.whl"),
        run("uv publish dist/a-1.0.tar.gz"),
        run("uv publish --dry-run 'dist/*'"),
        run("echo 'twine upload dist/*'"),
        run("relnox publish --manifest dist/manifest.json --yes"),
        ACTION.replace("jobs:", "concurrency: {group: '${{ github.run_id }}', cancel-in-progress: true}\njobs:"),
        ACTION.replace(
            "jobs:", "concurrency: {group: a, cancel-in-progress: \"${{ github.ref != 'b' }}\"}\njobs:"
        ),
        f"{ACTION}  build:\n    permissions: {{}}\n    steps:\n{CHECKOUT}      - run: uv build\n",
        HEAD + CHECKOUT + "      - run: uv sync --only-group release\n" + UPLOAD,
        "on: push\njobs:\n  test:\n    steps:\n      - run: pip install --extra-index-url https://example.org a\n",
        run("twine upload -r own dist/a.whl\n        env: {TWINE_PASSWORD: '${{ secrets.T }}'}"),
        f"{ACTION}        with: {{repository-url: 'https://example.org/', password: '${{{{ secrets.T }}}}'}}\n",
        "",
        "on: push\njobs: {a: {uses: ./.github/workflows/b.yml}}\n",
        "on: [push]\njobs: [a]\n",
    ],
)
def test_an_ordinary_workflow_has_no_smell(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("tagging", "waiting", "line"),
    [
        (TAGGING, ACTION, 9),
        (TAGGING.replace("--tags", '"v$VERSION"'), ACTION, 9),
        (TAGGING.replace("--tags", '"$VERSION"'), ACTION, 9),
        (TAGGING.replace("--tags", '"release/$VERSION"'), ACTION, None),
        (TAGGING.replace("git push origin --tags", "semantic-release version"), ACTION, 9),
        (RELEASING, ACTION, 9),
        (RELEASING, ACTION.replace('{push: {tags: ["v*"]}}', "{release: {types: [published]}}"), 9),
        (TAGGING, BRANCH, None),
        (TAGGING.replace("checkout@v7", "checkout@v7\n        with: {token: '${{ secrets.PAT }}'}"), ACTION, None),
        (RELEASING.replace("v1 --gen", "v1 --draft --gen"), ACTION, None),
        (RELEASING.replace("branches: [main]", "tags: ['v*']"), ACTION, None),
        (RELEASING.replace("- run", "- if: startsWith(github.ref, 'refs/tags/')\n        run"), ACTION, None),
        (TAGGING.replace("--tags", "main"), ACTION, None),
    ],
)
def test_a_tag_of_the_default_token_starts_no_run(tagging: str, waiting: str, line: int | None) -> None:
    problems = found(tagging, waiting)
    assert [problem.file for problem in problems] == ([] if line is None else [f"0.yml:{line}"])
    assert all("does not start 1.yml" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "0.yml:1"),
        ("a:\n  b: 1\n c: 2\n", "0.yml:3"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("&a [*a]", "contains itself"),
        ("\x00", "not valid YAML"),
        ("- a", "not a mapping"),
        ("a: " + "b" * (1 << 20), "more than 1 MiB"),
    ],
    ids=range(7),
)
def test_what_is_no_workflow_is_a_problem_of_its_line(text: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        found(text)
    assert caught.value.code == "project-file-invalid"
    assert message in f"{caught.value.file}: {caught.value.message}"


def test_aliases_are_read_once() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
    assert len(parse_yaml("\n".join(lines).encode(), "a.yml")) == 40


def test_undecodable_text_is_a_problem() -> None:
    with pytest.raises(Problem, match="not UTF-8") as caught:
        parse_yaml(b"on: push\na: \xff", "a.yml")
    assert caught.value.file == "a.yml:2"


GOLDEN = Path(__file__).parents[1] / "workflows" / "extension" / "release.yml"
OTHER_VALUES: tuple[Any, ...] = ("", "x", [], {}, [{}], [["a"]], {"a": {}})


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of each value in a document."""
    yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from paths(inner, (*path, key))


def test_no_value_of_another_type_breaks_a_check() -> None:
    content = GOLDEN.read_bytes()
    expected = parse_workflow("0.yml", content)
    document = json.loads(json.dumps(expected.table))
    for number, path in enumerate(paths(document)):
        for other in OTHER_VALUES[number % 2 :: 2] if path else ():
            changed = json.loads(json.dumps(document))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = other
            workflow = parse_workflow("0.yml", json.dumps(changed, indent=1).encode())  # JSON is YAML
            for one, two in ((workflow, expected), (expected, workflow)):
                findings = (
                    *release_problems([one]),
                    *WORKFLOW_RULES.compare(one, two),
                    *WORKFLOW_RULES.find_dangers(one, two),
                )
                assert all(findings)
