"""Commands that each task is planned with: task, options and exit code, on a workspace of five packages."""

from __future__ import annotations

__all__ = ["PLANNED"]

PLANNED = (
    ("status", "", 0),
    ("status", "--package core --package acme-vespa", 0),
    ("status", "--index embedded --reporter plain", 0),
    ("bump", "--part minor", 0),
    ("bump", "--part patch --pre rc --always-increment --allow-branch --allow-dirty --no-commit", 0),
    ("bump", "--to 4.0.0rc1 --commit --tag --push", 0),
    ("bump", "--to 1.0.0 --allow-lower --verbose", 0),
    ("bump", "--part major --commit --tag", 4),
    ("auto-tag", "", 0),
    ("auto-tag", "--no-push --no-check-index --package core", 0),
    ("build-all", "", 0),
    ("build-all", "--package=core --package=runtime", 0),
    ("build-all", "--strict --clean --test --continue-on-error --output out", 0),
    ("build-all", "--no-strict --no-clean --no-test --no-continue-on-error", 0),
    ("collect", "--from dist", 0),
    ("collect", "--from=./dist --from . --output out --package core --package vespa", 0),
    ("collect", "--from dist --partial --allow-dirty --verbose", 0),
    ("publish-test", "--index embedded", 0),
    ("publish-test", "--index embedded --no-verify --package core --package agents", 0),
    ("publish-test", "--index embedded --verify --clear", 0),
    ("publish", "--index embedded", 0),
    ("publish", "--index embedded --yes --package vespa --dist ./dist", 0),
    ("verify-install", "--index embedded", 0),
    ("verify-install", "--index embedded --python 3.12 --python 3.13 --package runtime --wait 5", 0),
    ("verify-install", "--index embedded --wait 0", 0),
    ("verify-install", "--index embedded --public --package core", 0),
    ("forge-release", "--index embedded", 1),
    ("release", "--index embedded", 0),
    ("release", "--part minor --index embedded --until gate", 0),
    ("release", "--to 4.0.0rc1 --index embedded --test-index none --dist out --yes", 0),
    ("rehearse", "", 0),
    ("rehearse", "--part minor", 0),
    ("rehearse", "--pre beta --part major --python 3.12 --python 3.13", 0),
    ("rehearse", "--to 5.0.0", 0),
    ("ci", "", 0),
)
