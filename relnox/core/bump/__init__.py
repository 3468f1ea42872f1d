"""Version bumps.

`release_history` has the commits since the last tag of each package and the bumps that they ask for, and the
trailers that say in commits and tags what was released. `version_bumps` decides which packages get which version
and which requirements change with them, `editing` and `changelog_updates` compute the new contents of files and
changelogs, and `pull_request_text` describes them in a release pull request.
"""
