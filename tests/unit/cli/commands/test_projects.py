from cli.commands.admin.projects import Permission
from models.access.projects import ProjectPermissions


def test_the_permissions_are_those_of_the_server() -> None:
    assert {permission.value for permission in Permission} == ProjectPermissions.model_fields.keys()
