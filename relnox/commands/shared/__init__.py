"""What several tasks read, check and plan.

`project` is the project that a task works on: its packages, settings, checkout and indexes, read when first used.
`releases` decides what a release is: its tag, its packages, and which files of a build belong to it. `consistency`
checks that tag, version, files, commit and manifest agree. `checks` has checks of
the checkout and of tags, and `hooks` the steps that run the project's own programs.
"""
