"""The files of a run besides those of the project: plan, expected plan, report, outputs for CI, and lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import SCHEMA, Plan, plan_digest
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.core.settings.options import CommonOptions
from relnox.errors import Blocked
from relnox.project import Project
from relnox.reporters import outputs
from relnox.reporters.streams import STDERR, STDOUT
from relnox.system.files import make_private_directory, read_file
from relnox.system.secrets import mask_secrets

STANDARD_OUTPUT = "-"
"""The value of an option that means standard output instead of a file."""
_MAX_LINES = 20
"""The maximum number of differences that are shown."""
_MAX_SHOWN = 80
"""The maximum number of characters shown of a value that differs."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def reserve_standard_output(*paths: Any) -> AbstractContextManager[None]:
    """Return a context in which only documents go to standard output, if one of the paths is `-`.

    Documents are what `write_document` writes: plan, report and JSON. Everything else goes to standard error. If
    none of the paths, which may be None, is `-`, the context changes nothing.
    """
    return STDOUT.redirect_to(STDERR) if STANDARD_OUTPUT in paths else contextlib.nullcontext()


def document_paths(options: CommonOptions) -> tuple[str, ...]:
    """Return the paths of plan, report, expected plan and outputs in the options, except `-` (standard output)."""
    files = (options.plan, options.report, options.expect_plan, getattr(options, "outputs", None))
    return tuple(path for path in files if path is not None and path != STANDARD_OUTPUT)


def check_output_paths(options: CommonOptions) -> None:
    """Raise `Blocked` if two of plan, report and JSON output have one path, or if the report cannot be written.

    The file of the report is created for this if it does not exist.
    """
    json_path = STANDARD_OUTPUT if getattr(options, "json", False) else None
    flags: dict[str, str] = {}
    for flag, path in {"--plan": options.plan, "--report": options.report, "--json": json_path}.items():
        if path is None:
            continue
        other = flags.setdefault(path if path == STANDARD_OUTPUT else os.path.realpath(path), flag)
        if other != flag:
            place = "standard output" if path == STANDARD_OUTPUT else path
            raise Blocked("options-conflict", f"{other} and {flag} both write to {place}", fix=f"remove {flag}")
    if options.report is not None and options.report != STANDARD_OUTPUT:
        try:
            Path(options.report).open("ab").close()
        except OSError as error:
            raise _not_writable_error(options.report, "report", error.strerror) from None


def write_document(path: str, text: str, what: str) -> None:
    """Write text to a file or to standard output (`-`); the secrets of this run in it are masked.

    Raises:
        Blocked: The file cannot be written; `what` is the name of the option that has its path.
    """
    if path == STANDARD_OUTPUT:
        with STDOUT.redirect_to(None):
            STDOUT.write(mask_secrets(text))
            STDOUT.flush()
        return
    try:
        Path(path).write_text(mask_secrets(text), encoding="utf-8")
    except OSError as error:
        raise _not_writable_error(path, what, error.strerror) from error


def _not_writable_error(path: str, what: str, why: str | None) -> Blocked:
    """Return the error that a file cannot be written.

    `what` is the name of the option that has its path, and `why` the reason given by the system, if any.
    """
    return Blocked(
        "file-not-writable",
        f"the {what} cannot be written to {path}: {why}",
        fix=f"choose a path in a writable directory: --{what} FILE",
    )


def write_ci_outputs(outcome: Outcome, options: CommonOptions, project: Project) -> tuple[str, ...]:
    """Write what a run released to the file in `GITHUB_OUTPUT`, and to the dotenv file of the option `--outputs`.

    Nothing is written to a file that is not set, or by tasks without that option. Return the names of the
    variables whose values cannot be in the dotenv file, and are left out there.

    Raises:
        Blocked: A file cannot be written.
    """
    files = {"github": os.environ.get("GITHUB_OUTPUT"), "dotenv": getattr(options, "outputs", None)}
    if not hasattr(options, "outputs") or not any(files.values()):
        return ()
    directory = getattr(options, "output", None) or getattr(options, "dist", None)
    manifest, sha256 = _read_manifest(project.root / directory / MANIFEST_JSON) if directory else (None, None)
    values = outputs.output_values(outcome.plan.releases, manifest, sha256, project.pythons)
    values |= dict(outcome.plan.outputs)
    refused: tuple[str, ...] = ()
    for kind, file in files.items():
        try:
            if file and kind == "github":
                outputs.add_github_outputs(Path(file), values)
            elif file:
                refused = outputs.update_dotenv(Path(file), values)
        except (OSError, UnicodeDecodeError) as error:
            raise _not_writable_error(str(file), "outputs", str(error)) from None
    return refused


