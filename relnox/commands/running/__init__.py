"""Running a task, from its options to the exit code.

`perform` does it: `preparation` observes and plans, and `execution` has the steps executed. `blockers` are the
problems and the confirmation before the first step, `reports` the files that a run writes, `origins` what
`--explain` shows, and `install_commands` the commands in fixes that install something.
"""
