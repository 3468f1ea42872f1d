"""The manifest of a build, which lists its files, in JSON and text form.

The JSON form is a superset of what `python -m build --report` writes (build 1.6): a program that reads that report
can also read this manifest.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core import fixes
from relnox.core.documents import describe_parsing_error
from relnox.core.packages import is_valid_name, normalize_name
from relnox.core.records import Record, field_values, replace
from relnox.core.text import format_count
from relnox.errors import Blocked

T = TypeVar("T")

MANIFEST_JSON = "manifest.json"
MANIFEST_TEXT = "BUILD_MANIFEST.txt"

DistributionKind = Literal["sdist", "wheel"]

_SAFE_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]{,254}")
"""Names of archives (PEP 427, PEP 625, and older sdists): they cannot have a directory or look like an option."""
_MAX_SIZE = 1 << 50
_DIGEST = r"[0-9a-f]{64}"
_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"
_TYPES: dict[type, str] = {str: "string", bool: "boolean", list: "list", dict: "object"}
_MAX_REASON = 200
"""The number of characters to which the reason in an error message is cut."""


def is_safe_filename(name: str) -> bool:
    """Return whether a file name has the form of an archive's: no directories, and not like an option (`-x`)."""
    return _SAFE_FILENAME.fullmatch(name) is not None


class Distribution(Record, kw_only=True):
    """One built file: its size is in bytes, and its digests are in hex.

    The name of the package is normalized (PEP 503), and `version` is the one in the file's metadata.
    """

    package: str
    version: Version
    filename: str
    kind: DistributionKind
    size: int
    sha256: str
    blake2b_256: str

    @property
    def has_valid_name(self) -> bool:
        """Whether the file name matches the package and the version (PEP 427, PEP 625)."""
        parse = parse_wheel_filename if self.kind == "wheel" else parse_sdist_filename
        try:
            return parse(self.filename)[:2] == (self.package, self.version)
        except (InvalidSdistFilename, InvalidWheelFilename):
            return False


class PackageFacts(Record, kw_only=True):
    """What publishing needs to know of a package, besides its files.

    Attributes:
        directory: The directory of the package, relative to the project's root.
        version: The version, or None if no file of the project has it.
        is_private: Whether the package must not be uploaded to any index.
        is_metadata_only: Whether it has no modules.
        tag_prefix: The text before the version in its release tags.
        tag_suffix: The text after the version there.
    """

    name: str
    directory: str
    version: Version | None
    is_private: bool
    is_metadata_only: bool
    tag_prefix: str
    tag_suffix: str


class PublishingPolicy(Record, kw_only=True):
    """What publishing needs to know of a project besides the files, so that it needs no checkout.

    Attributes:
        settings: The settings in `[tool.relnox]` that publishing reads, as the text of a JSON object; no hooks.
        packages: All packages of the project, private ones too.
        tags: The release tags at the built commit.
    """

    settings: str
    packages: tuple[PackageFacts, ...]
    tags: tuple[str, ...]


class Manifest(Record, kw_only=True):
    """The files of one build, in release order: a package comes after the packages of the build that it needs.

    Attributes:
        commit: The full id of the commit that the files were built from, or None outside git.
        dirty: Whether the working tree had uncommitted changes; such files can only be published to a test index,
            such as TestPyPI.
        time: The end of the build, in UTC and ISO 8601.
        needs: Pairs of a package and those it needs when it is installed, directly or indirectly.
        missing: The names of the packages of the build that have no files, or not all of them: they could not be
            built, or other jobs build them.
        policy: What publishing without a checkout needs to know of the project; None outside git.
    """

    distributions: tuple[Distribution, ...]
    commit: str | None
    dirty: bool
    time: str
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    missing: tuple[str, ...] = ()
    policy: PublishingPolicy | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of the packages that have files, in release order."""
        return tuple(dict.fromkeys(file.package for file in self.distributions))

    def files_of(self, package: str) -> tuple[Distribution, ...]:
        """Return the files of one package; an empty tuple if the manifest has none."""
        return tuple(file for file in self.distributions if file.package == package)

    def version_of(self, package: str) -> Version:
        """Return the version of a package; raise IndexError if the manifest has no files of it."""
        return self.files_of(package)[0].version

    def restricted_to(self, packages: frozenset[str]) -> Manifest:
        """Return a copy with only the files and needs of these packages, and with an empty `missing`."""
        return replace(
            self,
            distributions=tuple(file for file in self.distributions if file.package in packages),
            needs=tuple((name, needed_packages) for name, needed_packages in self.needs if name in packages),
            missing=(),
        )

    def to_json(self) -> str:
        """Return the manifest as JSON, which `from_json` reads."""
        artifacts = [
            {
                "name": file.filename,
                "path": file.filename,
                "kind": file.kind,
                "size": file.size,
                "hashes": {"sha256": file.sha256, "blake2b_256": file.blake2b_256},
                "package": file.package,
                "package_version": str(file.version),
            }
            for file in self.distributions
        ]
        document = {
            "version": "1.0",
            "artifacts": artifacts,
            "commit": self.commit,
            "dirty": self.dirty,
            "time": self.time,
            "needs": {name: list(needed_packages) for name, needed_packages in self.needs},
            **({"missing": list(self.missing)} if self.missing else {}),
            **({"project": _policy_as_json(self.policy)} if self.policy is not None else {}),
        }
        return json.dumps(document, indent=2) + "\n"

    def to_text(self) -> str:
        """Return the manifest as text for people: the build, then each package with its files and their hashes."""
        origin = self.commit or "no commit (not a git checkout)"
        lines = [f"Built {self.time} from {origin}{' with uncommitted changes' if self.dirty else ''}"]
        lines += [f"INCOMPLETE: without {', '.join(self.missing)}"] if self.missing else []
        for package in self.packages:
            lines += ["", f"{package} {self.version_of(package)}"]
            for file in self.files_of(package):
                lines += [
                    f"  {file.filename}  ({file.kind}, {format_count(file.size, 'byte')})",
                    f"    sha256      {file.sha256}",
                    f"    blake2b-256 {file.blake2b_256}",
                ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Manifest:
        """Parse the result of `to_json`; `where` is the path of the file, for the error message.

        Raises:
            Blocked: The document is not a valid manifest.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                distributions=_parse_distributions(document["artifacts"]),
                commit=_check_commit(document["commit"]),
                dirty=_check_type(document["dirty"], bool),
                time=_check_time(document["time"]),
                needs=tuple(
                    (_check_package_name(name), _check_package_names(needed_packages))
                    for name, needed_packages in document["needs"].items()
                ),
                missing=_check_package_names(document.get("missing", [])),
                policy=_parse_policy(document["project"]) if "project" in document else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = describe_parsing_error(error)
            reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"
            raise Blocked(
                "manifest-invalid",
                f"{where} is not a valid manifest ({reason})",
                fix=f"rebuild: {fixes.task_command('build-all')}",
            ) from error


