"""Changelogs, their updates for a release, and the body of release pull requests."""
