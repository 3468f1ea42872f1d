"""Post a release to the address in ANNOUNCE_URL."""

import json
import os
import urllib.request
from pathlib import Path

event = json.loads(Path(os.environ["RELNOX_EVENT"]).read_text(encoding="utf-8"))
packages = [f"{package['name']} {package['version']}" for package in event["packages"]]
body = {
    "text": f"{', '.join(packages)} on {event['index']}",
    "files": {file["filename"]: file["sha256"] for package in event["packages"] for file in package["files"]},
}
request = urllib.request.Request(
    os.environ["ANNOUNCE_URL"],
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['CHAT_TOKEN']}"},
)
with urllib.request.urlopen(request, timeout=30) as response:
    print(response.status)
