"""Values and pure functions: no files, processes, sockets or environment variables.

Modules are imported on first use: `from relnox import core`, then `core.plan.Plan`; names of subdirectories are
left out. Front ends import every task at start-up, and listing tasks needs none of these modules
(`benchmarks/startup.py` measures it).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from relnox.core import credential_variables as credential_variables
    from relnox.core import escaping as escaping
    from relnox.core import fixes as fixes
    from relnox.core import graph as graph
    from relnox.core import names as names
    from relnox.core import packages as packages
    from relnox.core import problems as problems
    from relnox.core import records as records
    from relnox.core import serialization as serialization
    from relnox.core import text as text
    from relnox.core import unlisted as unlisted
    from relnox.core import version_groups as version_groups
    from relnox.core import workspace as workspace
    from relnox.core.bump import bump_checks as bump_checks
    from relnox.core.bump import bump_resolution as bump_resolution
    from relnox.core.bump import dependency_updates as dependency_updates
    from relnox.core.bump import development as development
    from relnox.core.bump import editing as editing
    from relnox.core.bump import further_bumps as further_bumps
    from relnox.core.bump import levels as levels
    from relnox.core.bump import release_history as release_history
    from relnox.core.bump import release_notes as release_notes
    from relnox.core.bump import trailers as trailers
    from relnox.core.bump import version_bumps as version_bumps
    from relnox.core.dependencies import requirement_clauses as requirement_clauses
    from relnox.core.dependencies import requirements as requirements
    from relnox.core.notes import changelog as changelog
    from relnox.core.notes import pull_request as pull_request
    from relnox.core.planning import changes as changes
    from relnox.core.planning import events as events
    from relnox.core.planning import plan as plan
    from relnox.core.planning import step as step
    from relnox.core.release import collection as collection
    from relnox.core.release import manifest as manifest
    from relnox.core.release import publication as publication
    from relnox.core.release import publishers as publishers
    from relnox.core.release import wheels as wheels
    from relnox.core.settings import build_settings as build_settings
    from relnox.core.settings import config as config
    from relnox.core.settings import config_tables as config_tables
    from relnox.core.settings import hook_settings as hook_settings
    from relnox.core.settings import kinds as kinds
    from relnox.core.settings import options as options
    from relnox.core.settings import patterns as patterns
    from relnox.core.settings import release_lines as release_lines
    from relnox.core.settings import rules as rules
    from relnox.core.settings import schema as schema
    from relnox.core.settings import setting_names as setting_names
    from relnox.core.tagging import derived_versions as derived_versions
    from relnox.core.tagging import tag_proposals as tag_proposals
    from relnox.core.tagging import tags as tags
    from relnox.core.versions import requested_bump as requested_bump
    from relnox.core.versions import semver_compat as semver_compat
    from relnox.core.versions import version_locations as version_locations
    from relnox.core.versions import versioning as versioning
else:
    _DIRECTORIES = {
        "bump": "bump_checks bump_resolution dependency_updates development editing further_bumps "
        "levels release_history release_notes trailers version_bumps",
        "dependencies": "requirement_clauses requirements",
        "notes": "changelog pull_request",
        "planning": "changes events plan step",
        "release": "collection manifest publication publishers wheels",
        "settings": "build_settings config config_tables hook_settings kinds options patterns release_lines "
        "rules schema setting_names",
        "tagging": "derived_versions tag_proposals tags",
        "versions": "requested_bump semver_compat version_locations versioning",
    }
    _MODULES = {module: directory for directory, modules in _DIRECTORIES.items() for module in modules.split()}

    def __getattr__(name: str) -> ModuleType:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        directory = _MODULES.get(name)
        module = import_module(f"{__name__}.{directory}.{name}" if directory else f"{__name__}.{name}")
        globals()[name] = module  # the next access finds it without a call
        return module
