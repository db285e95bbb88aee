"""States of stacks as earlier code left them, for today's code to go on with.

`python -m tests.recorded COMMIT` makes another: it checks the commit out beside this tree, deploys it to a local cloud
by its own command line, sends data through every leaf, and stores all that the stack then keeps.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from cli.backfill import run_day
from cli.stack import Stack, local_stack, wait
from infra.local import cloud as local
from tests import state
from tests.conftest import ROOT
from tests.drivers import put_rides

FOLDER: Final = ROOT / "tests/local/recorded"
DAY: Final = date(2026, 1, 31)
USERS, WAITING, SALES, CUSTOMERS = 40, 20, 4_000, 2_000


@dataclass(frozen=True)
class Recorded:
    """One recorded state, named by its commit."""

    file: Path

    @cached_property
    def objects(self) -> dict[str, bytes]:
        """Bodies by bucket and key, such as `lake/catalog.json`."""
        with zipfile.ZipFile(self.file) as archive:
            names = [name for name in archive.namelist() if name.startswith("objects/")]
            return {name.removeprefix("objects/"): archive.read(name) for name in names}

    def document(self, name: str) -> Any:
        """`items` by table, `messages` in flight, or `templates` of both stacks."""
        with zipfile.ZipFile(self.file) as archive:
            return json.loads(archive.read(f"{name}.json"), object_hook=_bytes)

    @property
    def items(self) -> dict[str, list[dict[str, Any]]]:
        """Items by table; they expire as long from now as from when they were recorded."""
        tables, age = self.document("items"), int(time.time()) - self.document("recorded")
        for item in (item for items in tables.values() for item in items):
            if "expires_at" in item:
                item["expires_at"]["N"] = str(int(item["expires_at"]["N"]) + age)
        return dict(tables)

    def restore(self, stack: Stack) -> None:
        """Put all of it into a stack, which then is as an upgrade finds it: no file of sales arrives a second time."""
        sales = {name for name in self.objects if name.startswith("lake/sales/")}
        for name in [*sales, *(self.objects.keys() - sales)]:
            bucket, _, key = name.partition("/")
            state.buckets(stack)[bucket].put(key, self.objects[name])
            if name in sales:
                wait(lambda key=key: _ended(stack, key), f"{key} to be ingested", 120)  # type: ignore[misc]
        for table, items in self.items.items():
            for item in items:
                stack.client("dynamodb").put_item(TableName=stack.outputs[f"{table}Table"], Item=item)


def recordings() -> list[Recorded]:
    """All of them."""
    return [Recorded(file) for file in sorted(FOLDER.glob("*.zip"))]


def _ended(stack: Stack, key: str) -> bool:
    run = stack.ledger.get("forecasting-ingest", key)
    return run is not None and run.outcome == "done"


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value


def _text(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
        try:
            shutil.copytree(ROOT / "node_modules", tree / "node_modules", symlinks=True)
            subprocess.run(["npm", "run", "--silent", "--if-present", "build"], cwd=tree, check=True)
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def record(commit: str) -> Path:
    """Store the state that the code of a commit leaves."""
    with _checkout(commit) as tree:
        home = tree.parent / "home"
        environment = os.environ | {"TREFOIL_HOME": str(home)}

        def old(*words: str) -> None:
            subprocess.run([sys.executable, "-m", "cli", *words], cwd=tree, env=environment, check=True)

        old("up")
        try:
            cloud = local.find(home)
            assert cloud is not None
            stack = local_stack(cloud)
            messages = fill(stack, old, home)
            templates = {
                part: json.loads((home / f"cdk.out/trefoil-local-{part}.template.json").read_text())["Resources"]
                for part in ("data", "service")
            }
            file = FOLDER / f"{commit[:7]}.zip"
            write(file, stack, {"messages": messages, "templates": templates, "recorded": int(time.time())})
        finally:
            old("down")
    return file


def fill(stack: Stack, old: Any, folder: Path) -> list[str]:
    """Data through every leaf by the old commands; returns messages that no function has had yet."""
    for kind, suffix, rows in (("sales", "csv", SALES), ("customers", "csv", CUSTOMERS), ("events", "jsonl", USERS)):
        old("simulate", kind, "--rows", str(rows), "--out", str(folder / f"{kind}.{suffix}"))
        if kind != "events":
            old("ingest", str(folder / f"{kind}.{suffix}"), "--as", kind)
    for name in ("forecasting", "classification"):
        old("train", name)
    old("ingest", str(folder / "events.jsonl"), "--as", "events")
    table = stack.table("Classifications")
    bodies = (folder / "events.jsonl").read_text().splitlines()
    users = [json.loads(body)["user_id"] for body in bodies]
    wait(lambda: all(table.get({"user_id": user}) for user in users), "the results", 120)
    for back in (1, 0):
        put_rides(stack, DAY - timedelta(days=back), "old", 1_200, back)
        assert run_day(stack, DAY - timedelta(days=back))["status"] == "published"
    assert stack.cloud is not None
    token = stack.token(stack.cloud.username, stack.cloud.password)
    for series in json.loads(stack.request("/v1/series", token=token)[2])["items"]:
        status, _, _ = stack.request(f"/v1/series/{series['series_id']}/forecast?horizon=42", token=token)
        assert status == 200
    old("simulate", "events", "--rows", str(WAITING), "--seed", "7", "--out", str(folder / "waiting.jsonl"))
    waiting = (folder / "waiting.jsonl").read_text()
    return waiting.replace('"user-', '"waiting-').splitlines()


def write(file: Path, stack: Stack, documents: Mapping[str, Any]) -> None:
    """All that the stack keeps but pictures, and these documents, as an archive."""
    file.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, body in state.objects(stack).items():
            if not name.endswith("plot.png"):
                archive.writestr(f"objects/{name}", body)
        for name, content in {"items": state.items(stack), **documents}.items():
            archive.writestr(f"{name}.json", json.dumps(content, default=_text, separators=(",", ":")))


if __name__ == "__main__":
    print(record(sys.argv[1]))
