"""Values and pure functions: no files, processes, sockets or environment variables.

Modules are imported on first use: `from relnox import core`, then `core.plan.Plan`. Front ends import every task
at start-up, and listing tasks needs none of these modules (`benchmarks/startup.py` measures it).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from relnox.core import availability as availability
    from relnox.core import build_settings as build_settings
    from relnox.core import bump_checks as bump_checks
    from relnox.core import changelog as changelog
    from relnox.core import collection as collection
    from relnox.core import config as config
    from relnox.core import consistency as consistency
    from relnox.core import derived_versions as derived_versions
    from relnox.core import editing as editing
    from relnox.core import events as events
    from relnox.core import fixes as fixes
    from relnox.core import fragments as fragments
    from relnox.core import graph as graph
    from relnox.core import levels as levels
    from relnox.core import manifest as manifest
    from relnox.core import missing_modules as missing_modules
    from relnox.core import options as options
    from relnox.core import patterns as patterns
    from relnox.core import plan as plan
    from relnox.core import publication as publication
    from relnox.core import publishers as publishers
    from relnox.core import records as records
    from relnox.core import release_notes as release_notes
    from relnox.core import requirements as requirements
    from relnox.core import schema as schema
    from relnox.core import setting_names as setting_names
    from relnox.core import sharding as sharding
    from relnox.core import siblings as siblings
    from relnox.core import steps as steps
    from relnox.core import tag_proposals as tag_proposals
    from relnox.core import tags as tags
    from relnox.core import toml_spans as toml_spans
    from relnox.core import unlisted as unlisted
    from relnox.core import version_bumps as version_bumps
    from relnox.core import version_locations as version_locations
    from relnox.core import versioning as versioning
    from relnox.core import wheels as wheels
else:

    def __getattr__(name: str) -> ModuleType:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")
