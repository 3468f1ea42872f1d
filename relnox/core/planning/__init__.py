"""Plans: the steps and problems of a task, the events of a run, and commands in messages."""
