import os
import subprocess
import sys
import time

import pytest

from flexrel_sim.errors import WorkError
from flexrel_sim.processes import run_tasks


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


SCRIPT = """
import math
from flexrel_sim.processes import run_tasks
print("the script runs")
print(list(run_tasks(math.sqrt, [4.0, 9.0, 16.0], 2)))
"""


def test_a_script_without_a_main_guard_runs_once_with_several_workers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the script runs\n[2.0, 3.0, 4.0]\n"


def quick(value: int) -> int:
    if value:
        time.sleep(600)
    return os.getpid()


def test_work_that_is_given_up_ends_at_once_with_its_processes():
    results = run_tasks(quick, [0, 1, 2], 2)
    worker = next(results)
    results.close()
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.kill(worker, 0)
