"""`trefoil models`: versions of each leaf, and which of them answers."""

from typing import Annotated, Any

import typer

from cli.console import figures, say, table
from cli.stack import Stack, Yes, change, connect, leaf_name
from infra.settings import LEAVES
from layers.runtime.errors import InputError, NotFoundError
from layers.storage import upkeep
from layers.storage.manifest import Manifest, code_hash
from layers.storage.registry import Champion

LeafName = Annotated[str, typer.Argument(help=", ".join(LEAVES), parser=leaf_name)]
Version = Annotated[str, typer.Argument(help="as `trefoil models list` shows it, or newest")]


def list_(leaf: LeafName) -> dict[str, Any]:
    """List versions, newest first."""
    rows = connect().registry.versions(leaf)
    shown = table("version", "status", "created", "metrics")
    for row in rows:
        shown.add_row(row["version"], row["status"], row["created_at"][:16], figures(row["metrics"]))
    say(shown)
    return {"leaf": leaf, "versions": rows}


def show(leaf: LeafName, version: Version) -> dict[str, Any]:
    """Show where a version comes from and how good it was, after its files were checked against their hashes."""
    stack = connect()
    manifest = _checked(stack, leaf, version)
    row = next((row for row in stack.registry.versions(leaf) if row["version"] == manifest.version), {})
    body = manifest.model_dump(mode="json") | {name: row.get(name, "") for name in ("status", "reason")}
    body["as_here"] = manifest.code == code_hash(leaf)
    for name in ("leaf", "version", "status", "created_at", "data_hash", "libraries"):
        say(f"{name:<12}{body[name]}")
    say(f"{'code':<12}{manifest.code}, {'as in this checkout' if body['as_here'] else 'another than in this checkout'}")
    say(f"{'promoted':<12}{body['reason'] or 'never'}")
    say(f"{'metrics':<12}{figures(manifest.metrics)}")
    for name, why in manifest.details.get("left_out", {}).items():
        say(f"{'left out':<12}{name} ({why})")
    say(f"{'files':<12}{len(manifest.files)}, all as their hashes say")
    return body


def promote(leaf: LeafName, version: Version, yes: Yes = False) -> dict[str, Any]:
    """Make a version the champion, whatever its figures say, after its files were checked against their hashes."""
    stack = change(f"promoting {leaf} {version}", yes=yes)
    standing = _champion(stack, leaf)
    made = _promoted(stack, leaf, version, standing.version if standing else None, "promoted by hand")
    say(f"{leaf}: {made.version} answers now")
    return made.model_dump(mode="json")


def rollback(leaf: LeafName, yes: Yes = False) -> dict[str, Any]:
    """Make the version before the champion answer again, after its files were checked against their hashes."""
    stack = change(f"rolling {leaf} back", yes=yes)
    standing = _champion(stack, leaf)
    if standing is None or standing.previous is None:
        raise InputError(f"{leaf} has no earlier champion")
    made = _promoted(stack, leaf, standing.previous, standing.version, f"rolled back from {standing.version}")
    say(f"{leaf}: {made.version} answers again")
    return made.model_dump(mode="json")


def prune(
    leaf: LeafName,
    keep: Annotated[int, typer.Option(min=0, help="newest versions kept beside the champion and the one before")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="name them and remove nothing")] = False,
    yes: Yes = False,
) -> dict[str, Any]:
    """Remove old versions, never the champion nor the one before it. The bucket keeps what was removed for a while."""
    stack = change(f"pruning {leaf}", yes=yes or dry_run)
    if dry_run:
        found = upkeep.superfluous(stack.registry, leaf, keep)
    else:
        found = upkeep.prune(stack.registry, stack.models, stack.table("Models"), leaf, keep)
    say("\n".join(found) or "nothing to remove")
    return {"leaf": leaf, "versions": found, "removed": not dry_run}


def _champion(stack: Stack, leaf: str) -> Champion | None:
    if not LEAVES[leaf].champion:
        raise InputError(f"{leaf} has no champion: each run fits a model of its own, and its day names it")
    return stack.registry.champion(leaf)


def _promoted(stack: Stack, leaf: str, version: str, expected: str | None, reason: str) -> Champion:
    version = _checked(stack, leaf, version).version
    return stack.registry.promote(leaf, version, expected=expected, reason=reason)


def _checked(stack: Stack, leaf: str, version: str) -> Manifest:
    if version == "newest":
        version = next((row["version"] for row in stack.registry.versions(leaf)), version)
    try:
        return upkeep.verified(stack.registry, leaf, version)
    except NotFoundError as exc:
        raise InputError(f"{leaf} {version}: {exc}; `trefoil models list {leaf}` shows what there is") from exc
