"""The synthesised templates of both stacks."""

from functools import cache
from typing import Any

from aws_cdk.assertions import Template

from infra.app import build
from infra.settings import DeploySettings, StageFile

Resources = dict[str, dict[str, Any]]


@cache
def templates(**settings: Any) -> tuple[Template, Template]:
    """Of the data stack and of the service stack, deployed with these settings."""
    app = build(DeploySettings(**settings), StageFile("dev.toml", {}))
    data, service = (app.node.find_child(f"trefoil-dev-{part}") for part in ("data", "service"))
    return Template.from_stack(data), Template.from_stack(service)


def resources(template: Template, type_: str) -> Resources:
    """Those of a type, by their logical id."""
    return dict(template.find_resources(type_))
