"""The fakes keep the contract of the real adapters, see tests/local/test_storage.py."""

import pytest

from tests.fakes import InMemoryObjects, InMemoryTable
from tests.storage_contract import ObjectsContract, TableContract


class TestInMemoryObjects(ObjectsContract):
    @pytest.fixture
    def objects(self) -> InMemoryObjects:
        return InMemoryObjects()


class TestInMemoryTable(TableContract):
    @pytest.fixture
    def table(self) -> InMemoryTable:
        return InMemoryTable("leaf", "version")
