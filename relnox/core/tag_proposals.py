"""Settings that go on with the tags a repository has, and the problems that they solve.

A new tag has the form of the package's tags that are there. Where the settings, or the lack of them, would give it
another form, the bump is refused and these settings are propose_settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.core import fixes, patterns
from relnox.core.config import GroupConfig
from relnox.core.plan import Problem
from relnox.core.records import replace
from relnox.core.tag_survey import split_prefix, survey_tags
from relnox.core.tags import any_tag_readers, configured_formats, detect_format, has_common_tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.config import Config
    from relnox.core.packages import Package
    from relnox.core.tag_survey import Survey
    from relnox.core.tags import TagFormat
    from relnox.core.workspace import Workspace

__all__ = [
    "KnownTags",
    "as_toml",
    "folder_globs",
    "format_problems",
    "lockstep_reason",
    "merge_settings",
    "propose_settings",
    "read_known_tags",
]

_LISTED = 5
"""How many packages a message names."""
_VERSION = "{version}"


class KnownTags(NamedTuple):
    """What the tags of a repository say.

    Attributes:
        tags: All tags, of this clone and of the remote where that was asked.
        survey: The same, sorted by their forms.
        forms: By package: what stands before the version in its tags; packages without tags are left out.
        latest_plain: The greatest version that a plain tag has, and what stands before it.
        is_alone: Whether the repository has no other packages than those of the workspace.
    """

    tags: tuple[str, ...]
    survey: Survey
    forms: Mapping[str, str]
    latest_plain: tuple[str, Version] | None
    is_alone: bool


def read_known_tags(
    workspace: Workspace, tags: Iterable[str], reachable: Collection[str] = (), *, is_alone: bool = True
) -> KnownTags:
    """Find out what form the tags of each package have.

    Plain tags are of the packages that state their version, of the package at the root, of a package that is
    alone, and of those whose backends take the version from any tag.

    Args:
        workspace: The packages.
        tags: All tags.
        reachable: Those that the present commit contains, where that is known: the last plain one is one of them.
        is_alone: Whether the repository has no other packages.
    """
    packages, every = workspace.packages, tuple(sorted(tags))
    survey = survey_tags(packages, every)
    plain = _latest_plain(survey, reachable)
    is_single = len(packages) == 1 and is_alone
    shared = _shared(packages, survey, plain) if plain is not None else {}
    readers = {package.name for package in any_tag_readers(packages)}
    forms: dict[str, str] = {}
    for package in packages:
        named = survey.form_of(package)
        if package.source.kind == "tags" and package.source.key:
            forms[package.name] = str(package.source.key[0])
        elif named is not None and (package.name not in shared or _fits(package.version, survey.versions(named))):
            forms[package.name] = named
        elif package.name in shared:
            forms[package.name] = shared[package.name]
        elif plain is not None and ((package.folder == "." and is_alone) or is_single or package.name in readers):
            forms[package.name] = survey.plain_of(package.version) or plain[0]
        elif is_single and (
            fitting := [each for each in survey.series if _fits(package.version, survey.versions(each))]
        ):
            forms[package.name] = survey.best(fitting, package.version) or fitting[0]
    return KnownTags(every, survey, forms, plain, is_alone)


def _shared(packages: Sequence[Package], survey: Survey, last: tuple[str, Version]) -> dict[str, str]:
    """Packages that state the version of plain tags, with what stands before it there.

    Of several versions that is the greatest one: the others are those of packages that are new, or of long ago. A
    version that one package alone has must be the last one, or that of the next release.
    """
    versions = {version: before for before in survey.plain for version in survey.versions(before)}
    found: dict[Version, list[str]] = {}
    for package in packages:
        if package.version is not None and _fits(package.version, versions):
            found.setdefault(package.version, []).append(package.name)
    if not found:
        return {}
    version, names = max(found.items())
    origin = _origin(version, versions)
    if origin is None or (len(names) == 1 and origin not in (last[1], max(versions))):
        return {}
    return dict.fromkeys(names, versions[origin])


def _fits(version: Version | None, tagged: Collection[Version]) -> bool:
    """Whether a version is tagged, or leads on from one that is."""
    return version is not None and _origin(version, tagged) is not None


def _origin(version: Version, tagged: Collection[Version]) -> Version | None:
    """The tagged version that a version is, or that it leads on from by one step, if it is not final yet."""
    if version in tagged:
        return version
    if (
        not version.is_prerelease
        or (before := max((each for each in tagged if each < version), default=None)) is None
    ):
        return None
    length = max(len(version.release), len(before.release))
    new, old = ((*each.release, *[0] * (length - len(each.release))) for each in (version, before))
    at = next((place for place in range(length) if new[place] != old[place]), length)
    is_step = new == old or (new[at] == old[at] + 1 and not any(new[at + 1 :]))
    return before if is_step and version.epoch == before.epoch else None


def lockstep_reason(workspace: Workspace, config: Config, known: KnownTags) -> str | None:
    """Why the packages are taken to move in lockstep where no setting says how they move; None if they are not.

    They all have one version, and their tags are plain.
    """
    said = config.versions is not None or config.groups or config.tag_names or config.tag_formats
    named = config.tag_format is not None and any(
        field in config.tag_format for field in ("{name}", "{folder}", "{tag-name}")
    )
    packages = workspace.packages
    if said or named or len(packages) < 2 or known.latest_plain is None:  # noqa: PLR2004 - one is alone anyway
        return None
    versions = {package.version for package in packages if package.source.kind != "tags"}
    if len(versions) != 1 or None in versions:
        return None
    if any(known.forms.get(package.name, known.latest_plain[0]) not in known.survey.plain for package in packages):
        return None
    before, last = known.latest_plain
    return (
        f"the {len(packages)} packages are at {versions.pop()}, and their tags name no package ({before}{last}): "
        'they move in lockstep (to change it: [tool.relnox] versions = "independent")'
    )


# --- problems --------------------------------------------------------------------------------------


def format_problems(
    packages: Iterable[Package],
    workspace: Workspace,
    config: Config,
    formats: Mapping[str, TagFormat],
    known: KnownTags,
) -> Iterator[Problem]:
    """Packages whose next tag would have another form than their tags have, or one that no tag here has.

    Args:
        packages: Those that are to be tagged.
        workspace: All packages.
        config: The settings.
        formats: What they give.
        known: What the tags say.
    """
    if not (known.survey.plain or known.survey.owned or known.survey.unreadable or known.forms):
        return  # there are none, or they are of something else
    tags = known.tags
    chosen = configured_formats(workspace, config)
    one_set = has_common_tags(workspace, config, tags, is_alone=known.is_alone)
    usual = detect_format(workspace.packages, tags, one_set=one_set)
    other: dict[str, tuple[str, str]] = {}
    unknown: list[str] = []
    for package in packages:
        tag_format, before = formats[package.name], known.forms.get(package.name)
        if tag_format.suffix or before == tag_format.prefix:
            continue
        has_tags = any(tag_format.parse(tag) is not None for tag in tags)
        named = before is not None and before not in known.survey.plain
        if before is not None and before in known.survey.series:
            own = tag_format.has(package.version, tags) if package.version is not None else has_tags
            if not has_tags or (named and not own and _is_tagged(package, before, known.survey)):
                other[package.name] = (before, tag_format.prefix)
        elif not has_tags and usual is None and config.tag_format is None and package.name not in chosen:
            unknown.append(package.name)
    if not other and not unknown:
        return
    proposal = propose_settings(workspace, config, known)
    fix = f"run: {fixes.command('init', '--update')}, which writes this into pyproject.toml:\n{as_toml(proposal)}"
    if other:
        lines = [
            f"the tags of {name} are like {_example(before, known, workspace.by_name[name])}, "
            f"and a new one would be {tag}{_sample(name, workspace)}"
            for name, (before, tag) in list(other.items())[:_LISTED]
        ]
        more = [f"and so on for {len(other) - _LISTED} more packages"] if len(other) > _LISTED else []
        yield Problem(code="todo", message="\n".join([*lines, *more]), fix=fix)
    if unknown:
        listed = ", ".join(unknown[:_LISTED]) + (" …" if len(unknown) > _LISTED else "")
        here = ", ".join([*_samples(known)][:3])
        yield Problem(
            code="todo",
            message=f"no tag is of {listed}, and the tags of this repository ({here}) show no form for it",
            fix=f"to begin one: {fix}",
        )


def _example(before: str, known: KnownTags, package: Package | None = None) -> str:
    """A tag of a form: that of a package's version or the one before, else the one with the greatest version."""
    every = known.survey.series[before]
    version = package.version if package is not None else None
    fitting = [tagged for tagged in every if version is not None and tagged[1] <= version]
    return max(fitting or every, key=lambda tagged: tagged[1])[0]


