"""What several tasks read, check and plan.

`project` is the project that a task works on: its packages, settings, checkout and indexes, read when first used.
`releases` decides what a release is: its tag, its packages, and which files of a build belong to it. `consistency`
checks that tag, version, files, commit and manifest agree. `tag_checks` has checks of existing tags,
`verification` the steps that install a release, and `hooks` those that run the project's own programs.
"""
