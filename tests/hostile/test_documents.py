"""Events, messages and stored documents that are not what they should be: our own error, or a counted reason."""

import gzip
import io
import json
import math
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.classification.contracts import MODEL_FILE
from functions.classification.serve import read_messages, score_messages
from functions.classification.store import join_outcomes, load_model
from functions.clustering.contracts import DayRequest, FitAnswer, PlanItem
from functions.clustering.domain.model import Model
from functions.clustering.store import Paths
from functions.forecasting import store
from functions.forecasting.contracts import PlanEvent, Planned, Shard
from functions.forecasting.domain import model as sales_model
from functions.forecasting.domain import series
from functions.forecasting.intake import requested
from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import parsed
from layers.storage.registry import Manifest, ModelRegistry, manifest_key
from layers.storage.tables import dump, load
from tests.clustering import DAY, World, key, rides
from tests.fakes import InMemoryObjects, InMemoryTable
from tests.hostile.files import refused
from tests.hostile.readers import MODEL

QUICK = settings(max_examples=50, derandomize=True, suppress_health_check=list(HealthCheck))
NOW = datetime(2026, 1, 1, tzinfo=UTC)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 10**400]),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@st.composite
def spoilt(draw: Any, whole: Any) -> Any:
    """The document with some of its parts replaced by anything or left out."""
    document = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        node = document
        while node:
            name = draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
            if isinstance(node[name], dict | list) and draw(st.booleans()):
                node = node[name]
                continue
            if draw(st.booleans()):
                node[name] = draw(values)
            else:
                del node[name]
            break
    return document


ITEM = {"dt": "2026-03-14", "run_id": "r", "part": 0, "model_version": "v", "sources": [{"key": "k", "size": 1}]}
FITTED = {"status": "planned", "dt": "2026-03-14", "run_id": "r", "plan_bucket": "b", "plan_key": "k"}
SHARD = {"run_id": "r", "version": "v", "data_hash": "d", "number": 0, "series": ["a"]}
ARRIVED = {"detail": {"object": {"key": "sales/a.csv", "etag": "e"}}, "time": "2026-01-01T00:00:00Z", "id": "i"}


def day(event: Any) -> Any:
    found = parsed(DayRequest, event).day("Pacific/Kiritimati")
    return Paths(found).input, list(World().fitting._sample(found, []))


EVENTS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "the day to label": (day, {"dt": "2026-03-14", "scheduled_at": "2026-03-15T03:00:00Z", "execution": "e"}),
    "an item of the plan": (lambda event: parsed(PlanItem, event), ITEM),
    "what fit answered": (lambda event: parsed(FitAnswer, event), FITTED),
    "training": (lambda event: parsed(PlanEvent, event), {"scheduled_at": "2026-03-15T03:00:00Z", "force": True}),
    "a shard": (lambda event: parsed(Shard, event), SHARD),
    "what plan answered": (lambda event: parsed(Planned, event), FITTED),
    "a new object": (requested, ARRIVED),
    "messages of new objects": (requested, {"Records": [{"body": json.dumps(ARRIVED)}]}),
    "named keys": (requested, {"keys": ["sales/a.csv"]}),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_understood_or_refused_without_its_values(name: str) -> None:
    read, whole = EVENTS[name]
    assert read(whole)

    @QUICK
    @given(spoilt(whole) | values)
    def holds(event: Any) -> None:
        error = refused(read, event)
        assert error is None or isinstance(error, InputError)
        assert "input_value" not in "".join(traceback.format_exception(error))

    holds()


def registry_of(body: bytes) -> Manifest:
    objects = InMemoryObjects({manifest_key("clustering", "v"): body})
    return ModelRegistry(objects, InMemoryTable("leaf", "version")).manifest("clustering", "v")


MANIFEST = {
    "leaf": "classification",
    "version": "v",
    "created_at": "2026-01-01T00:00:00Z",
    "files": {MODEL_FILE: {"key": "k", "sha256": "s", "bytes": 1}},
    "data_hash": "d",
    "details": {"target": "y", "features": [], "threshold": 0.5},
}
HISTORY = {
    "series_id": "a",
    "start": "2024-01-01",
    "y": [1, None],
    "open": None,
    "regressors": {"p": [0, 1]},
    "stamps": {"y": [[1, 1], [-1, 1]], "p": [[1, 2]]},
}
ROW = {"observations": 1, "history": "h", "profile": [1.0], "model": {"kind": "k", "version": "v", "skill": None}}
ENTRY = {"key": "k", "sha256": "s", "bytes": 1, "history": "h", "kind": "k", "skill": None}


