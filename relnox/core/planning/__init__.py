"""Plans: the steps and problems of a task, the items of a checklist, and the events of a run."""
