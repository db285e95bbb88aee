"""`trefoil models`: what is checked before a version answers."""

from typing import Any

import pytest

from cli import models
from layers.runtime.errors import CorruptError, InputError
from tests.unit.cli.stack import fake_stack

LEAF = "classification"


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Any:
    stack = fake_stack()
    monkeypatch.setattr(models, "connect", lambda *_: stack)
    monkeypatch.setattr(models, "change", lambda *_, **__: stack)
    for version in ("one", "two"):
        stack.registry.publish(LEAF, version, {"m": version.encode()}, data_hash=f"hash of {version}")
    return stack


def champion(house: Any) -> str | None:
    standing = house.registry.champion(LEAF)
    return standing.version if standing else None


def test_a_forced_version_is_rolled_back_and_shown_with_its_lineage(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    models.promote(LEAF, "one")
    models.promote(LEAF, "newest")
    assert champion(house) == "two"
    assert models.rollback(LEAF)["version"] == "one"
    shown = models.show(LEAF, "two")
    assert (shown["status"], shown["reason"], shown["as_here"]) == ("retired", "promoted by hand", True)
    assert models.show(LEAF, "one")["reason"] == "rolled back from two"
    said = capsys.readouterr().out
    for text in ("hash of two", "promoted by hand", "as in this checkout", "1, all as their hashes say"):
        assert text in said


def test_columns_that_a_version_did_not_learn_from_are_shown(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    details = {"left_out": {"duration": "known only afterwards"}}
    house.registry.publish(LEAF, "three", {"m": b"3"}, data_hash="", details=details)
    models.show(LEAF, "three")
    assert "duration (known only afterwards)" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [b"tampered", None])
def test_a_damaged_version_is_neither_promoted_nor_rolled_back_to(house: Any, damage: bytes | None) -> None:
    models.promote(LEAF, "one")
    models.promote(LEAF, "two")
    if damage is None:
        house.models.delete(f"{LEAF}/one/m")
    else:
        house.models.put(f"{LEAF}/one/m", damage)
    for command in (
        lambda: models.rollback(LEAF),
        lambda: models.promote(LEAF, "one"),
        lambda: models.show(LEAF, "one"),
    ):
        with pytest.raises((CorruptError, InputError), match=f"{LEAF}/one/m"):
            command()
    assert champion(house) == "two"


def test_what_cannot_be_done_is_the_users_mistake(house: Any) -> None:
    with pytest.raises(InputError, match="three"):
        models.promote(LEAF, "three")
    with pytest.raises(InputError, match="no earlier champion"):
        models.rollback(LEAF)
    for command in (lambda: models.rollback("clustering"), lambda: models.promote("clustering", "one")):
        with pytest.raises(InputError, match="clustering has no champion"):
            command()


def test_pruning_names_first_what_it_removes(house: Any) -> None:
    house.registry.publish(LEAF, "three", {"m": b"three"}, data_hash="d")
    models.promote(LEAF, "one")
    assert models.prune(LEAF, keep=1, dry_run=True) == {"leaf": LEAF, "versions": ["two"], "removed": False}
    assert models.prune(LEAF, keep=1)["versions"] == ["two"]
    assert [row["version"] for row in models.list_(LEAF)["versions"]] == ["three", "one"]
