"""Exit codes of publishing, for every combination of what was sent and what was seen of one and two files."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from relnox.core.release.publication import (
    FileCheck,
    FileState,
    PublishedFile,
    UploadStatus,
    add_public_files_to_error,
    exit_code_after_publication,
    exit_code_of_publishing,
    summary_lines,
)
from relnox.errors import Blocked, ExitCode, Failed, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

ERRORS = (ExitCode.BLOCKED, ExitCode.FAILED, ExitCode.CONFLICT, ExitCode.TRY_LATER)
SIGHTINGS = tuple(itertools.product(UploadStatus, FileCheck, FileCheck))


def a_file(upload: UploadStatus, listing: FileCheck, download: FileCheck, number: int = 0) -> PublishedFile:
    return PublishedFile(
        index="own",
        package="demo",
        filename=f"demo-{number}.whl",
        upload=upload,
        listing=listing,
        download=download,
    )


def expected(files: Sequence[PublishedFile], error: ExitCode | None) -> set[ExitCode]:
    """The codes that tell the truth, by the words of the contract rather than by the code under test."""
    other = any(FileCheck.MISMATCH in (file.listing, file.download) for file in files)
    proven = [file.listing is FileCheck.MATCH and file.download is FileCheck.MATCH for file in files]
    # Observation to be public: our bytes were served, or the listing has our hash and nothing speaks against it.
    public = [
        file.download is FileCheck.MATCH
        or (file.listing is FileCheck.MATCH and file.download is FileCheck.UNKNOWN)
        for file in files
    ]
    # It may be public: the listing has it, or could not be read, or was asked too early.
    possible = [
        file.listing in (FileCheck.MATCH, FileCheck.UNKNOWN)
        or (file.upload is UploadStatus.UPLOADED and file.listing is FileCheck.ABSENT)
        for file in files
    ]
    if all(proven):
        return {ExitCode.DONE}
    if other or error is ExitCode.CONFLICT:
        return {ExitCode.CONFLICT}
    if any(public):
        return {ExitCode.PARTLY_PUBLIC}
    if any(possible) or error is ExitCode.TRY_LATER:
        return {ExitCode.TRY_LATER}
    return {error or ExitCode.FAILED}


@pytest.mark.parametrize("error", [None, *ERRORS])
@pytest.mark.parametrize("number", [1, 2])
def test_every_state_of_one_file_and_of_two(number: int, error: ExitCode | None) -> None:
    for sightings in itertools.product(SIGHTINGS, repeat=number):
        files = [a_file(*sighting, each) for each, sighting in enumerate(sightings)]
        code = exit_code_of_publishing(files, [error] if error else [])
        assert {code} == expected(files, error), (sightings, error)
        states = {file.state for file in files}
        if code in (ExitCode.BLOCKED, ExitCode.FAILED):
            assert states <= {FileState.REJECTED, FileState.NOT_UPLOADED}
        if code is ExitCode.PARTLY_PUBLIC:
            assert states & {FileState.PUBLIC, FileState.VERIFIED}
        assert (code is ExitCode.DONE) == (states == {FileState.VERIFIED})


def test_sampled_states_of_twenty_files() -> None:
    chance = random.Random(0)
    codes = set()
    for _ in range(4000):
        some = chance.sample(SIGHTINGS, chance.randint(1, 4))
        files = [a_file(*chance.choice(some), number) for number in range(20)]
        errors = chance.choices(ERRORS, k=chance.randint(0, 2))
        code = exit_code_of_publishing(files, errors)
        worst = ExitCode.worst(errors) if errors else None
        assert {code} == expected(files, worst), (files, errors)
        codes.add(code)
    assert {int(code) for code in codes} == {0, 2, 3, 4, 5, 1}


def test_a_release_of_no_file_is_never_done() -> None:
    assert exit_code_of_publishing([], []) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], ExitCode.DONE),
        ([ExitCode.FAILED], ExitCode.CONFLICT),
        ([ExitCode.BLOCKED], ExitCode.CONFLICT),
        ([ExitCode.TRY_LATER], ExitCode.TRY_LATER),
        ([ExitCode.CONFLICT, ExitCode.TRY_LATER], ExitCode.CONFLICT),
    ],
)
def test_a_check_after_publication_never_says_that_nothing_is_public(
    errors: list[ExitCode], code: ExitCode
) -> None:
    assert exit_code_after_publication(errors) is code


def test_the_summary_names_every_file_by_what_is_known_of_it() -> None:
    files = [
        a_file(UploadStatus.UPLOADED, FileCheck.MATCH, FileCheck.MATCH, 1),
        a_file(UploadStatus.NOT_UPLOADED, FileCheck.MATCH, FileCheck.UNKNOWN, 2),
        a_file(UploadStatus.UPLOADED, FileCheck.ABSENT, FileCheck.UNKNOWN, 3),
        a_file(UploadStatus.NOT_UPLOADED, FileCheck.UNKNOWN, FileCheck.UNKNOWN, 4),
        a_file(UploadStatus.UPLOADED, FileCheck.MISMATCH, FileCheck.UNKNOWN, 5),
        a_file(UploadStatus.REJECTED, FileCheck.ABSENT, FileCheck.UNKNOWN, 6),
        a_file(UploadStatus.NOT_UPLOADED, FileCheck.ABSENT, FileCheck.UNKNOWN, 7),
    ]
    assert list(summary_lines(files)) == [
        "public on own (1): demo-1.whl",
        "public on own, not compared (1): demo-2.whl",
        "uploaded to own, not verified (1): demo-3.whl",
        "unknown, own could not be read (1): demo-4.whl",
        "different content on own (1): demo-5.whl",
        "rejected by own (1): demo-6.whl",
        "not uploaded to own (1): demo-7.whl",
    ]


@pytest.mark.parametrize(
    ("error", "public", "code"),
    [
        (Failed, [], ExitCode.FAILED),
        (Failed, ["a"], ExitCode.PARTLY_PUBLIC),
        (Failed, ["a", "b"], ExitCode.PARTLY_PUBLIC),
        (Blocked, ["a"], ExitCode.PARTLY_PUBLIC),
        (Blocked, ["a", "b"], ExitCode.CONFLICT),  # a rerun does not finish it
    ],
)
def test_an_error_before_the_first_byte_says_what_an_earlier_run_made_public(
    error: type[Problem], public: list[str], code: ExitCode
) -> None:
    problem = error("disk-full", "the disk is full")
    add_public_files_to_error(problem, "own", ["a", "b"], public)
    assert problem.exit_code is code
    more = f"already public from an earlier run ({len(public)} of 2 files):" in problem.message
    assert more if public else problem.message == "the disk is full"
