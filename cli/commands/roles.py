"""`antiphon roles`: creation of the roles of a database, with passwords from files."""

from pathlib import Path

from sqlalchemy import make_url

from cli.embedded.roles import ROLES, create_roles


def run(url: str, folder: Path) -> None:
    """Create the roles or set their passwords; raise `OSError` if a password is missing.

    `folder` has a file for each role: `antiphon_owner`, `antiphon_app`, `antiphon_maintenance`.
    """
    passwords = {role: (folder / role).read_text().strip() for role in ROLES}
    libpq_url = make_url(url).set(drivername="postgresql")
    create_roles(libpq_url.render_as_string(hide_password=False), passwords)
