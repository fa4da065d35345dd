"""Python imports this at its start, in every process of a cluster under test: the test build.

The folder is on PYTHONPATH of those processes alone, so nothing of it can reach production.
"""

from tests.chaos import build

build.install()
