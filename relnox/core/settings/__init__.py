"""The settings of a project and the options of tasks: declarations, validation, and patterns."""
