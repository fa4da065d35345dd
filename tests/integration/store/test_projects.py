from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.desk import Desk


def test_a_project_is_given_its_encryption_key_once(store: Store, desk: Desk) -> None:
    other = desk.add_project("other")

    key = store.projects.encryption_key(DEFAULT_PROJECT)

    assert store.projects.encryption_key(DEFAULT_PROJECT) == key
    assert store.projects.encryption_key(other) != key