def classifier(body: bytes) -> Any:
    return load_model(registry_of(body), lambda name: b"no model")


def clustering_model(body: bytes) -> Model:
    return Model.load(MODEL.dump() | {"model.json": body})


STORED: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    "a manifest": (registry_of, MANIFEST),
    "a classifier": (classifier, MANIFEST),
    "a clustering model": (clustering_model, json.loads(MODEL.dump()["model.json"])),
    "the catalog": (store._parse, {"series": {"a": ROW}}),
    "a history": (lambda body: series.load(gzip.compress(body)), HISTORY),
    "an index of models": (store.parse_index, {"a": ENTRY}),
    "a model of a series": (
        sales_model.load_model,
        {"series_id": "a", "kind": "naive", "interval": {"quantiles": [0]}},
    ),
}
BOMBS = {
    "deep": b"[" * 200_000 + b"]" * 200_000,
    "deep in deep": b'{"series":' * 100_000 + b"1" + b"}" * 100_000,
    "a great number": b'{"series": ' + b"9" * 100_000 + b"}",
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a number": b"1",
    "no number": b"NaN",
    "cut": b'{"series": {"a": ',
    "a lone surrogate": b'{"series": {"\\ud800": 1}}',
}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_document_is_read_or_corrupt(name: str) -> None:
    read, whole = STORED[name]

    @QUICK
    @given(spoilt(whole) | values)
    def holds(document: Any) -> None:
        error = refused(read, json.dumps(document).encode())
        assert error is None or isinstance(error, CorruptError)

    holds()
    for bomb in BOMBS.values():
        with pytest.raises(CorruptError):
            read(bomb)


def test_a_history_that_is_no_gzip_or_holds_infinity_is_corrupt() -> None:
    for body in (b"", b"\x1f\x8b\x08", gzip.compress(b"{}")[:-4], json.dumps(HISTORY).encode()):
        with pytest.raises(CorruptError):
            series.load(body)
    for spoiled in ({"y": [math.inf, 1]}, {"y": [1]}, {"regressors": {"p": [1]}}, {"start": "2024-01-01T00:00Z"}):
        with pytest.raises(CorruptError):
            series.load(gzip.compress(json.dumps(HISTORY | spoiled).encode()))


