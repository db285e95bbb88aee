"""What several of these tests read."""

from tests.unit.classification.conftest import cloud, package

__all__ = ["cloud", "package"]
