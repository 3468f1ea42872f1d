"""What several tasks observe and check.

`project` is the project that a task works on: its packages, settings, checkout and indexes, read when first used.
`manifests` reads the manifest of a release. `consistency` checks that tag, version, commit and manifest belong
together, and `tag_checks` what the existing tags mean for a release.
"""
