"""`trefoil ingest`: bring files into a deployed stack."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import DONE, USER_INPUT, figures, progress, say
from cli.output import readable
from cli.queue import send
from cli.stack import Stack, change, wait
from layers.runtime.errors import InputError
from layers.storage.ledger import Run

INGEST = "forecasting-ingest"
PATIENCE = 960


# What a file holds, and so where it goes: prefixes of the lake, or the queue.
What = Literal["sales", "customers", "events"]


def ingest(
    files: Annotated[list[Path], typer.Argument(help="tables, .csv, .csv.gz or .parquet; events as lines of JSON")],
    what: Annotated[What, typer.Option("--as", help="what the files hold")] = "sales",
) -> tuple[dict[str, Any], int]:
    """Bring in sales and wait until they are histories, customers to learn from, or events, which go to the queue.

    Rides need no command: copy them to rides/dt=DAY/ of the lake.
    """
    for file in files:
        readable(file)
    stack = change(f"bringing in {what}")
    if what == "events":
        return {"sent": sum(_sent(stack, file) for file in files)}, DONE
    keys = [f"{what}/{file.name}" for file in files]
    if len(set(keys)) < len(keys):
        raise InputError("two files have the same name; they would replace each other", file=files[0].name)
    if what == "customers":
        _check_target(stack, files)
    done = []
    with progress() as bar:
        for file, key in bar.track(list(zip(files, keys, strict=True)), description="ingesting"):
            before = stack.ledger.get(INGEST, key)
            stack.lake.upload(file, key)
            if what == "sales":
                done.append(ingested(stack, key, before))
    if what == "customers":
        say("\n".join(f"{key}: learned from at the next training" for key in keys))
        return {"files": keys}, DONE
    for run in done:
        say(f"{run.key}: {run.outcome} {figures(run.counts)} {run.detail}".rstrip())
    failed = any(run.outcome == "failed" for run in done)
    return {"files": [run.model_dump(mode="json") for run in done]}, USER_INPUT if failed else DONE


def _check_target(stack: Stack, files: list[Path]) -> None:
    """Raises InputError for a file without the column that the deployed training predicts."""
    from functions.classification.settings import ClassificationSettings
    from layers.tables import Preset, Reading, named_columns, open_table

    variables = stack.variables("FunctionClassificationTrain")
    target = variables.get("TREFOIL_TARGET") or ClassificationSettings.model_fields["target"].default
    reading = Reading(columns=named_columns(filter(None, variables.get("TREFOIL_COLUMNS", "").split(","))))
    for file in files:
        with file.open("rb") as stream:
            names = open_table(stream, str(file), reading=reading).columns(Preset(others=True))
        if target not in names:
            columns = ", ".join(names)
            why = f"is what is predicted (setting target of section classification), and the file has {columns}"
            raise InputError(why, file=str(file), field=target)


def ingested(stack: Stack, key: str, before: Run | None, patience: float = PATIENCE) -> Run:
    """The run that the arrival of the object started, after the one `before` it, once it has ended."""
    etag = next(info.etag for info in stack.lake.list(key) if info.key == key)

    def ended() -> Run | None:
        run = stack.ledger.get(INGEST, key)
        ours = run is not None and run.fingerprint.startswith(etag) and (not before or run.run_id != before.run_id)
        return run if run and ours and run.outcome != "running" else None

    return wait(ended, f"{key} to be ingested", patience)


def _sent(stack: Stack, file: Path) -> int:
    """Send each line as a message; when that fails in between, sending all of them again is harmless."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # other line separators may stand within a JSON string
    except UnicodeDecodeError as exc:
        raise InputError("is not text in UTF-8", file=str(file)) from exc
    bodies = [line for line in lines if line.strip()]
    send(stack, bodies)
    say(f"{file}: {len(bodies)} messages sent")
    return len(bodies)
