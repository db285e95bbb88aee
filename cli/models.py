"""`trefoil models`: versions of each leaf, and which of them answers."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.console import Json, figures, say, table
from cli.stack import Profile, Stack, Stage, Yes, change, connect
from layers.runtime.errors import InputError, NotFoundError
from layers.storage import upkeep
from layers.storage.manifest import Manifest, code_hash
from layers.storage.registry import Champion

app = typer.Typer(help="Versions of each leaf's model, and which of them answers.", no_args_is_help=True)


class Leaf(StrEnum):
    """Leaves with models; clustering has no champion, each of its runs names its own."""

    CLUSTERING = "clustering"
    FORECASTING = "forecasting"
    CLASSIFICATION = "classification"


LeafName = Annotated[Leaf, typer.Argument(help="clustering, forecasting or classification")]
Version = Annotated[str, typer.Argument(help="as `trefoil models list` shows it, or newest")]


@app.command("list")
def list_(leaf: LeafName, stage: Stage = None, profile: Profile = None, json_output: Json = False) -> dict[str, Any]:
    """List versions, newest first."""
    rows = connect(stage, profile).registry.versions(leaf.value)
    shown = table("version", "status", "created", "metrics")
    for row in rows:
        shown.add_row(row["version"], row["status"], row["created_at"][:16], figures(row["metrics"]))
    say(shown)
    return {"leaf": leaf.value, "versions": rows}


@app.command()
def show(
    leaf: LeafName, version: Version, stage: Stage = None, profile: Profile = None, json_output: Json = False
) -> dict[str, Any]:
    """Show where a version comes from and how good it was, after its files were checked against their hashes."""
    stack = connect(stage, profile)
    manifest = _checked(stack, leaf, version)
    row = next((row for row in stack.registry.versions(leaf.value) if row["version"] == manifest.version), {})
    body = manifest.model_dump(mode="json") | {name: row.get(name, "") for name in ("status", "reason")}
    body["as_here"] = manifest.code == code_hash(leaf.value)
    for name in ("leaf", "version", "status", "created_at", "data_hash", "libraries"):
        say(f"{name:<12}{body[name]}")
    say(f"{'code':<12}{manifest.code}, {'as in this checkout' if body['as_here'] else 'another than in this checkout'}")
    say(f"{'promoted':<12}{body['reason'] or 'never'}")
    say(f"{'metrics':<12}{figures(manifest.metrics)}")
    for name, why in manifest.details.get("left_out", {}).items():
        say(f"{'left out':<12}{name} ({why})")
    say(f"{'files':<12}{len(manifest.files)}, all as their hashes say")
    return body


@app.command()
def promote(
    leaf: LeafName,
    version: Version,
    yes: Yes = False,
    stage: Stage = None,
    profile: Profile = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Make a version the champion, whatever its figures say, after its files were checked against their hashes."""
    stack = change(stage, profile, f"promoting {leaf.value} {version}", yes=yes)
    standing = _champion(stack, leaf)
    made = _promoted(stack, leaf, version, standing.version if standing else None, "promoted by hand")
    say(f"{leaf.value}: {made.version} answers now")
    return made.model_dump(mode="json")


@app.command()
def rollback(
    leaf: LeafName, yes: Yes = False, stage: Stage = None, profile: Profile = None, json_output: Json = False
) -> dict[str, Any]:
    """Make the version before the champion answer again, after its files were checked against their hashes."""
    stack = change(stage, profile, f"rolling {leaf.value} back", yes=yes)
    standing = _champion(stack, leaf)
    if standing is None or standing.previous is None:
        raise InputError(f"{leaf.value} has no earlier champion")
    made = _promoted(stack, leaf, standing.previous, standing.version, f"rolled back from {standing.version}")
    say(f"{leaf.value}: {made.version} answers again")
    return made.model_dump(mode="json")


@app.command()
def prune(
    leaf: LeafName,
    keep: Annotated[int, typer.Option(min=0, help="newest versions kept beside the champion and the one before")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="name them and remove nothing")] = False,
    yes: Yes = False,
    stage: Stage = None,
    profile: Profile = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Remove old versions, never the champion nor the one before it. The bucket keeps what was removed for a while."""
    stack = change(stage, profile, f"pruning {leaf.value}", yes=yes or dry_run)
    if dry_run:
        found = upkeep.superfluous(stack.registry, leaf.value, keep)
    else:
        found = upkeep.prune(stack.registry, stack.models, stack.table("Models"), leaf.value, keep)
    say("\n".join(found) or "nothing to remove")
    return {"leaf": leaf.value, "versions": found, "removed": not dry_run}


def _champion(stack: Stack, leaf: Leaf) -> Champion | None:
    if leaf is Leaf.CLUSTERING:
        raise InputError("clustering has no champion: each run fits a model of its own, and its day names it")
    return stack.registry.champion(leaf.value)


def _promoted(stack: Stack, leaf: Leaf, version: str, expected: str | None, reason: str) -> Champion:
    version = _checked(stack, leaf, version).version
    return stack.registry.promote(leaf.value, version, expected=expected, reason=reason)


def _checked(stack: Stack, leaf: Leaf, version: str) -> Manifest:
    if version == "newest":
        version = next((row["version"] for row in stack.registry.versions(leaf.value)), version)
    try:
        return upkeep.verified(stack.registry, leaf.value, version)
    except NotFoundError as exc:
        raise InputError(
            f"{leaf.value} {version}: {exc}; `trefoil models list {leaf.value}` shows what there is"
        ) from exc
