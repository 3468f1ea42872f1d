"""What an index lists and serves decides how publishing ends: other bytes, none, pages that contradict themselves.

And bugs: an exception anywhere after the first upload ends the run with what is public, not with a traceback.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import acts
import pytest
from package_index import FILE, JSON_PAGE, LISTING, PackageIndex, Rule, as_json
from releases import Package, SimulatedClock, is_whole, public, publish, publish_to, release

from relnox.indexes import uploads
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from package_index import Exchange

pytestmark = pytest.mark.heavy

SIZES = {
    1: [Package("demo", sdist=False)],
    2: [Package("demo")],
    6: [Package("core", wheels=2), Package("demo", ("core",), wheels=2)],
}
LOGIN_PAGE = b'<html><form action="/login"><input type="password" name="p"></form></html>'
LOGIN = acts.answers(200, "OK", ("Content-Type", "text/html"), body=LOGIN_PAGE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    return simulated


@pytest.mark.parametrize(
    ("fault", "code"),
    [(acts.answers(200, "another file"), 4), (LOGIN, 4), (acts.answers(404, "Not Found"), 3)],
)
def test_one_file_that_is_not_served_is_reported_among_others(
    fault: acts.Act, code: int, tmp_path: Path, clock: SimulatedClock
) -> None:
    release(tmp_path, SIZES[2])
    rule = Rule(fault, on=FILE, filename="*.tar.gz")
    with PackageIndex([rule], clock=clock.time) as index:
        ran = publish(tmp_path, index)
    assert ran.code == code, ran.text
    assert "public on own (1): demo-1.0-py3-none-any.whl" in ran.err
    where = "different content on own (1)" if code == 4 else "uploaded to own, not verified (1)"
    assert f"{where}: demo-1.0.tar.gz" in ran.err


def test_a_yanked_file_is_reported_before_and_after(tmp_path: Path, clock: SimulatedClock) -> None:
    # PEP 592
    release(tmp_path, SIZES[2])
    rule = Rule(acts.UNKNOWN_LOGIN, filename="*.tar.gz")
    with PackageIndex([rule], clock=clock.time) as index:
        assert publish(tmp_path, index).code == 3
        index.misbehave()
        index.yank("demo-1.0-py3-none-any.whl", "broken")
        ran = publish(tmp_path, index)
    assert ran.code == 0, ran.text
    assert "note: demo-1.0-py3-none-any.whl is yanked on own: installers ignore it" in ran.err
    assert "YANKED, ignored by installers: demo-1.0-py3-none-any.whl" in ran.err


@pytest.mark.parametrize(("status", "code"), [("archived", 0), ("deprecated", 0), ("quarantined", 5)])
def test_the_status_of_a_project_is_reported_after_the_uploads(
    status: Any, code: int, tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PEP 792: it changes while the release is on its way.
    release(tmp_path, SIZES[2])
    with PackageIndex(clock=clock.time) as index:
        send = uploads.upload_file

        def sent(path: Path, *args: Any, **options: Any) -> str:
            said = send(path, *args, **options)
            if path.name.endswith(".tar.gz"):
                index.set_status("demo", status, "see demo-2")
            return said

        monkeypatch.setattr("relnox.steps.upload.upload_file", sent)
        ran = publish(tmp_path, index, code=code)
        assert ("quarantine" if status == "quarantined" else f"the project is {status} (see demo-2)") in ran.err
        assert clock.monotonic() < 60
        again = publish(tmp_path, index)
        if status != "quarantined":
            assert f"note: project demo is {status} on own: see demo-2" in again.err


def test_what_needs_a_project_in_quarantine_is_not_uploaded(tmp_path: Path, clock: SimulatedClock) -> None:
    # The index lists the files as before, and serves them.
    manifest = release(tmp_path, SIZES[6])

    def put_into_quarantine(exchange: Exchange) -> bool:
        document = exchange.index.document(exchange.request.project)
        status = {"status": "quarantined", "reason": "malware"}
        if document["files"]:
            exchange.answer(as_json({**document, "project-status": status}, content_type=JSON_PAGE))
        return not document["files"]

    with PackageIndex([Rule(put_into_quarantine, on=LISTING)], clock=clock.time) as index:
        ran = publish(tmp_path, index, code=5)
        assert "project core is quarantined on own, and cannot be installed (malware)" in ran.err
        assert not [name for name in public(index, manifest) if name.startswith("demo")]
        assert clock.monotonic() < 60


# --- before the first byte


def half(root: Path, index: PackageIndex) -> None:
    """Publish the first of two packages."""
    release(root, SIZES[6])
    index.misbehave(Rule(acts.UNKNOWN_LOGIN, project="demo"))
    ran = publish(root, index, code=3)
    assert "public on own (3): core-1.0" in ran.err
    assert "rejected by own (1): demo-1.0" in ran.err
    assert "not uploaded to own (2): demo-1.0" in ran.err
    index.misbehave()


def no_credentials(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    patch.delenv("RELNOX_OWN_TOKEN")
    return ()


def file_is_gone(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    (root / "dist/demo-1.0.tar.gz").unlink()
    return ()


def file_changed(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    (root / "dist/demo-1.0.tar.gz").write_bytes(b"other")
    return ()


def archived(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    index.set_status("demo", "archived")
    return ()


def plan_cannot_be_written(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    return "--plan", str(root / "nowhere/plan.json")


def bad_token(root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    index.misbehave(Rule(acts.UNKNOWN_LOGIN))
    return ()


@pytest.mark.parametrize(
    ("transient_error", "code"),
    [
        (no_credentials, 3),
        (file_is_gone, 3),
        (file_changed, 4),
        (archived, 3),
        (plan_cannot_be_written, 3),
        (bad_token, 3),
    ],
)
def test_a_blocked_run_reports_the_public_files_of_an_earlier_run(
    transient_error: Callable[[Path, PackageIndex, pytest.MonkeyPatch], tuple[str, ...]],
    code: int,
    tmp_path: Path,
    clock: SimulatedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PackageIndex(clock=clock.time) as index:
        half(tmp_path, index)
        ran = publish(tmp_path, index, *transient_error(tmp_path, index, monkeypatch))
    assert ran.code == code, ran.text
    assert "core-1.0-py3-none-any.whl" in ran.err
    assert "(3): core-1.0" in ran.err


def test_a_missing_confirmation_reports_the_public_files(tmp_path: Path, clock: SimulatedClock) -> None:
    with PackageIndex(clock=clock.time) as index:
        half(tmp_path, index)
        ran = publish_to(tmp_path, index.upload_url, index.simple_url, production=True)
    assert ran.code == 3, ran.text
    assert "confirmation needed, but stdin is not a terminal" in ran.err
    assert "already public from an earlier run (3 of 6 files):" in ran.err


def test_an_index_that_cannot_be_read_never_ends_as_if_nothing_were_public(
    tmp_path: Path, clock: SimulatedClock
) -> None:
    with PackageIndex(clock=clock.time) as index:
        half(tmp_path, index)
        for fault in (acts.answers(403, "Forbidden"), LOGIN, acts.answers(503, "away")):
            index.misbehave(Rule(fault, on=LISTING))
            publish(tmp_path, index, code=5)


# --- one package and many


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([Rule(acts.NOT_STORED)], 5),
        ([Rule(acts.hides(10**6), on=LISTING)], 5),
        ([Rule(acts.E500)], 5),
        ([Rule(acts.READ_ONLY)], 5),
        ([Rule(acts.UNKNOWN_LOGIN)], 1),
        ([Rule(acts.TOO_LARGE)], 2),
        ([Rule(acts.RESERVED)], 4),
        ([Rule(acts.answers(404, "Not Found"), on=FILE)], 5),
        ([Rule(acts.answers(200, "other"), on=FILE)], 4),
        (
            [
                Rule(acts.STORED_500),
                Rule(acts.unavailable(), on=LISTING, each=True, tries=range(2, 10**6)),
            ],
            5,
        ),
    ],
)
def test_one_package_and_many_have_the_same_code_for_the_same_state(
    rules: list[Rule], code: int, tmp_path: Path, clock: SimulatedClock
) -> None:
    for number, packages in enumerate((SIZES[1], SIZES[2], [Package(f"part-{part}") for part in range(10)])):
        root = tmp_path / str(number)
        root.mkdir()
        release(root, packages)
        with PackageIndex(rules, clock=clock.time) as index:
            publish(root, index, code=code)


# --- bugs


BUGS = (RuntimeError("boom"), MemoryError(), RecursionError("too deep"), KeyboardInterrupt(), SystemExit(7))


def raising(patch: pytest.MonkeyPatch, bug: BaseException) -> None:
    """Raise a bug after an upload was answered, from the second one on."""
    parse_upload_response = uploads.parse_upload_response
    calls = 0

    def broken(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise bug
        return parse_upload_response(*args, **options)

    patch.setattr(uploads, "parse_upload_response", broken)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
def test_a_bug_after_the_first_upload_ends_with_what_is_public(
    bug: BaseException, tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = release(tmp_path, SIZES[6])
    with PackageIndex(clock=clock.time) as index:
        with monkeypatch.context() as patch:
            raising(patch, bug)
            ran = publish(tmp_path, index, "--report", str(tmp_path / "report.json"))
        there = public(index, manifest)
        whole = is_whole(index, manifest)
        assert there
        interrupted = isinstance(bug, KeyboardInterrupt) and not whole
        allowed = {0} if whole else {3, 5}
        assert ran.code in (allowed | {130} if interrupted else allowed), (ran.text, there)
        assert "Traceback" not in ran.err
        if ran.code == 3:
            named = next(line for line in ran.err.splitlines() if line.startswith("public on own"))
            assert all(name in ran.err for name in there), (named, there)
        publish(tmp_path, index, code=0)
        assert is_whole(index, manifest)


def test_a_bug_is_printed_after_the_public_files_and_is_in_the_report(
    tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tmp_path, SIZES[6])
    with PackageIndex(clock=clock.time) as index, monkeypatch.context() as patch:
        raising(patch, RuntimeError("boom"))
        ran = publish(tmp_path, index, "--verbose", "--report", str(tmp_path / "report.json"))
    assert ran.code == 3, ran.text
    assert ran.err.index("public on own") < ran.err.index("Traceback")
    assert "RuntimeError: boom" in ran.err
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["exit_code"] == 3
    assert "RuntimeError: boom" in report["traceback"]
    assert {file["state"] for file in report["files"]} >= {"public, verified"}


def test_a_bug_before_the_first_upload_is_a_traceback(
    tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("boom")

    release(tmp_path, SIZES[2])
    monkeypatch.setattr("relnox.steps.upload.upload_file", broken)
    with (
        PackageIndex(clock=clock.time) as index,
        pytest.raises(RuntimeError, match="boom"),
    ):
        publish(tmp_path, index)
