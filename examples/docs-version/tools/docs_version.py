"""Add the new version to docs/versions.json."""

import json
import os
from pathlib import Path

event = json.loads(Path(os.environ["RELNOX_EVENT"]).read_text(encoding="utf-8"))
version = event["packages"][0]["version"]

file = Path("docs/versions.json")
versions = json.loads(file.read_text(encoding="utf-8"))
versions = [version, *(other for other in versions if other != version)]
file.write_text(json.dumps(versions) + "\n", encoding="utf-8")
