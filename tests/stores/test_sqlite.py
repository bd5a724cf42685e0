from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from analysis_service.stores.base import Store
from analysis_service.stores.sqlite import SqliteStore
from tests.stores.suite import StoreSuite


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await SqliteStore.open(tmp_path / "store.db", commit_distance=timedelta(0))
    yield store
    await store.close()


class TestSqlite(StoreSuite):
    pass
