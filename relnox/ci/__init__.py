"""The workflow files of CI: a model of jobs, the sets of jobs that a project gets, and a module for each provider.

`model` has the values, `sets` decides which jobs a project needs, `github` and `gitlab` write them, `pins.toml`
has the actions that GitHub uses. `updates` keeps edits of these files, and `compare` finds those that matter.
`workflows` reads present files, and `lint` finds what is wrong with their releases.
"""
