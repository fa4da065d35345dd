"""`antiphon secrets`: the keys that encrypt what the database stores, and what they encrypt."""

import typer

app = typer.Typer(no_args_is_help=True, help="Keys that encrypt what the database stores.")


@app.command()
def rotate() -> None:
    """Encrypt everything under the first keys of the files; the others may then be removed."""
    from cli.commands.admin import stored_secrets

    stored_secrets.rotate()


@app.command()
def encrypt_content() -> None:
    """Encrypt content that was stored before there were content keys."""
    from cli.commands.admin import stored_secrets

    stored_secrets.encrypt_content()
