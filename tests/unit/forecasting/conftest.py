"""The command on files, in this process."""

import json

import pytest

from cli import console
from cli.main import app


@pytest.fixture
def trefoil(monkeypatch, capsys):
    def run(*arguments):
        words = ["forecast", *map(str, arguments), "--engine", "threads", "--json"]
        monkeypatch.setattr("sys.argv", ["trefoil", *words])
        status = console.run(lambda **options: app(words, **options))
        printed = capsys.readouterr()
        run.stderr = printed.err
        return status, json.loads(printed.out)

    return run
