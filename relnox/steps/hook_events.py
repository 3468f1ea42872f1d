"""The events that hooks read, as JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.release.manifest import Distribution
    from relnox.steps.hooks import RunHook

_SCHEMA = 1
"""The version of the events that hooks read: it changes where a program that reads them would break."""


class HookPackage(Record, kw_only=True):
    """A package that takes part in an event.

    Attributes:
        folder: Its folder, relative to the root.
        old_version: The version before a bump, or None for other events and for a first version.
        version: The version, or None if it is not known before the build.
        tag: The tag of the version, or None if it has none.
    """

    name: str
    folder: str
    old_version: Version | None = None
    version: Version | None = None
    tag: str | None = None


def event_document(
    step: RunHook, *, root: str, commit: str | None, folder: str | None, files: Iterable[Distribution]
) -> dict[str, Any]:
    """Return the event document for a hook.

    Args:
        step: The step that runs the hook.
        root: The project's folder, or the copy of it in which the hook runs.
        commit: The commit that is released, or bumped.
        folder: The folder with the archives.
        files: The archives.
    """
    by_package: dict[str, list[Distribution]] = {}
    for file in files:
        by_package.setdefault(file.package, []).append(file)
    return {
        "schema": _SCHEMA,
        "event": step.event,
        "task": step.of,
        "rehearsal": step.rehearsal,
        "root": root,
        "commit": commit,
        "index": step.index,
        "tags": list(dict.fromkeys(package.tag for package in step.packages if package.tag is not None)),
        "folder": folder,
        "packages": [
            {
                "name": package.name,
                "folder": package.folder,
                "old_version": _text_or_none(package.old_version),
                "version": _text_or_none(package.version or next((file.version for file in archives), None)),
                "tag": package.tag,
                "files": [
                    {
                        "filename": file.filename,
                        "kind": file.kind,
                        "size": file.size,
                        "sha256": file.sha256,
                    }
                    for file in archives
                ],
            }
            for package in step.packages
            for archives in [by_package.get(package.name, [])]
        ],
    }


def _text_or_none(version: object) -> str | None:
    return None if version is None else str(version)
