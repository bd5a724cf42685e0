import pytest

from analysis_service.stores.base import Store
from analysis_service.stores.memory import MemoryStore
from tests.stores.suite import StoreSuite


@pytest.fixture
def store() -> Store:
    return MemoryStore()


class TestMemory(StoreSuite):
    pass
