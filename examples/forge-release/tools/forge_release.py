"""Create a release for each tag on a forge with the API of Forgejo and Gitea, unless it exists."""

import json
import os
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

URL = os.environ["FORGE_API"]  # https://forge.example.org/api/v1/repos/OWNER/NAME
HEADERS = {"Authorization": f"token {os.environ['FORGE_TOKEN']}", "Content-Type": "application/json"}


def status(path: str, document: object = None) -> int:
    """Send a request, and return the status of the answer."""
    data = None if document is None else json.dumps(document).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{URL}/{path}", data, HEADERS), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        sys.exit(f"{URL}: {error}")


event = json.loads(Path(os.environ["RELNOX_EVENT"]).read_text(encoding="utf-8"))
for package in event["packages"]:
    code = status(f"releases/tags/{package['tag']}")
    if code == HTTPStatus.NOT_FOUND:
        lines = [f"{file['sha256']}  {file['filename']}" for file in package["files"]]
        release = {"tag_name": package["tag"], "name": f"{package['name']} {package['version']}"}
        code = status("releases", {**release, "body": "\n".join(lines)})
    if code not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        sys.exit(f"{URL} answers {code}: no release {package['tag']}")
