"""`trefoil doctor`: each check can fail, and then says what mends it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from cli import doctor
from layers.runtime.errors import NotFoundError, UnavailableError
from tests.conftest import ROOT


def refused(code: str) -> Any:
    def call(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")

    return call


class Account:
    """Answers of AWS, which a test may spoil."""

    def __init__(self) -> None:
        self.seconds = {"score": 60, "api": 29}
        self.visible, self.stage = "365", "dev"
        self.outputs = {
            "FunctionClassificationScore": "score",
            "FunctionForecastingApi": "api",
            "ClassificationQueue": "queue",
        }
        self.answers: dict[str, Any] = {
            "get_caller_identity": lambda: {"Account": "1"},
            "get_parameter": lambda Name: {"Parameter": {"Value": "21"}},
            "get_account_settings": lambda: {"AccountLimit": {"ConcurrentExecutions": 10}},
            "get_function_configuration": lambda FunctionName: {"Timeout": self.seconds[FunctionName]},
            "get_queue_attributes": lambda **_: {"Attributes": {"VisibilityTimeout": self.visible}},
            "meta": SimpleNamespace(region_name="eu-west-1"),
        }

    def client(self, _: str) -> Any:
        return SimpleNamespace(**self.answers)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    """A machine and an account on which every check passes."""
    (tmp_path / "package.json").write_text((ROOT / "package.json").read_text())
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    made = Account()
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(doctor, "connect", lambda *_, **__: made)
    monkeypatch.setattr(doctor, "printed", lambda command: f"{pinned} (build)" if "--version" in command else "29.0")
    monkeypatch.setattr(doctor, "machine_architecture", lambda: "x86_64")
    monkeypatch.setenv("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
    return made


def test_all_is_well(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    body, code = doctor.doctor()
    assert [one for one in body["findings"] if not one["ok"]] == []
    assert (body["healthy"], code) == (True, 0)
    assert "NO" not in capsys.readouterr().out.split()


def setting(name: str, value: str) -> Any:
    return lambda account, patch: patch.setenv(f"TREFOIL_DEPLOY_{name}", value)


def answer(name: str, call: Any) -> Any:
    return lambda account, patch: account.answers.update({name: call})


def connecting(error: Exception, *, deployed_only: bool) -> Any:
    def spoil(account: Account, patch: pytest.MonkeyPatch) -> None:
        def connect(*_: Any, deployed: bool = True) -> Account:
            if deployed or not deployed_only:
                raise error
            return account

        patch.setattr(doctor, "connect", connect)

    return spoil


def anonymous() -> Any:
    raise NoCredentialsError


@pytest.mark.parametrize(
    ("check", "spoil", "fix"),
    [
        ("Docker", lambda a, p: p.setattr(doctor, "printed", lambda _: ""), "start Docker"),
        ("image attestations", lambda a, p: p.delenv("BUILDX_NO_DEFAULT_ATTESTATIONS"), "export BUILDX"),
        ("architecture", setting("ARCHITECTURE", "arm64"), 'architecture = "x86_64"'),
        ("memory", setting("FORECASTING_MEMORY_MB", "4096"), "a new account allows 3008 MB"),
        (
            "uv.lock",
            lambda a, p: p.setattr(doctor, "printed", lambda command: None if "lock" in command else "2"),
            "uv lock",
        ),
        (
            "CDK command line",
            lambda a, p: p.setattr(doctor, "printed", lambda _: "3.0.0 (x)"),
            "make setup installs 2.",
        ),
        ("credentials", connecting(UnavailableError("no region"), deployed_only=False), "set AWS_REGION"),
        ("credentials", answer("get_caller_identity", anonymous), "sign in"),
        ("credentials", answer("meta", SimpleNamespace(region_name=None)), "set AWS_REGION"),
        ("bootstrap", answer("get_parameter", refused("ParameterNotFound")), "npx cdk bootstrap"),
        ("bootstrap", answer("get_parameter", lambda Name: {"Parameter": {"Value": "5"}}), "npx cdk bootstrap"),
        ("bootstrap", answer("get_parameter", refused("AccessDeniedException")), "give this profile read access"),
        ("concurrent executions", setting("MAP_CONCURRENCY", "100"), "ask AWS for more in Service Quotas"),
        ("concurrent executions", setting("MAP_CONCURRENCY", "3"), "lower map_concurrency"),
        ("deployed stack", connecting(NotFoundError("not deployed"), deployed_only=True), "npx cdk deploy --all"),
        ("visibility timeout", lambda a, p: setattr(a, "visible", "359"), "raise it to 360 s"),
        ("API timeout", lambda a, p: a.seconds.update(api=30), "29 s or less"),
    ],
)
def test_each_check_can_fail_and_says_what_mends_it(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    check: str,
    spoil: Any,
    fix: str,
) -> None:
    spoil(account, monkeypatch)
    body, code = doctor.doctor()
    failed = {one["check"]: one for one in body["findings"] if not one["ok"]}
    assert (body["healthy"], code) == (False, 1)
    assert fix in failed[check]["fix"]
    assert f"{check}: {failed[check]['fix']}\n" in capsys.readouterr().out
