"""The workflow files of CI: a model of jobs, the sets of jobs that a project gets, and a module for each provider.

`model` has the values, `sets` decides which jobs a project needs, `github` writes them as workflow files of GitHub
Actions, and `pins.toml` has the actions that these use. `workflows` reads present files, and `lint` finds what is
wrong with their releases.
"""