def _sample(name: str, workspace: Workspace) -> str:
    version = workspace.by_name[name].version
    return str(version) if version is not None else "1.0"


def _samples(known: KnownTags) -> Iterator[str]:
    for before in sorted(known.survey.series, key=lambda each: -len(known.survey.series[each])):
        yield _example(before, known)
    yield from known.survey.unreadable


# --- proposals -------------------------------------------------------------------------------------


def propose_settings(workspace: Workspace, config: Config, known: KnownTags) -> dict[str, Any]:
    """Keys of `[tool.relnox]` that are missing, or must change, so that new tags look like those there are."""
    if config.versions == "lockstep" or lockstep_reason(workspace, config, known) is not None:
        found = {} if config.versions else {"versions": "lockstep"}
        return found | _form_of_one(workspace, replace(config, versions="lockstep"), known)
    if has_common_tags(workspace, config, known.tags, is_alone=known.is_alone):
        return _form_of_one(workspace, config, known)
    settings: dict[str, Any] = {}
    if config.versions is None and len(workspace.packages) > 1:
        settings["versions"] = "independent"
    if not known.forms and not known.survey.series and not known.survey.unreadable:
        return settings
    chosen = configured_formats(workspace, config)
    forms = {name: before for name, before in known.forms.items() if name not in chosen}
    together = list(_together(workspace, config, known, forms))
    if config.versions is None and any(len(members) == len(workspace.packages) for _, members in together):
        return {"versions": "lockstep"} | _form_of_one(workspace, replace(config, versions="lockstep"), known)
    grouped = {package.name for _, members in together for package in members}
    alone = {name: before for name, before in forms.items() if name not in grouped}
    settings |= _forms_of_several(
        workspace, config, alone, known.survey.plain, has_more=len(forms) < len(workspace.packages)
    )
    used = set(config.groups)
    for before, members in together:
        name = next(name for name in ("main", *(f"main-{number}" for number in range(2, 99))) if name not in used)
        used.add(name)
        folders = folder_globs(members, workspace.packages)
        settings.setdefault("groups", {})[name] = {"packages": folders, "tag-format": before + _VERSION}
    return settings


