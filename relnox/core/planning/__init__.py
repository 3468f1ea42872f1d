"""Plans: the steps and problems of a task, the events of a run, and the commands that fixes name."""
