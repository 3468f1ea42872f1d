"""What a run released, as variables for the next jobs: outputs of GitHub Actions, and a dotenv file for GitLab.

Values come from tags, versions and names, which may contain anything. GitHub reads a value up to a delimiter,
which is random. GitLab reads lines, and has no escapes in them.

Sources: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands,
https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from relnox.core.planning.plan import ReleasedPackage
from relnox.core.release.manifest import Manifest
from relnox.system.secrets import mask_secrets

_DOTENV_VALUE = re.compile(r"[\w.+!/:,@{}\[\]\"-]*", re.ASCII)
"""Values that mean the same to GitLab, in a dotenv file and in a shell: without blanks, `$` and backslashes."""
DOTENV_LIMIT = 5120
"""The size in bytes of a dotenv file that GitLab accepts."""


def output_values(
    releases: Sequence[ReleasedPackage], manifest: Manifest | None, sha256: str | None, pythons: Sequence[str]
) -> dict[str, str]:
    """Return what a run released as outputs for later CI jobs: texts by name, such as `tags` with a JSON list.

    `manifest` is the one that the run wrote or read, and `sha256` the hash of its file; both are None without one.
    If `releases` is empty, the run only built, and the packages are those of the manifest. `pythons` are those to
    verify installations with.
    """
    names = [release.package for release in releases] or list(manifest.packages if manifest is not None else ())
    versions = {release.package: release.version for release in releases}
    if manifest is not None:
        versions |= {name: str(manifest.version_of(name)) for name in names if name in manifest.packages}
    lists = {
        "packages": names,
        "versions": versions,
        "tags": list(dict.fromkeys(release.tag for release in releases if release.tag)),
        "pythons": list(pythons),
    }
    return {
        "released": "true" if releases else "false",
        **{name: json.dumps(value, separators=(",", ":")) for name, value in lists.items()},
        **({"manifest-sha256": sha256} if sha256 is not None else {}),
    }


def add_github_outputs(file: Path, outputs: Mapping[str, str]) -> None:
    """Append outputs by name to the file of `GITHUB_OUTPUT`, from which GitHub Actions reads them.

    Secrets are masked, and values are enclosed in random delimiters, since they may contain anything.
    """
    lines = []
    for name, value in outputs.items():
        delimiter = f"relnox-{secrets.token_hex(16)}"
        lines.append(f"{name}<<{delimiter}\n{mask_secrets(value)}\n{delimiter}\n")
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(lines))


def update_dotenv(file: Path, outputs: Mapping[str, str]) -> tuple[str, ...]:
    """Set variables for outputs by name in a dotenv file; return the names of those that were left out.

    These have values that GitLab cannot read, or would exceed its limit for the file; short values are set first.
    Secrets are masked. Other variables in the file stay, since several runs of a job may write to it.
    """
    variables = {variable_name(name): mask_secrets(value) for name, value in outputs.items()}
    before = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    lines = [line for line in before if line and line.partition("=")[0] not in variables]
    refused = []
    for name, value in sorted(variables.items(), key=lambda item: len(item[1])):
        line = f"{name}={value}"
        size = len("\n".join([*lines, line, ""]).encode())
        if _DOTENV_VALUE.fullmatch(value) and size <= DOTENV_LIMIT:
            lines.append(line)
        else:
            refused.append(name)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tuple(refused)


def variable_name(output: str) -> str:
    """Return the dotenv variable of an output: `RELEASED_TAGS` for `tags`, and `RELEASED` for `released`."""
    return "RELEASED" if output == "released" else f"RELEASED_{output.upper().replace('-', '_')}"
