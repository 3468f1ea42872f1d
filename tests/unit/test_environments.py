"""Environments, made while other threads work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SLOW_CONFIGURATION = """
import sysconfig, time
fill = sysconfig._init_posix
sysconfig._init_posix = lambda variables: (time.sleep(0.2), fill(variables))

from relnox.building.environments import find_uv
from relnox.system.run_scope import ThreadPool

with ThreadPool(2) as pool:
    reading = pool.submit(sysconfig.get_config_vars)
    time.sleep(0.1)
    pool.submit(find_uv).result()
    reading.result()
"""


@pytest.mark.skipif(os.name != "posix", reason="the configuration of Python is read in another way")
def test_uv_is_found_while_another_thread_reads_the_configuration_of_python() -> None:
    subprocess.run([sys.executable, "-c", SLOW_CONFIGURATION], check=True)
