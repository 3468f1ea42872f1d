"""Running a task, from its options to the exit code.

`perform` does it: `preparation` observes and plans, and `execution` asks for confirmation and has the steps
executed. `reports` are the files that a run writes.
"""
