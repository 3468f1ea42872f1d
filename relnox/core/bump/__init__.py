"""Bumps of versions.

`release_history` has the commits since the last tag of each package, `levels` the bumps that they ask for, and
`version_groups` the packages that are bumped together. `version_bumps` decides which packages get which version,
`dependency_updates` which requirements change with them. `editing` writes them into the contents of files, as
`changes`; `bump_checks` are the preflight checks.
"""
