"""However AWS fails under a command, the user reads one line that says what to do."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, SSOTokenLoadError

from cli import console
from tests.conftest import ROOT


def answered(code: str, message: str = "Because") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeAlarms")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            answered("ExpiredTokenException"),
            "AWS answered ExpiredTokenException to DescribeAlarms: Because; sign in again",
        ),
        (answered("AccessDenied"), "Because; the profile lacks this permission"),
        (answered("UnauthorizedOperation"), "the profile lacks this permission"),
        (
            answered("ThrottlingException", "Rate\nexceeded"),
            "AWS answered ThrottlingException to DescribeAlarms: Rate exceeded",
        ),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "AWS cannot be used: Could not connect"),
        (NoCredentialsError(), "AWS cannot be used: Unable to locate credentials"),
        (SSOTokenLoadError(error_msg="gone"), "AWS cannot be used"),
        (S3UploadFailedError("Failed to upload"), "AWS cannot be used: Failed to upload"),
    ],
)
def test_an_error_of_aws_is_one_line_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, told: str, as_json: bool
) -> None:
    app = typer.Typer()

    @app.command()
    def fail(json_output: console.Json = False) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["trefoil", *(["--json"] if as_json else [])])
    assert console.run(app) == 1
    out, err = capsys.readouterr()
    assert told in err
    assert len(err.splitlines()) == 1
    assert json.loads(out) == {"error": err.removeprefix("trefoil: ").rstrip()} if as_json else out == ""


def test_a_reader_who_has_enough_causes_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli", "simulate", "rides", "--rows", "10", "--out", tmp_path / "x.csv", "--json"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False, text=True, timeout=120
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_json_is_written_where_stdout_is_ascii_too(monkeypatch: pytest.MonkeyPatch) -> None:
    app, out = typer.Typer(), io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    @app.command()
    def tell(json_output: console.Json = False) -> dict[str, object]:
        return {"city": "Zürich", "share": float("nan")}

    monkeypatch.setattr(sys, "argv", ["trefoil", "--json"])
    monkeypatch.setattr(sys, "stdout", out)
    assert console.run(app) == 0
    out.seek(0)
    assert json.loads(out.read()) == {"city": "Zürich", "share": None}
