"""What several tasks read, check and plan.

`releases` decides what a release is: its tag, its packages, and which files of a build belong to it. `consistency`
checks that tag, version, files, commit and manifest agree. `checks` has checks of
the checkout and of tags, and `hooks` the steps that run the project's own programs.
"""
