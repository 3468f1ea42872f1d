"""Check that each wheel of the release has a py.typed."""

import json
import os
import sys
import zipfile
from pathlib import Path

event = json.loads(Path(os.environ["RELNOX_EVENT"]).read_text(encoding="utf-8"))
for package in event["packages"]:
    for file in package["files"]:
        if file["kind"] != "wheel":
            continue
        with zipfile.ZipFile(Path(event["directory"], file["filename"])) as wheel:
            if not any(name.endswith("/py.typed") for name in wheel.namelist()):
                sys.exit(f"{file['filename']} has no py.typed")
