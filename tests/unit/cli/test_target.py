"""A command works on what it was told to, says which that is, and asks before it changes something on AWS."""

from types import SimpleNamespace
from typing import Any

import pytest

from cli import stack
from layers.runtime.errors import InputError

OUTPUTS = {"LakeBucket": "lake"}


class Session:
    """An account as boto3 shows it."""

    def __init__(self, profile_name: str | None = None) -> None:
        self.profile_name = profile_name

    def client(self, service: str, **_: Any) -> Any:
        identity = {"Account": "123456789012"}
        return SimpleNamespace(
            get_caller_identity=lambda: identity, meta=SimpleNamespace(region_name="eu-west-1"), service=service
        )


@pytest.fixture(params=["running", "down"])
def local_cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    cloud = SimpleNamespace(
        stage="local", endpoint="http://127.0.0.1:4566", session=Session, client=lambda _: None, alive=lambda: True
    )
    monkeypatch.setattr(stack.local, "find", lambda: cloud if request.param == "running" else None)
    monkeypatch.setattr(stack.local, "outputs", lambda client, stage: OUTPUTS | {"Stage": stage})
    monkeypatch.setattr(stack.boto3, "Session", Session)
    return str(request.param)


def on(monkeypatch: pytest.MonkeyPatch, stage: str | None = None, profile: str | None = None) -> None:
    monkeypatch.setattr(stack, "named", SimpleNamespace(get=lambda: (stage, profile)))


@pytest.mark.parametrize("named", [{"stage": "prod"}, {"profile": "work"}, {"stage": "prod", "profile": "work"}])
def test_a_stage_or_a_profile_means_aws_whether_or_not_a_local_cloud_runs(
    local_cloud: str, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, **named)
    connected = stack.connect()
    assert connected.cloud is None
    assert connected.stage == named.get("stage", "dev")
    assert connected.target() == f"account 123456789012, eu-west-1, stage {connected.stage}"


def test_without_either_it_is_the_local_cloud_or_nothing(local_cloud: str) -> None:
    if local_cloud == "running":
        assert stack.connect().target() == "local cloud at http://127.0.0.1:4566"
    else:
        with pytest.raises(InputError, match="no local cloud runs"):
            stack.connect()


@pytest.mark.parametrize("answer", [True, False])
def test_a_change_on_aws_is_named_and_asked_for(
    local_cloud: str, answer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on(monkeypatch, stage="prod")
    monkeypatch.setattr(stack.sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(stack.typer, "confirm", lambda *_, **__: answer)
    if answer:
        assert stack.change("promoting", yes=False).stage == "prod"
    else:
        with pytest.raises(InputError, match="nothing was done to account 123456789012, eu-west-1, stage prod"):
            stack.change("promoting", yes=False)
    assert "promoting: account 123456789012, eu-west-1, stage prod\n" in capsys.readouterr().err


def test_where_nobody_can_be_asked_yes_must_be_said(local_cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, stage="prod")
    monkeypatch.setattr(stack.sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(InputError, match="--yes"):
        stack.change("promoting", yes=False)
    assert stack.change("promoting", yes=True).stage == "prod"
