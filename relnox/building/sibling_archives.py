"""The archives of other packages of the project (siblings) as build requirements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.building.file_hashes import hash_file


def use_sibling_archives(requirements: Sequence[str], siblings: Mapping[str, Path]) -> list[str]:
    """Replace requirements on other packages of the project (siblings) with the paths of their new archives.

    A requirement that does not allow the new version refers to an older release, and is kept.
    """
    if not siblings:
        return list(requirements)
    requirement_by_text = {text: Requirement(text) for text in requirements}
    names = {text: canonicalize_name(requirement.name) for text, requirement in requirement_by_text.items()}
    excluded_names = {
        names[text]
        for text, requirement in requirement_by_text.items()
        if (archive := siblings.get(names[text])) is not None
        and not requirement.specifier.contains(_version_of_archive(archive.name), prereleases=True)
    }
    usable_archives = {name: archive for name, archive in siblings.items() if name not in excluded_names}
    if usable_archives.keys().isdisjoint(names.values()):
        return list(requirements)
    others = [
        text
        for text, requirement in requirement_by_text.items()
        if names[text] not in usable_archives or requirement.extras
    ]
    return [
        *others,
        *(
            f"{name} @ {archive.as_uri()}#sha256={hash_file(archive).sha256}"
            for name, archive in usable_archives.items()
        ),
    ]


def _version_of_archive(file: str) -> Version:
    return parse_wheel_filename(file)[1] if file.endswith(".whl") else parse_sdist_filename(file)[1]
