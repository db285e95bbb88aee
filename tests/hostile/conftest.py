"""What several of these tests read."""

from tests.unit.classification.conftest import package

__all__ = ["package"]