def _read_manifest(file: Path) -> tuple[Manifest | None, str | None]:
    """Return a manifest and the SHA-256 of its file; None for both if it does not exist or is not valid."""
    try:
        content = read_file(file)
        return Manifest.from_json(content.decode(), where=str(file)), hashlib.sha256(content).hexdigest()
    except (OSError, UnicodeDecodeError, Blocked):
        return None, None


def check_expected_plan(expected: str, plan: Plan) -> None:
    """Raise `Blocked`, with the differences, if a plan is not the expected one.

    `expected` is the path of a plan file, or the digest of a plan (64 hexadecimal digits). An invalid plan file is
    an error, too.
    """
    approved = {} if _DIGEST.fullmatch(expected) else _read_plan(expected)
    digest = approved.get("digest", expected)
    if digest == plan.digest:
        return
    try:
        current = _comparable_parts(plan.to_document())
        lines = list(_difference_lines(_comparable_parts(approved), current)) if approved else []
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        raise _plan_file_error(expected, "its values do not have the types of a plan") from error
    lines = lines or [f"  digest: expected {digest}, now {plan.digest}"]
    more = [f"  and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    raise Blocked(
        "plan-differs",
        "\n".join([f"the plan of {plan.task} is not the expected one", *lines[:_MAX_LINES], *more]),
        fix="look at the plan with --dry-run --plan FILE, then pass --expect-plan FILE; to finish an interrupted "
        "run: remove --expect-plan",
    )


def _read_plan(file: str) -> dict[str, Any]:
    """Return the JSON of a plan file; raise `Blocked` if it cannot be read, is no plan, or was edited.

    A plan with the schema of another version of relnox is no plan either.
    """
    try:
        document = json.loads(Path(file).read_bytes())
    except OSError as error:
        raise _plan_file_error(file, f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _plan_file_error(file, "it is not JSON") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _plan_file_error(file, f"it has no schema {SCHEMA}")
    if document.get("digest") != plan_digest(document):
        raise _plan_file_error(file, "it was changed after it was written (its digest does not match)")
    return document


def _plan_file_error(file: str, why: str) -> Blocked:
    """Return the error that the file of an expected plan is not valid; `why` is quoted in its message."""
    return Blocked(
        "plan-file-invalid",
        f"{file} is not a plan ({why})",
        fix=f"write it again: relnox TASK --dry-run --plan {shlex.quote(file)}",
    )


def _comparable_parts(document: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a plan's JSON to compare with those of the expected plan: task, commit, and steps.

    The keys of steps are `step TITLE`, so that the lines of differences name them.
    """
    steps = {f"step {step['title']}": step for step in document["steps"]}
    return {"task": document.get("task"), "commit": document.get("commit"), **steps}


def _difference_lines(expected: Any, current: Any, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs between the JSON of two plans, an expected and the current one.

    `where` is the place of the values in the plan, for the lines; it is empty for the whole plan.
    """
    if isinstance(expected, list) and isinstance(current, list) and len(expected) == len(current):
        expected, current = dict(enumerate(expected)), dict(enumerate(current))
    if isinstance(expected, dict) and isinstance(current, dict):
        for name in dict.fromkeys((*expected, *current)):
            place = f"{where}, {name}" if where else str(name)
            if name not in current:
                yield f"  only expected: {place}"
            elif name not in expected:
                yield f"  only now: {place}"
            else:
                yield from _difference_lines(expected[name], current[name], place)
    elif expected != current:
        texts = json.dumps(expected, ensure_ascii=False), json.dumps(current, ensure_ascii=False)
        start = next((i for i, pair in enumerate(zip(*texts, strict=False)) if pair[0] != pair[1]), 0)
        start = max(0, start - _MAX_SHOWN // 2)
        before, now = (_excerpt(text, start) for text in texts)
        yield f"  {where}: expected {before}, now {now}"


def _excerpt(text: str, start: int) -> str:
    """Return at most `_MAX_SHOWN` characters of a text from a position, with an ellipsis at each cut."""
    end = start + _MAX_SHOWN
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


@contextlib.contextmanager
def lock_checkout(directory: Path) -> Iterator[None]:
    """Hold the lock of a checkout, so that only one run at a time changes it; raise `Blocked` if another has it.

    The lock file in `directory`, which is created if needed, has the id of this process. Temporary files that a
    killed run left there are deleted.
    """
    make_private_directory(directory)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock_descriptor(descriptor)
        except OSError:
            holder = ""
            with contextlib.suppress(OSError):  # Windows does not let others read a locked file
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise Blocked(
                "checkout-locked",
                f"another relnox is running in this checkout (process {holder or 'unknown'})",
                fix="wait until it has finished, then rerun the command",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        for staged_file in directory.glob(".*.relnox"):  # left by a run that was killed
            staged_file.unlink()
        yield
    finally:
        os.close(descriptor)


def _lock_descriptor(descriptor: int) -> None:
    """Lock an open file until it is closed; raise OSError at once if another process has locked it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
