"""`antiphon models`: the served models, and their weights on this machine."""

import os
from typing import Annotated

import typer

from cli.client.api_client import ApiClient
from cli.client.local_settings import local_settings
from cli.client.options import Json, Key, Url
from cli.client.output import FAILED, fail, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="The served models and their weights.")


@app.command("list")
def list_models(server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """List the models that the server serves, and their other names."""
    answer = ApiClient(server, key).call("GET", "/v1/models")
    if as_json:
        print_json(answer)
        return
    rows = [
        (model["id"], model.get("root"), model.get("context_length"), model.get("aliases"))
        for model in answer["data"]
    ]
    print_table(("id", "model", "context", "aliases"), rows)


@app.command()
def pull(
    model: Annotated[
        str, typer.Argument(help="owner/name[@revision], or a .gguf file; else all that is served.")
    ] = "",
) -> None:
    """Fetch and convert the weights of a model, or of every served one, unless they are there."""
    from rich.console import Console

    from cli.supervisor.console import StepConsole
    from models.profile.weights import locate_weights

    settings = local_settings()
    chosen = [settings.model_copy(update={"model": model})] if model else settings.split_by_model()
    # Libraries read this on import; their progress bars would mix with ours.
    os.environ["TQDM_DISABLE"] = "1"
    from worker.weights.fetch import WeightsError, prepare_graph, prepare_weights

    console = StepConsole(Console())
    try:
        for model_settings in chosen:
            weights = locate_weights(model_settings)
            prepare_weights(model_settings, weights, console.step)
            prepare_graph(model_settings, weights, console.step)
    except WeightsError as error:
        fail(str(error), code=1)


@app.command()
def check(
    model: Annotated[
        str, typer.Argument(help="owner/name[@revision], or a .gguf file; else all that is served.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that the weights on this machine are whole; exit with 1 if some are not."""
    from cli.doctor.weights_files import find_fault
    from models.profile.weights import locate_weights

    settings = local_settings()
    chosen = [settings.model_copy(update={"model": model})] if model else settings.split_by_model()
    found = [locate_weights(model_settings) for model_settings in chosen]
    rows = [
        {"model": weights.model_id, "folder": str(weights.folder), "fault": find_fault(weights)}
        for weights in found
    ]
    if as_json:
        print_json({"object": "list", "data": rows})
    else:
        cells = [(row["model"], row["fault"] or "whole", row["folder"]) for row in rows]
        print_table(("model", "state", "folder"), cells)
    if any(row["fault"] for row in rows):
        raise typer.Exit(FAILED)
