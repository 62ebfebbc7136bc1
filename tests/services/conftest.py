import pytest

from coursebell.storage.database import Database
from factories import School, open_school


@pytest.fixture
def school(database: Database) -> School:
    """An organization with an administrator; the test runs once for each engine."""
    return open_school(database)
