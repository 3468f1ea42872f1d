"""Write the workflow files of CI: jobs that build, check, publish and verify.

The jobs follow from the packages, the form of their tags, and the settings `[tool.relnox.ci]`. Each runs a nox
session that also runs here; the job that publishes runs relnox alone, and no code of the project.
"""

from __future__ import annotations

from relnox.ci import github, sets
from relnox.ci.sets import ProjectFacts
from relnox.commands.options import CiOptions as Options
from relnox.core.planning.plan import Plan, PlanBuilder
from relnox.core.planning.step import Edit
from relnox.indexes import targets
from relnox.project import Project
from relnox.steps.edit_files import EditFiles


def plan(options: Options, project: Project) -> Plan:
    """Plan to write the files that are missing or differ."""
    del options
    new = PlanBuilder("ci")
    new.problems += project.tag_format_problems(project.workspace.packages)
    files = {github.path(workflow): github.render(workflow) for workflow in sets.workflows(read_facts(project))}
    before = project.read_files(files)
    edits = tuple(
        Edit(file=name, before=before.get(name), after=text.encode())
        for name, text in files.items()
        if before.get(name) != text.encode()
    )
    if edits:
        new.add(EditFiles(edits=edits))
    else:
        new.notes.append("nothing to do: all files are up to date")
    return new.plan()


def read_facts(project: Project) -> ProjectFacts:
    """Return what the workflows of a project depend on."""
    config = project.config
    formats = dict.fromkeys(project.tag_formats[package.name] for package in project.workspace.packages)
    patterns = (f"{tag_format.prefix}[0-9]*{tag_format.suffix}" for tag_format in formats)
    names = (*config.targets.values(), targets.PRODUCTION, targets.TEST, *config.indexes)
    return ProjectFacts(
        tag_patterns=tuple(dict.fromkeys(patterns)),
        indexes=tuple(dict.fromkeys(names)),
        token_variables=dict(config.ci.tokens),
        publish_with=config.ci.publish_job,
        trigger=config.ci.trigger or ("tag" if len(formats) == 1 else "merge"),
    )
