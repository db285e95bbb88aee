"""`trefoil simulate`: realistic sample data of each leaf, seeded and independent of today's date."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Json, say
from cli.output import checked_suffix, write_table


class Kind(StrEnum):
    """What can be simulated: the function of this name in a leaf's `simulate` module."""

    RIDES = "rides"
    SALES = "sales"
    CUSTOMERS = "customers"


LEAF = {Kind.RIDES: "clustering", Kind.SALES: "forecasting", Kind.CUSTOMERS: "classification"}
ROWS = {Kind.RIDES: 4_000, Kind.SALES: 40_000, Kind.CUSTOMERS: 4_000}


def simulate(
    kind: Annotated[Kind, typer.Argument(help="rides, sales or customers")],
    out: Annotated[Path, typer.Option(help="file to write: .parquet, .csv or .csv.gz")],
    rows: Annotated[int | None, typer.Option(min=1, help="about how many rows")] = None,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same rows")] = 0,
    json_output: Json = False,
) -> dict[str, Any]:
    """Write sample data: taxi rides, sales of many stores, or bank customers."""
    checked_suffix(out)
    leaf = import_module(f"functions.{LEAF[kind]}.simulate")
    table = getattr(leaf, kind.value)(rows or ROWS[kind], seed)
    write_table(table, out)
    say(f"{table.num_rows:,} rows of {kind.value} in {out}")
    return {"kind": kind.value, "rows": table.num_rows, "columns": table.column_names, "seed": seed, "out": str(out)}
