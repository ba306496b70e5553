import os

import pytest

from flexrel_sim.errors import WorkError
from flexrel_sim.study.executor import run_tasks


def square(value: int) -> int:
    return value * value


def die(value: int) -> int:
    os._exit(value)


def where(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers):
    assert list(run_tasks(square, range(7), workers)) == [0, 1, 4, 9, 16, 25, 36]


def test_one_worker_or_one_task_stays_in_this_process():
    assert set(run_tasks(where, [1, 2], 1)) == {os.getpid()}
    assert set(run_tasks(where, [1], 2)) == {os.getpid()}


def test_a_worker_that_dies_is_told_with_a_remedy():
    with pytest.raises(WorkError, match="a worker process died.*--workers 1"):
        list(run_tasks(die, [1, 2], 2))
