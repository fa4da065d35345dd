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
    from worker.weights.errors import WeightsError
    from worker.weights.fetch import prepare_graph, prepare_weights

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
        str, typer.Argument(help="owner/name[@revision], or a folder; else all that is served.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell if models can be served here, how, and what is wrong; exit with 1 if one cannot.

    Reads configuration and headers, no weights, and of a model on the hub the small files alone.
    """
    from cli.commands.judgements import as_row, print_judgement
    from worker.weights.judge import judge

    settings = local_settings()
    chosen = [settings.model_copy(update={"model": model})] if model else settings.split_by_model()
    os.environ["TQDM_DISABLE"] = "1"
    from worker.weights.errors import HubError

    try:
        found = [judge(model_settings) for model_settings in chosen]
    except HubError as error:
        fail(str(error))
    if as_json:
        print_json({"object": "list", "data": [as_row(judgement) for judgement in found]})
    else:
        for judgement in found:
            print_judgement(judgement)
    if any(judgement.faults for judgement in found):
        raise typer.Exit(FAILED)
