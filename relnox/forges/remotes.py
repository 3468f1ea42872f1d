"""The forge that a git remote is on, the URL of its API, and the token that may be sent there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    Kind = Literal["github", "gitlab"]

_SCP_FORM = re.compile(r"(?:[^/@:]+@)?(?P<host>[^/@:]{2,}|\[[0-9A-Fa-f:.]+\]):(?P<path>(?!//).+)")
"""Matches remotes such as `git@github.com:owner/name.git`. A single letter before the colon is a Windows drive."""
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "git+https")
_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)+", re.ASCII)
_GITHUB = re.compile(r"github\.(?!com\.)|.*\.ghe\.com$")
_GITLAB = re.compile(r"gitlab\.(?!com\.)")
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
"""Maps hosts that accept ssh on the https port, for use behind firewalls, to the hosts of the forges."""
_SETTING = "set RELNOX_FORGE to github or gitlab"
_OTHER_URL = "give it the URL of its server: git remote set-url REMOTE URL"
_TOKENS = {"github": ("GH_TOKEN", "GITHUB_TOKEN"), "gitlab": ("GITLAB_TOKEN", "CI_JOB_TOKEN")}


class RepositoryLocation(Record, kw_only=True):
    """The location of a repository on a forge.

    Attributes:
        kind: The kind of forge, `github` or `gitlab`.
        host: The host, with the port if it is not the default one.
        path: The path of the repository, `owner/name`; on GitLab it may have several groups.
        web: The URL of the repository's web page.
        api: The URL of the API, without a slash at the end.
        token_variable: The first of `accepted_variables` that is set, or an empty string if none is.
        accepted_variables: The environment variables that may hold a token for this API, by precedence.
    """

    kind: Kind
    host: str
    path: str
    web: str
    api: str
    token_variable: str
    accepted_variables: tuple[str, ...]


def repository_location(remote_url: str, environment: Mapping[str, str]) -> RepositoryLocation:
    """Return the location of the repository that the URL of a git remote refers to.

    `environment` has the tokens, `RELNOX_FORGE`, and the URLs of the CI job's server. A token is sent only to the
    servers that it is for: `CI_JOB_TOKEN` to the server of the CI job; `GH_TOKEN`, `GITHUB_TOKEN` and
    `GITLAB_TOKEN` to that server and to github.com, ghe.com and gitlab.com; and `RELNOX_FORGE_TOKEN` to the host
    of any remote.

    Raises:
        Blocked: The URL is not that of a repository on a known forge, or `RELNOX_FORGE` is not `github` or
            `gitlab`.
    """
    scheme, host, path = _parse_remote_url(remote_url)
    own_server = (
        _host_of_server(environment.get("GITHUB_SERVER_URL")),
        _host_of_server(environment.get("CI_SERVER_URL")),
    )
    forge = _detect_forge_kind(host, environment.get("RELNOX_FORGE", ""), own_server)
    is_own = host == own_server[forge == "gitlab"]
    variable = "GITHUB_API_URL" if forge == "github" else "CI_API_V4_URL"
    origin = server = f"{'http' if scheme == 'http' else 'https'}://{host}"
    if is_own:
        server = environment["GITHUB_SERVER_URL" if forge == "github" else "CI_SERVER_URL"].rstrip("/")
        if scheme in ("https", "http"):  # the path of a server is in these URLs, and not in those for ssh
            path = path.removeprefix(f"{urlsplit(server).path.strip('/')}/")
    if is_own and environment.get(variable):
        api = environment[variable].rstrip("/")
    else:
        api = _default_api_url(forge, host, origin)
    public = host in ("github.com", "gitlab.com") or host.endswith(".ghe.com")
    tokens = [name for name in _TOKENS[forge] if is_own or (public and name != "CI_JOB_TOKEN")]
    token_variables = ("RELNOX_FORGE_TOKEN", *tokens)
    return RepositoryLocation(
        kind=forge,
        host=host,
        path=path,
        web=f"{server}/{path}",
        api=api,
        token_variable=next((name for name in token_variables if environment.get(name, "").strip()), ""),
        accepted_variables=token_variables,
    )


def _parse_remote_url(remote_url: str) -> tuple[str, str, str]:
    """Return the scheme, the host and the path of the repository in a remote's URL.

    The scheme of `git@HOST:PATH` is `ssh`. The host includes the port only for http and https, and only if it is
    not the default. The path has no slash at its ends and no `.git`.

    Raises:
        Blocked: The URL is empty, or not that of a repository on a server.
    """
    if not remote_url:
        raise _unknown_forge_error("git has no such remote", "git remote add REMOTE URL")
    try:
        parts = urlsplit(remote_url)
        scheme, hostname, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        scheme, hostname, port, parts = "", "", None, urlsplit("")
    if scheme in _SCHEMES and hostname:
        path = parts.path
    elif "://" not in remote_url and (match := _SCP_FORM.fullmatch(remote_url)):
        scheme, hostname, port, path = "ssh", match["host"].lower(), None, match["path"]
    else:
        raise _unknown_forge_error("it is not the URL of a server", _OTHER_URL)
    web = scheme in ("https", "http")  # the port of ssh says nothing about that of the API
    if web and port is not None and port != {"https": 443, "http": 80}[scheme]:
        hostname = f"{hostname}:{port}"
    path = unquote(path).strip("/").removesuffix(".git").strip("/")
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise _unknown_forge_error("its path is not that of a repository", _OTHER_URL)
    return scheme, _SSH_HOSTS.get(hostname, hostname), path


def _detect_forge_kind(host: str, setting: str, own_servers: tuple[str, str]) -> Kind:
    """Return the kind of forge on a host.

    It is `setting`, the value of `RELNOX_FORGE`; if that is empty, the kind is detected from the host.
    `own_servers` are the hosts of the CI job's GitHub and GitLab servers, each empty if there is none.

    Raises:
        Blocked: The setting is not valid, or the forge cannot be detected.
    """
    if setting not in ("", "github", "gitlab"):
        raise Blocked("forge-unknown", f"RELNOX_FORGE names an unknown forge ({setting[:20]!a})", fix=_SETTING)
    if setting == "github" or (not setting and (host in ("github.com", own_servers[0]) or _GITHUB.match(host))):
        return "github"
    if setting == "gitlab" or host in ("gitlab.com", own_servers[1]) or _GITLAB.match(host):
        return "gitlab"
    raise _unknown_forge_error(f"{host} is neither github.com nor gitlab.com")


def _host_of_server(url: str | None) -> str:
    """Return the host (and port) in the URL of a CI job's server, or "" if the URL is missing or invalid."""
    try:
        return _parse_remote_url(f"{url.rstrip('/')}/owner/name")[1] if url else ""
    except Blocked:
        return ""


def _default_api_url(kind: Kind, host: str, origin: str) -> str:
    """Return the usual URL of a forge's API; `origin` is the URL of its server, such as `https://gitlab.com`."""
    if kind == "gitlab":
        return f"{origin}/api/v4"
    is_in_cloud = host == "github.com" or host.endswith(".ghe.com")
    return f"https://api.{host}" if is_in_cloud else f"{origin}/api/v3"


def _unknown_forge_error(reason: str, fix: str = f"{_SETTING}; to see the URL: git remote -v") -> Blocked:
    """Return the error for a git remote that is not on a known forge; `reason` is quoted in its message."""
    return Blocked(
        "forge-unknown",
        f"the git remote is not on a known forge ({reason})",
        fix=fix,
    )
