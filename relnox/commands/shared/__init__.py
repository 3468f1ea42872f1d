"""What several tasks observe, check and plan.

`project` is the project that a task works on: its packages, settings, checkout and indexes, read when first used.
`releases` reads the manifest of a release, and `archive_checks` checks its files. `consistency` checks that tag,
version, files, commit and manifest agree, `tag_checks` what existing tags mean, `release_branch` the branch of the
remote. `verification` has the steps that install a release, and `hooks` those that run the project's own programs.
"""
