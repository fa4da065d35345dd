"""Startup hook of Python that installs the test build in every process of a cluster under test.

Only those processes have the folder on their PYTHONPATH, so it cannot affect production.
"""

from tests.chaos import build

build.install()