def _form_of_one(workspace: Workspace, config: Config, known: KnownTags) -> dict[str, Any]:
    """The format of packages that share all tags."""
    if detect_format(workspace.packages, known.tags, one_set=True) and not config.tag_format:
        return {}
    beginnings = set(known.forms.values())
    if len(beginnings) != 1:
        return {"tag-format": "v{version}"} if known.survey.unreadable and not config.tag_format else {}
    text = beginnings.pop() + _VERSION
    return {} if config.tag_format == text else {"tag-format": text}


def _together(
    workspace: Workspace, config: Config, known: KnownTags, forms: Mapping[str, str]
) -> Iterator[tuple[str, list[Package]]]:
    """Packages, two or more, that are tagged together by plain tags."""
    in_groups = {
        package.name
        for group in config.groups.values()
        for package in patterns.select(group.packages, workspace.packages)
    }
    clusters: dict[str, list[Package]] = {}
    for package in workspace.packages:
        before = forms.get(package.name)
        if before is not None and before in known.survey.plain and package.name not in in_groups:
            clusters.setdefault(before, []).append(package)
    for before, members in clusters.items():
        versions = {package.version for package in members if package.version is not None}
        if len(members) > 1 and len(versions) <= 1:
            yield before, members


class _Named(NamedTuple):
    """A package whose tags name it.

    Attributes:
        package: The package.
        before: What stands before the version in its tags.
        words: The same in three parts: what stands before the name, the name, what stands after it.
        tag_name: What the settings say for {tag-name}.
    """

    package: Package
    before: str
    words: tuple[str, str, str]
    tag_name: str

    @property
    def templates(self) -> Iterator[str]:
        """Formats that give tags like these, without what is written in the settings."""
        lead, word, end = self.words
        known = {"{name}": self.package.name, "{folder}": self.package.folder_name, "{tag-name}": word}
        yield from (f"{lead}{field}{end}{_VERSION}" for field, value in known.items() if word and word == value)

    def entry(self, text: str) -> tuple[str, str] | None:
        """What the settings must say of the package beside a common format, a key and a value; or None."""
        known = {"{name}": self.package.name, "{folder}": self.package.folder_name, "{tag-name}": self.tag_name}
        filled = text.removesuffix(_VERSION)
        for field, value in known.items():
            filled = filled.replace(field, value)
        lead, word, end = self.words
        if filled == self.before:
            return None
        if word and text == f"{lead}{{tag-name}}{end}{_VERSION}":
            return "tag-names", word
        return "tag-formats", self.before + _VERSION