# The functions below return a valid value, and raise an error for any other: a manifest may be hostile.


def _check_type(value: object, kind: type[T]) -> T:
    """Return a value unchanged, or raise ValueError if it is not of the type `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"{value!a} is no {_TYPES[kind]}")  # noqa: TRY004 - shown to the user
    return value


def _check_commit(value: object) -> str | None:
    """Return a value unchanged if it is a full commit ID (40 or 64 hex digits) or None; else raise ValueError."""
    if value is None:
        return None
    if re.fullmatch(_COMMIT, commit := _check_type(value, str)) is None:
        raise ValueError(f"{commit!a} is not a commit id")
    return commit


def _check_time(value: object) -> str:
    """Return a value unchanged if it is a time in ISO 8601; else raise ValueError."""
    datetime.fromisoformat(time := _check_type(value, str))
    return time


def _check_package_name(name: str) -> str:
    """Return a name unchanged if it is valid and normalized (PEP 503); else raise ValueError."""
    if not is_valid_name(name) or normalize_name(name) != name:
        raise ValueError(f"{name!a} is not a normalized package name")
    return name


def _check_package_names(value: object) -> tuple[str, ...]:
    """Return a list of normalized names as a tuple, or raise ValueError for any other value."""
    return tuple(map(_check_package_name, _check_texts(value)))


def _check_texts(value: object) -> tuple[str, ...]:
    """Return a list of strings as a tuple, or raise ValueError for any other value."""
    return tuple(_check_type(text, str) for text in _check_type(value, list))


def _policy_as_json(policy: PublishingPolicy) -> dict[str, Any]:
    """Return a policy as a JSON object, the inverse of `_parse_policy`."""
    packages = []
    for package in policy.packages:
        values = field_values(package)
        packages.append(values | {"version": None if package.version is None else str(package.version)})
    return {"settings": json.loads(policy.settings), "packages": packages, "tags": list(policy.tags)}


def _parse_policy(document: dict[str, Any]) -> PublishingPolicy:
    """Return the policy that a JSON object of a manifest holds.

    Raises:
        ValueError, KeyError, TypeError: The object is invalid.
    """
    packages = tuple(
        PackageFacts(
            name=_check_package_name(entry["name"]),
            directory=_check_type(entry["directory"], str),
            version=None if entry["version"] is None else Version(entry["version"]),
            is_private=_check_type(entry["is_private"], bool),
            is_metadata_only=_check_type(entry["is_metadata_only"], bool),
            tag_prefix=_check_type(entry["tag_prefix"], str),
            tag_suffix=_check_type(entry["tag_suffix"], str),
        )
        for entry in document["packages"]
    )
    if len({package.name for package in packages}) < len(packages):
        raise ValueError("a package of the project is listed twice")
    settings = json.dumps(_check_type(document["settings"], dict), sort_keys=True)
    return PublishingPolicy(settings=settings, packages=packages, tags=_check_texts(document["tags"]))


def _parse_distributions(entries: list[dict[str, Any]]) -> tuple[Distribution, ...]:
    """Return the files that the JSON objects in the list `artifacts` of a manifest describe.

    Raises:
        ValueError, KeyError, TypeError: One of them is invalid, or a file name is listed twice.
    """
    files: dict[str, Distribution] = {}
    for entry in entries:
        file = Distribution(
            package=entry["package"],
            version=Version(entry["package_version"]),
            filename=entry["name"],
            kind=entry["kind"],
            size=entry["size"],
            sha256=entry["hashes"]["sha256"],
            blake2b_256=entry["hashes"]["blake2b_256"],
        )
        checks = {
            "name": is_safe_filename(file.filename),
            "package": is_valid_name(file.package) and normalize_name(file.package) == file.package,
            "kind": file.kind in get_args(DistributionKind),
            "size": type(file.size) is int and 0 <= file.size <= _MAX_SIZE,
            "hashes": re.fullmatch(_DIGEST, file.sha256) and re.fullmatch(_DIGEST, file.blake2b_256),
        }
        if invalid := [key for key, valid in checks.items() if not valid]:
            raise ValueError(f"{str(file.filename)[:100]!a}: invalid {invalid[0]}")
        if files.setdefault(file.filename.casefold(), file) is not file:  # some file systems ignore case
            raise ValueError(f"{file.filename} is listed twice")
    return tuple(files.values())
