"""What several of these tests read."""

from tests.classification import cloud, package

__all__ = ["cloud", "package"]
