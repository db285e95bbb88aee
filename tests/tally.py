"""What a suite that breaks or strains things tells at its end: one table per kind, kept in build/<suite>.json too."""

import json
import os
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console
from rich.table import Table

# Bounded forms, for every change: QUICK=1 make faults. What is left out is only repetition, never a kind.
QUICK: Final = bool(os.environ.get("TREFOIL_QUICK"))

BUILD: Final = Path(__file__).resolve().parents[1] / "build"


class Tally:
    """Rows of named cells, gathered under a title over the session."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, str]]] = {}

    def add(self, title: str, **cells: object) -> None:
        """A row of the table `title`; the first row's cells name its columns, underscores are spaces."""
        self.tables.setdefault(title, []).append({name: str(value) for name, value in cells.items()})

    def show(self, console: Console) -> None:
        """Print every table as wide as the terminal allows."""
        for title, rows in self.tables.items():
            table = Table(title=title, title_justify="left")
            for name in rows[0]:
                table.add_column(name.replace("_", " "), overflow="fold")
            for row in rows:
                table.add_row(*row.values())
            console.print(table)

    def save(self, suite: str) -> None:
        """Write build/<suite>.json."""
        BUILD.mkdir(exist_ok=True)
        (BUILD / f"{suite}.json").write_text(json.dumps(self.tables, indent=1))


KEY: Final = pytest.StashKey[Tally]()


def finish(config: pytest.Config, suite: str) -> None:
    """End of a session: show and save what was gathered, if anything was."""
    tally = config.stash.get(KEY, None)
    if tally and tally.tables:
        tally.show(Console(width=max(Console().width, 100)))
        tally.save(suite)


def of(config: pytest.Config) -> Tally:
    """The tally of this session."""
    if KEY not in config.stash:
        config.stash[KEY] = Tally()
    return config.stash[KEY]
