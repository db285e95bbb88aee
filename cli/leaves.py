"""The leaves as arguments of commands, and their jobs."""

from typing import Final

import typer

from infra.settings import LEAVES

# Jobs of the ledger, with what another run of each needs.
JOBS: Final = {job: again for leaf in LEAVES.values() for job, again in leaf.jobs.items()}
TRAINED: Final = [name for name, leaf in LEAVES.items() if leaf.champion]


def leaf_name(name: str) -> str:
    """Raises BadParameter for what is no leaf."""
    return _one_of(list(LEAVES), name)


def trained_name(name: str) -> str:
    """Raises BadParameter for what is no leaf with a training of its own."""
    return _one_of(TRAINED, name)


def _one_of(names: list[str], name: str) -> str:
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, names))}.")
    return name
