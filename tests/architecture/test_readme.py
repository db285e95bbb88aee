"""What the README says is checked against the code."""

import re
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from cli.main import app
from cli.stack_commands import app as stack_app
from infra.settings import PARTS, DeploySettings
from layers.runtime.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.documents import PROSE, section, write


def test_users_without_an_address_are_made_without_a_message_to_them() -> None:
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("functions/*/README.md")]:
        for command in re.findall(r"admin-create-user(?:[^\n]*\\\n)*[^\n]*", path.read_text()):
            assert "--message-action SUPPRESS" in command, path


def deploy_table() -> str:
    rows = [f"| {_row(DeploySettings, name, 'TREFOIL_DEPLOY_')} |" for name in DeploySettings.model_fields]
    return "\n".join(["| variable | default | what |", "|---|---|---|", *rows])


def run_time_table() -> str:
    rows = [f"| all | {_row(Settings, name, PREFIX)} |" for name in Settings.model_fields if name != "memory_mb"]
    for leaf in PARTS.values():
        own = [name for name in leaf.settings.model_fields if name not in Settings.model_fields]
        rows += [f"| {leaf.name} | {_row(leaf.settings, name, PREFIX)} |" for name in own]
    return "\n".join(["| leaf | variable | default | what |", "|---|---|---|---|", *rows])


def _row(settings: type[BaseSettings], name: str, prefix: str) -> str:
    field = settings.model_fields[name]
    default: Any = getattr(field.default, "value", field.default)
    return f"`{prefix}{name.upper()}` | {f'`{default}`' if default != '' else ''} | {field.description}"


@pytest.mark.parametrize(("name", "table"), [("deploy-settings", deploy_table), ("run-time-settings", run_time_table)])
def test_settings_tables_are_those_of_the_classes(name: str, table: Any) -> None:
    assert section(name) == table(), "run: python -m tests.architecture.test_readme"


def test_every_command_named_exists() -> None:
    apps = (app, stack_app)
    known = {c.name or c.callback.__name__ for one in apps for c in one.registered_commands if c.callback}
    known |= {group.name for one in apps for group in one.registered_groups if group.name}
    named = set(re.findall(r"trefoil ([a-z]+)", PROSE))
    assert named <= known


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z]+)", PROSE)) <= targets


def test_the_runbook_has_an_entry_for_every_alarm() -> None:
    text = "".join(file.read_text() for file in ROOT.glob("infra/*.py"))
    alarms = set(re.findall(r'(?:_alarm|\bAlarm)\("([a-z0-9-]+)"', text))
    assert alarms == set(re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs/operate.md").read_text(), re.M))


if __name__ == "__main__":
    write("deploy-settings", deploy_table())
    write("run-time-settings", run_time_table())
