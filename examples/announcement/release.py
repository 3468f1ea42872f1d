"""Build, verify and publish: python release.py [INDEX]."""

import sys

import relnox

INDEX = sys.argv[1] if len(sys.argv) > 1 else "pypi"

TASKS = {"build-all": {}, "verify-install": {"from_": "dist"}, "publish": {"index": INDEX, "yes": True}}

for task, options in TASKS.items():
    outcome = relnox.run(task, **options)
    for result in outcome.results:
        print(result.status.value, result.step.title)
    if outcome.exit_code:
        sys.exit(outcome.exit_code)
