"""Version bumps.

`release_history` collects the commits since the last tag of each package, `levels` derives the requested bumps
from them, and `version_groups` finds the packages that are bumped together. `bump_resolution` decides which
packages get which version, `further_bumps` which ones are bumped because of others, and `dependency_updates` which
requirements change with them. `editing` computes the new contents of the files, as the edits defined in `changes`;
`bump_checks` has the preflight checks.
"""
