"""`trefoil simulate`: realistic sample data of each leaf, seeded and independent of today's date."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import Json, say
from cli.output import checked_suffix, writable, write_table
from infra.settings import LEAVES
from layers.runtime.errors import InputError

# The function of this name in a leaf's `simulate` module.
Kind = Literal["rides", "sales", "customers", "events"]


def simulate(
    kind: Annotated[Kind, typer.Argument(help="rides, sales, customers, or events: the queue's messages")],
    out: Annotated[Path, typer.Option(help="file to write: .parquet, .csv or .csv.gz; .jsonl for events")],
    rows: Annotated[int | None, typer.Option(min=1, help="about how many rows")] = None,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same rows")] = 0,
    frequency: Annotated[
        Literal["H", "D", "W", "M", "Q"] | None, typer.Option(help="of sales: hours, days, weeks, months or quarters")
    ] = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Write sample data: taxi rides, sales of many stores, bank customers, or messages about such customers."""
    if frequency and kind != "sales":
        raise InputError("only sales have a frequency", field="--frequency")
    checked_suffix(out, *([".jsonl"] if kind == "events" else []))
    name, default = next((one.name, one.samples[kind]) for one in LEAVES.values() if kind in one.samples)
    leaf = import_module(f"functions.{name}.simulate")
    made = "customers" if kind == "events" else kind
    table = getattr(leaf, made)(rows or default, seed, **({"frequency": frequency} if frequency else {}))
    if kind == "events":
        with writable(out):
            out.write_text("".join(f"{body}\n" for body in leaf.events(table, seed=seed)))
    else:
        write_table(table, out)
    say(f"{table.num_rows:,} {'rows of ' if made == kind else ''}{kind} in {out}")
    return {"kind": kind, "rows": table.num_rows, "columns": table.column_names, "seed": seed, "out": str(out)}
