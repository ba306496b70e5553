import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim import errors
from flexrel_sim.errors import Fault, ScenarioError


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("ScenarioError", "FlexRelError"),
        ("InputError", "FlexRelError"),
        ("WorkError", "FlexRelError"),
        ("CheckpointError", "InputError"),
        ("DatasetError", "InputError"),
        ("ProfileError", "InputError"),
    ],
)
def test_the_tree_of_errors_is_the_one_drawn_on_top_of_the_module(child: str, parent: str) -> None:
    assert getattr(errors, child).__bases__ == (getattr(errors, parent),)
    assert child in (errors.__doc__ or "")


def test_a_fault_reads_place_path_rule_value_remedy() -> None:
    fault = Fault("split.cut", "must be a boundary", "pool9", "use pool2", "a.yaml:3")
    assert str(fault) == "a.yaml:3: split.cut: must be a boundary, got 'pool9'; use pool2"


def test_a_fault_without_value_and_remedy_says_nothing_of_them() -> None:
    assert str(Fault("a", "is required", place="f:1")) == "f:1: a: is required"
    # An option says itself which path it sets.
    assert str(Fault("a.b", "is wrong", place="--set a.b")) == "--set a.b: is wrong"
    assert str(Fault("a.b", "is wrong", place="--set a")) == "--set a: a.b: is wrong"


@pytest.mark.parametrize("value", [0, False, "", []])
def test_a_falsy_value_is_shown(value: object) -> None:
    assert str(Fault("a", "rule", value, place="f:1")) == f"f:1: a: rule, got {value!r}"


def test_a_long_value_is_cut_with_an_ellipsis() -> None:
    shown = str(Fault("a", "rule", "x" * 500, place="f:1")).partition("got ")[2]
    assert len(shown) == 80
    assert shown == f"'{'x' * 78}…"


@given(st.text(), st.text(), st.text(), st.one_of(st.none(), st.text(), st.lists(st.text())))
def test_a_fault_is_one_line_whatever_it_holds(
    path: str, rule: str, remedy: str, value: object
) -> None:
    assert len(str(Fault(path, rule, value, remedy, "f:1")).splitlines()) == 1


def test_an_error_shows_every_fault_on_its_own_line_in_order() -> None:
    faults = [Fault(path, "rule", place="f:1") for path in ("b", "a", "c")]
    error = ScenarioError(iter(faults))
    assert error.faults == tuple(faults)
    assert str(error).splitlines() == [str(fault) for fault in faults]


def test_the_same_fault_twice_is_shown_once() -> None:
    fault = Fault("a", "rule", [1], place="f:1")
    assert ScenarioError([fault, Fault("a", "rule", [1], place="f:1")]).faults == (fault,)


def test_a_scenario_error_survives_the_way_home_from_a_worker() -> None:
    error = ScenarioError([Fault("a", "rule", [1], "remedy", "f:1"), Fault("b", "rule")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is ScenarioError
    assert copy.faults == error.faults
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    "value", [16**5000, [[16**5000]], {"a": 16**5000}], ids=["number", "list", "mapping"]
)
def test_a_value_that_python_writes_not_is_told_in_words(value: object) -> None:
    told = str(Fault("a", "rule", value, "remedy", "f:1"))
    assert told == f"f:1: a: rule, got a {type(value).__name__} too large to show; remedy"


def test_a_value_nested_past_reason_is_told_in_words() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    assert "got a list too large to show" in str(Fault("a", "rule", value, place="f:1"))


@given(st.text())
def test_a_fault_shows_no_control_characters(path: str) -> None:
    assert str(Fault(path, "rule", place="f:1")).isprintable()
