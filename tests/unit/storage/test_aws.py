from cli.stack import PATIENT
from layers.storage import aws


def test_connections_of_long_calls_are_kept_alive(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert aws.client("lambda").meta.config.tcp_keepalive
    assert PATIENT.tcp_keepalive
