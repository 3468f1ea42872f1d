"""The outputs of jobs, read as the runners of GitHub Actions and GitLab read them."""

from __future__ import annotations

NAMES = frozenset({"released", "packages", "versions", "tags", "pythons", "manifest-sha256"})


def read_github(text: str) -> dict[str, str]:
    """Read outputs: `name<<delimiter` and the lines up to the delimiter, or `name=value`."""
    outputs, lines = {}, iter(text.splitlines())
    for line in lines:
        name, heredoc, delimiter = line.partition("<<")
        if not heredoc:
            name, _, outputs[name] = line.partition("=")
            continue
        value = []
        for inner in lines:
            if inner == delimiter:
                break
            value.append(inner)
        outputs[name] = "\n".join(value)
    return outputs


def read_gitlab(text: str) -> dict[str, str]:
    """Read the variables of a dotenv file: one for each line, stripped."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