def test_arrays_of_a_model_are_read_without_pickle_or_corrupt() -> None:
    sink = io.BytesIO()
    np.savez(sink, cores=np.array([{"a": 1}], dtype=object))
    whole = MODEL.dump()["arrays.npz"]
    for body in (sink.getvalue(), b"", b"PK\x03\x04", whole[: len(whole) // 2], whole[:-8] + bytes(8)):
        with pytest.raises(CorruptError):
            Model.load(MODEL.dump() | {"arrays.npz": body})


EVENT = {"event_id": "e", "user_id": "u", "observed_at": "2025-12-31T00:00:00Z", "features": {}}


def received(bodies: list[str]) -> list[dict[str, Any]]:
    return [{"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]


def answers(package: Any, bodies: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Probability or reason of each message id."""
    messages, poison = read_messages(received(bodies), latest=NOW)
    scored = score_messages(messages, package.trained.model, NOW, 1)
    for line in scored.lines().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    good = dict(zip([m.message_id for m in scored.messages], scored.probabilities.tolist(), strict=True))
    return good, {letter.message_id: letter.reason for letter in [*poison, *scored.refused]}


def sound(package: Any) -> dict[str, Any]:
    """Features that the model takes."""
    features = package.trained.model.specification.features
    return {f.name: 1.0 if f.kind == "number" else (f.categories[0] if f.categories else True) for f in features}


def test_of_a_batch_of_anything_every_message_is_answered_once(package: Any) -> None:
    whole = EVENT | {"features": sound(package)}

    @settings(QUICK, max_examples=40)
    @given(st.lists(spoilt(whole).map(json.dumps) | values.map(json.dumps) | st.text(), min_size=1, max_size=8))
    def holds(junk: list[str]) -> None:
        bodies = [json.dumps(whole), *junk, json.dumps(whole | {"event_id": "last"})]
        good, bad = answers(package, bodies)
        assert {"m0", f"m{len(bodies) - 1}"} <= good.keys()
        assert good.keys() | bad.keys() == {f"m{i}" for i in range(len(bodies))}
        assert not good.keys() & bad.keys()
        assert all(0 <= p <= 1 for p in good.values())
        assert all(reason and reason.isprintable() for reason in bad.values())

    holds()


MESSAGES = {
    "a nesting bomb": '{"features": ' * 50_000,
    "a mebibyte": "x" * (1 << 20),
    "a deep feature": json.dumps(EVENT)[:-3] + '{"a": ' + "[" * 500 + "]" * 500 + "}}",
    "a lone surrogate": '{"event_id": "\ud800"}',
    "an escaped lone surrogate": json.dumps(EVENT | {"user_id": "\ud800"}),
    "a number for an id": json.dumps(EVENT | {"user_id": 7}),
    "an empty id": json.dumps(EVENT | {"user_id": ""}),
    "a long id": json.dumps(EVENT | {"user_id": "u" * 257}),
    "a time without a zone": json.dumps(EVENT | {"observed_at": "2025-12-31T00:00:00"}),
    "a time as a number": json.dumps(EVENT | {"observed_at": 1}),
    "the first day": json.dumps(EVENT | {"observed_at": "0001-01-01T00:00:00+14:00"}),
    "the last day": json.dumps(EVENT | {"observed_at": "9999-12-31T23:59:59-14:00"}),
    "no features": json.dumps({k: v for k, v in EVENT.items() if k != "features"}),
    "features that are a list": json.dumps(EVENT | {"features": []}),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_that_can_never_succeed_has_its_reason(package: Any, name: str) -> None:
    good, bad = answers(package, [MESSAGES[name]])
    assert not good
    assert bad["m0"]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 10**400, 1e39, "1", True, [1], {"a": 1}])
def test_a_feature_that_is_no_finite_number_names_itself_but_not_its_value(package: Any, value: Any) -> None:
    name = next(f.name for f in package.trained.model.specification.features if f.kind == "number")
    _, bad = answers(package, [json.dumps(EVENT | {"features": sound(package) | {name: value}})])
    assert bad["m0"].startswith(f"{name} is not a ")


@pytest.mark.parametrize("value", ["Infinity", "NaN", "9" * 4_000, "[1]"])
def test_a_feature_that_no_model_knows_harms_nobody_whatever_it_is(package: Any, value: str) -> None:
    body = json.dumps(EVENT | {"features": sound(package) | {"extra": "here"}}).replace('"here"', value)
    good, bad = answers(package, [body])
    assert (list(good), bad) == (["m0"], {})


def test_of_a_key_that_comes_twice_the_last_counts(package: Any) -> None:
    body = json.dumps(EVENT | {"features": sound(package)})
    twice = body.replace('"user_id": "u"', '"user_id": 5, "user_id": "v"')
    messages, poison = read_messages(received([twice]), latest=NOW)
    assert not poison
    assert messages[0].event.user_id == "v"


@QUICK
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_fits_into_a_table(number: float) -> None:
    stored = load(dump({"n": number}))["n"]
    assert float(stored) == (max(-9.9e125, min(number, 9.9e125)) if abs(number) > 1e-130 else 0)


def test_scored_lines_that_are_no_rows_and_outcomes_that_are_none_are_left_out() -> None:
    truth = {"user_id": "u", "observed_at": "2025-12-31T00:00:00Z", "outcome": "yes"}
    lines = [json.dumps(truth), "not json", "[" * 9_999, json.dumps(truth | {"outcome": math.nan}), ""]
    lake = InMemoryObjects({"outcomes/dt=2025-12-31/a.jsonl": "\n".join(lines).encode()})
    assert join_outcomes(lake, [NOW.date().replace(year=2025, month=12, day=31)]) == []
    for body in (b"no gzip", gzip.compress(b"no json"), gzip.compress(b'{"user_id": 1}')):
        lake.bodies["scored/dt=2025-12-31/a.jsonl.gz"] = body
        assert join_outcomes(lake, [NOW.date().replace(year=2025, month=12, day=31)]) == []


def test_a_plan_of_another_shape_labels_nothing_and_the_truth_stays() -> None:
    world = World()
    world.lake.put(key(DAY), rides())
    assert world.run()["status"] == "published"
    truth = world.truth()
    with pytest.raises(InputError):
        world.labelling.label(parsed(PlanItem, ITEM | {"sources": [{"key": 5}]}))
    assert world.truth() == truth
