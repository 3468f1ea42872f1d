"""Build backends whose hooks can share environments and warm processes; tests verify that archives do not differ.

`SHAREABLE_BACKENDS` maps each backend to the modules that its hooks import; a warm process preloads them.
"""

from __future__ import annotations

from collections.abc import Mapping

_MODULES_TO_PRELOAD = {
    "hatchling.build": """
        hatchling.bridge.app hatchling.builders.sdist hatchling.builders.wheel hatchling.metadata.core
        hatchling.plugin.manager hatchling.utils.context packaging.licenses packaging.requirements packaging.tags
        trove_classifiers email.headerregistry email.message email.parser glob logging subprocess sysconfig
        textwrap
    """,
    "flit_core.buildapi": "flit_core.sdist flit_core.wheel",
    "poetry.core.masonry.api": """
        poetry.core.factory poetry.core.json poetry.core.poetry poetry.core.masonry.metadata
        poetry.core.masonry.builders.sdist poetry.core.masonry.builders.wheel poetry.core.spdx.helpers
        poetry.core.packages.project_package poetry.core.packages.directory_dependency
        poetry.core.packages.file_dependency poetry.core.packages.url_dependency
        poetry.core.packages.vcs_dependency poetry.core.vcs.git poetry.core.version.markers
        poetry.core.version.pep440.parser poetry.core.version.requirements
        lark lark.lark getpass importlib.readers importlib.resources.readers pickle pkgutil
    """,
    "uv_build": "",
    "setuptools.build_meta": """
        setuptools._scripts setuptools.config._validate_pyproject setuptools.config.pyprojecttoml
        setuptools.modified distutils.command.check decimal json tomllib
        setuptools.command.alias setuptools.command.bdist_egg setuptools.command.bdist_rpm
        setuptools.command.bdist_wheel setuptools.command.build setuptools.command.build_clib
        setuptools.command.build_ext setuptools.command.build_py setuptools.command.develop
        setuptools.command.dist_info setuptools.command.easy_install setuptools.command.editable_wheel
        setuptools.command.egg_info setuptools.command.install setuptools.command.install_egg_info
        setuptools.command.install_lib setuptools.command.install_scripts setuptools.command.rotate
        setuptools.command.saveopts setuptools.command.sdist setuptools.command.setopt
    """,
    "pdm.backend": """
        pdm.backend.hooks.version pdm.backend.sdist pdm.backend.wheel email.generator email.parser gzip
    """,
    "maturin": "tomllib",
    "scikit_build_core.build": """
        scikit_build_core.build.sdist scikit_build_core.build.wheel scikit_build_core.builder.get_requires
        cmake ninja tarfile zipfile
    """,
    "mesonpy": "email.generator",
}
SHAREABLE_BACKENDS: Mapping[str, tuple[str, ...]] = {
    backend: tuple(modules.split()) for backend, modules in _MODULES_TO_PRELOAD.items()
}
