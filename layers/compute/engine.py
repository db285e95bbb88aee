"""Map a function over tasks on threads, processes or a Ray cluster: the same call for all."""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from layers.runtime.errors import InputError, UnavailableError

Task = TypeVar("Task")
Result = TypeVar("Result")

RETRIES = 3


def run_tasks(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, engine: str = "local"
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the task, result) as each is done; the first exception of a task is raised here.

    `engine`: `threads`, `local` (processes; a single task runs here), `ray` (starts one on this machine) or
    `ray://HOST:PORT` (joins a cluster, whose nodes have this environment and reach the same paths). `function` and
    tasks are picklable, and running a task twice must be harmless: what a dead Ray node had under way is run again.
    Raises InputError for an unknown engine, UnavailableError when the workers are gone.
    """
    todo = list(tasks)
    if engine == "ray" or engine.startswith("ray://"):
        yield from _on_ray(function, todo, engine)
    elif engine == "local" and len(todo) <= 1:
        yield from enumerate(map(function, todo))
    elif engine == "local":
        # Spawned, not forked: Arrow's threads would not survive a fork.
        pool = ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))
        yield from _on_pool(pool, function, todo)
    elif engine == "threads":
        yield from _on_pool(ThreadPoolExecutor(), function, todo)
    else:
        raise InputError(f"there is no engine {engine}; there are local, ray and ray://HOST:PORT")


def _on_pool(pool: Executor, function: Callable[[Task], Result], tasks: list[Task]) -> Iterator[tuple[int, Result]]:
    try:
        futures = {pool.submit(function, task): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as exc:
        raise UnavailableError("a worker process died; it may have run out of memory") from exc
    finally:
        pool.shutdown(cancel_futures=True)


def _on_ray(function: Callable[[Task], Result], tasks: list[Task], address: str) -> Iterator[tuple[int, Result]]:
    ray = _ray()
    joined = ray.is_initialized()
    if not joined:
        _connect(ray, address)
    try:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
        pending = {remote.remote(task): i for i, task in enumerate(tasks)}
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1)
            for reference in done:
                try:
                    yield pending.pop(reference), ray.get(reference)
                except ray.exceptions.RayTaskError as exc:
                    raise exc.cause from exc
                except ray.exceptions.RayError as exc:
                    raise UnavailableError("the Ray cluster lost a task for good") from exc
    finally:
        if not joined:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    where = {"address": "local", "include_dashboard": False} if address == "ray" else {"address": address}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Ray Client connection timed out")  # the error raised says so
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, OSError, ValueError, RuntimeError) as exc:
        raise UnavailableError(f"no Ray cluster answers at {address}") from exc


def _ray() -> Any:
    # Neither send usage statistics anywhere nor start workers through `uv run`, which would copy the working directory.
    for name in ("USAGE_STATS_ENABLED", "ENABLE_UV_RUN_RUNTIME_ENV", "ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        os.environ.setdefault(f"RAY_{name}", "0")
    try:
        import ray
    except ModuleNotFoundError as exc:
        raise InputError("this engine needs Ray: uv sync --group ray") from exc
    return ray