def _forms_of_several(
    workspace: Workspace, config: Config, forms: Mapping[str, str], plain: Collection[str], *, has_more: bool
) -> dict[str, Any]:
    """tag-format, tag-names and tag-formats for packages with tags of their own, with as few entries as can be."""
    every = [
        _Named(
            workspace.by_name[name],
            before,
            (before, "", "") if before in plain else split_prefix(before),
            config.tag_names.get(name, name),
        )
        for name, before in sorted(forms.items())
    ]
    by_field = sorted(
        (text for named in every for text in named.templates),
        key=lambda text: [field in text for field in ("{tag-name}", "{folder}", "{name}")],
    )
    texts = list(dict.fromkeys([config.tag_format, *by_field] if config.tag_format is not None else by_field))
    if not texts:
        texts = ["{name}-v{version}"] if has_more else ["{version}"]

    def cost(text: str) -> tuple[int, int]:
        kinds = [entry[0] for named in every if (entry := named.entry(text)) is not None]
        # What the settings say already is changed only where it fits less than half of the packages.
        is_kept = text == config.tag_format and len(kinds) <= len(every) // 2
        return (0 if is_kept else 1, sum(1 if kind == "tag-names" else 3 for kind in kinds))

    text = min(texts, key=cost)
    settings: dict[str, Any] = {} if text in (config.tag_format, _VERSION) else {"tag-format": text}
    for key in ("tag-names", "tag-formats"):
        entries = {named.package.name: named.entry(text) for named in every}
        if values := {name: entry[1] for name, entry in entries.items() if entry is not None and entry[0] == key}:
            settings[key] = values
    return settings


def folder_globs(packages: Sequence[Package], every: Sequence[Package]) -> list[str]:
    """Patterns that mean these packages and none of the others, with globs for folders that hold mostly such."""
    chosen = {package.folder for package in packages}
    by_parent: dict[str, list[str]] = {}
    for folder in sorted(chosen):
        by_parent.setdefault(folder.rpartition("/")[0], []).append(folder)
    found: list[str] = []
    for parent, folders in by_parent.items():
        others = [each for each in every if each.folder not in chosen and each.folder.startswith(f"{parent}/")]
        is_worth_it = len(folders) > 1 and len(others) < len(folders)
        found += [f"{parent}/*"] if parent and is_worth_it else folders
    meant = patterns.select(found, every)
    return [*found, *(f"!{package.folder}" for package in meant if package.folder not in chosen)]


def merge_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The settings with those that are propose_settings."""
    groups = {
        name: GroupConfig(packages=tuple(each["packages"]), tag_format=each["tag-format"])
        for name, each in settings.get("groups", {}).items()
    }
    return replace(
        config,
        versions=settings.get("versions", config.versions),
        tag_format=settings.get("tag-format", config.tag_format),
        tag_names={**config.tag_names, **settings.get("tag-names", {})},
        tag_formats={**config.tag_formats, **settings.get("tag-formats", {})},
        groups={**config.groups, **groups},
    )


def as_toml(settings: Mapping[str, Any], *, header: bool = True) -> str:
    """Settings as TOML, ready to paste; without the header for text of one line."""
    lines = ["[tool.relnox]"]
    tables: list[str] = []
    for key, value in settings.items():
        if key == "groups":
            for name, group in value.items():
                tables += ["", f"[tool.relnox.groups.{name}]"]
                tables += [f"{each} = {_value(held)}" for each, held in group.items()]
        elif isinstance(value, dict):
            tables += [
                "",
                f"[tool.relnox.{key}]",
                *(f"{_key(name)} = {_value(each)}" for name, each in value.items()),
            ]
        else:
            lines.append(f"{key} = {_value(value)}")
    if not header:
        return "\n".join(lines[1:])
    return "\n".join([*lines, *tables] if len(lines) > 1 else tables[1:] or lines)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- in detail -------------------------------------------------------------------------------------


def _latest_plain(survey: Survey, reachable: Collection[str]) -> tuple[str, Version] | None:
    """What stands before the greatest version of a plain tag, and that version."""
    tagged = [(version, before, tag) for before in survey.plain for tag, version in survey.series[before]]
    here = [each for each in tagged if each[2] in reachable] if reachable else []
    if not tagged:
        return None
    version, before, _ = max(here or tagged, key=lambda each: (each[0], each[1]))
    return before, version


def _is_tagged(package: Package, before: str, survey: Survey) -> bool:
    """Whether a tag of this form has the present version of a package."""
    return any(version == package.version for _, version in survey.series.get(before, ()))
