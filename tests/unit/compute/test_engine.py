"""The engines of one machine give the same results, and pass failures on."""

import os
from pathlib import Path

import pytest

from layers.compute.engine import run_tasks
from layers.runtime.errors import InputError, UnavailableError


def square(number: int) -> int:
    if number < 0:
        raise InputError("is negative", file="numbers", row=3)
    return number * number


def die(number: int) -> int:
    os._exit(1) if number == 1 else None
    return number


@pytest.mark.parametrize("engine", ["threads", "local"])
def test_results_carry_the_index_of_their_task(engine: str) -> None:
    assert dict(run_tasks(square, range(4), engine=engine)) == {0: 0, 1: 1, 2: 4, 3: 9}
    assert dict(run_tasks(square, [], engine=engine)) == {}


@pytest.mark.parametrize("engine", ["threads", "local"])
def test_the_exception_of_a_task_is_raised_with_what_it_knows(engine: str) -> None:
    with pytest.raises(InputError, match="numbers: row 3: is negative"):
        list(run_tasks(square, [1, -1], engine=engine))


def test_one_task_runs_in_this_process() -> None:
    assert list(run_tasks(lambda _: os.getpid(), ["one"])) == [(0, os.getpid())]


def test_a_dead_worker_process_is_told() -> None:
    with pytest.raises(UnavailableError):
        list(run_tasks(die, range(3)))


def test_an_unknown_engine_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match="no engine spark"):
        list(run_tasks(square, [1], engine="spark"))


def test_nothing_of_ray_is_needed_for_the_other_engines() -> None:
    source = (Path(__file__).parents[3] / "layers/compute/engine.py").read_text()
    assert "\nimport ray" not in source
