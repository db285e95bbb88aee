"""`trefoil models`: versions of each leaf, and which of them answers."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.console import Json, numbers, say, table
from cli.stack import Profile, Stage, connect
from layers.runtime.errors import InputError, NotFoundError
from layers.storage.registry import Manifest, ModelRegistry

app = typer.Typer(help="Versions of each leaf's model, and which of them answers.", no_args_is_help=True)


class Leaf(StrEnum):
    """Leaves with models; clustering has no champion, each of its runs names its own."""

    CLUSTERING = "clustering"
    FORECASTING = "forecasting"
    CLASSIFICATION = "classification"


LeafName = Annotated[Leaf, typer.Argument(help="clustering, forecasting or classification")]
Version = Annotated[str, typer.Argument(help="as `trefoil models list` shows it")]


@app.command("list")
def list_(leaf: LeafName, stage: Stage = "dev", profile: Profile = None, json_output: Json = False) -> dict[str, Any]:
    """List versions, newest first."""
    rows = connect(stage, profile).registry.versions(leaf.value)
    shown = table("version", "status", "created", "metrics")
    for row in rows:
        shown.add_row(
            row["version"],
            row["status"],
            row["created_at"][:16],
            ", ".join(f"{name} {value:.3g}" for name, value in numbers(row["metrics"])),
        )
    say(shown)
    return {"leaf": leaf.value, "versions": rows}


@app.command()
def show(
    leaf: LeafName, version: Version, stage: Stage = "dev", profile: Profile = None, json_output: Json = False
) -> dict[str, Any]:
    """Show a version's manifest, after its files were checked against their hashes."""
    registry = connect(stage, profile).registry
    manifest = _known(registry, leaf, version)
    for name in manifest.files:
        registry.read(manifest, name)
    champion = registry.champion(leaf.value)
    body = manifest.model_dump(mode="json")
    body["champion"] = champion.model_dump(mode="json") if champion and champion.version == version else None
    for name in ("leaf", "version", "created_at", "data_hash", "metrics", "libraries"):
        say(f"{name:<12}{body[name]}")
    say(f"{'files':<12}{len(manifest.files)}, all as their hashes say")
    if champion and champion.version == version:
        say(f"{'champion':<12}since {champion.since:%Y-%m-%d %H:%M}: {champion.reason}")
    return body


@app.command()
def promote(
    leaf: LeafName, version: Version, stage: Stage = "dev", profile: Profile = None, json_output: Json = False
) -> dict[str, Any]:
    """Make a version the champion, whatever its figures say."""
    registry = connect(stage, profile).registry
    _known(registry, leaf, version)
    standing = registry.champion(leaf.value)
    made = registry.promote(
        leaf.value, version, expected=standing.version if standing else None, reason="promoted by hand"
    )
    say(f"{leaf.value}: {made.version} answers now")
    return made.model_dump(mode="json")


@app.command()
def rollback(
    leaf: LeafName, stage: Stage = "dev", profile: Profile = None, json_output: Json = False
) -> dict[str, Any]:
    """Make the version before the champion answer again."""
    registry = connect(stage, profile).registry
    standing = registry.champion(leaf.value)
    if standing is None or standing.previous is None:
        raise InputError(f"{leaf.value} has no earlier champion")
    reason = f"rolled back from {standing.version}"
    made = registry.promote(leaf.value, standing.previous, expected=standing.version, reason=reason)
    say(f"{leaf.value}: {made.version} answers again")
    return made.model_dump(mode="json")


def _known(registry: ModelRegistry, leaf: Leaf, version: str) -> Manifest:
    try:
        return registry.manifest(leaf.value, version)
    except NotFoundError as exc:
        raise InputError(
            f"{leaf.value} has no version {version}; `trefoil models list {leaf.value}` shows them"
        ) from exc
