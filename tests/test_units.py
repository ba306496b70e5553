import json
import math
import re
import time
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from flexrel_sim.units import (
    BitRatePerSecond,
    EnergyJoules,
    EventRatePerSecond,
    PositiveSeconds,
    QuantityKind,
    Seconds,
    parse_quantity,
    readable,
    spaced,
    spaced_quantities,
)


def kind_of(annotated: object) -> QuantityKind:
    return next(item for item in get_args(annotated) if isinstance(item, QuantityKind))


BIT_RATE = kind_of(BitRatePerSecond)
EVENT_RATE = kind_of(EventRatePerSecond)
SECONDS = kind_of(Seconds)
ENERGY = kind_of(EnergyJoules)
POSITIVE_SECONDS = kind_of(PositiveSeconds)
KINDS = (BIT_RATE, EVENT_RATE, SECONDS, POSITIVE_SECONDS, ENERGY)


class Times(BaseModel):
    delay: Seconds = 0.0
    service: PositiveSeconds | None = None


@pytest.mark.parametrize(
    ("text", "bit_per_s"),
    [
        ("10 Mbit/s", 10e6),
        ("10Mbit/s", 10e6),
        ("10 Mbit / s", 10e6),
        ("  10 Mbit/s  ", 10e6),
        ("1e1 Mbit/s", 10e6),
        ("+10 Mbit/s", 10e6),
        (".5 kbit/s", 500.0),
        ("5. kbit/s", 5000.0),
        ("10 Mbps", 10e6),
        ("2.5 MB/s", 20e6),
        ("1 GB/s", 8e9),
        ("1 KiB/s", 8192.0),
        ("1 MiB/s", 8388608.0),
        ("1 Gibit/s", 1073741824.0),
        ("1 Tbit/s", 1e12),
        ("60 bit/min", 1.0),
        ("1 bit/s", 1.0),
        ("8 bit_per_second", 8.0),
    ],
)
def test_a_bit_rate_is_read_in_bits_per_second(text: str, bit_per_s: float) -> None:
    assert parse_quantity(text, BIT_RATE) == pytest.approx(bit_per_s, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "per_s"),
    [
        ("12 /s", 12.0),
        ("12/s", 12.0),
        ("30 Hz", 30.0),
        ("1 kHz", 1000.0),
        ("12 req/s", 12.0),
        ("12 request/s", 12.0),
        ("25 frame/s", 25.0),
        ("60 /min", 1.0),
        ("3600 req/h", 1.0),
    ],
)
def test_a_rate_of_events_is_read_per_second(text: str, per_s: float) -> None:
    assert parse_quantity(text, EVENT_RATE) == pytest.approx(per_s, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20 ms", 0.02),
        ("1.5 s", 1.5),
        ("1 min", 60.0),
        ("2 h", 7200.0),
        ("5 us", 5e-6),
        ("5 µs", 5e-6),
        ("5 ns", 5e-9),
        ("1 second", 1.0),
        ("1 minute", 60.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_quantity(text, SECONDS) == pytest.approx(seconds, rel=1e-15)
    assert parse_quantity(text, POSITIVE_SECONDS) == parse_quantity(text, SECONDS)


@pytest.mark.parametrize(
    "value",
    [
        10,
        10.0,
        None,
        True,
        [],
        {},
        b"10 Mbit/s",
        "",
        "10",
        "Mbit/s",
        "10 Mb/s",
        "10 /s",
        "10 Hz",
        "10 Mbit",
        "10 s",
        "10 mb/s",
        "10 KB/s",
        "10 Mbit/s/s",
        "10 Mbit*s",
        "10 Mbit/s**2",
        "10 20 Mbit/s",
        "1,000 kbit/s",
        "ten Mbit/s",
        "10 Mbit//s",
        "10 Mbit/",
        "10 %",
        "10 furlong/s",
        "__import__('os')",
        "10 M bit/s",
        "0x10 bit/s",
        "1_000 bit/s",
        "nan bit/s",
        "inf bit/s",
        "10 bit/nan",
    ],
)
def test_what_is_no_bit_rate_is_refused_as_such(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a bit rate with its unit$"):
        parse_quantity(value, BIT_RATE)


@pytest.mark.parametrize("value", [12, "12", "12 bit/s", "12 s", "12 req", "12 s/req", "12 rpm"])
def test_what_is_no_rate_of_events_is_refused_as_such(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a rate of events with its unit$"):
        parse_quantity(value, EVENT_RATE)


@pytest.mark.parametrize(
    "value", [0, 1.5, "1.5", "1 day", "1 /s", "1 bit", "nan s", "inf s", "∞ s"]
)
def test_what_is_no_duration_is_refused_as_such(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration with its unit$"):
        parse_quantity(value, SECONDS)


@pytest.mark.parametrize("text", ["1e400 s", "1e308 min", "1e308 h"])
def test_an_overflowing_duration_is_refused_as_not_finite(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration with its unit, and finite$"):
        parse_quantity(text, SECONDS)


@pytest.mark.parametrize("text", ["-3 s", "-1e400 s", "-5e-324 s"])
def test_a_negative_duration_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^must be a duration with its unit, and (finite|at least)"
    ):
        parse_quantity(text, SECONDS)


@pytest.mark.parametrize("text", ["0 s", "0.0 ms", "-0 s", "1e-400 s"])
def test_zero_is_allowed_where_the_kind_allows_it_and_refused_elsewhere(text: str) -> None:
    assert parse_quantity(text, SECONDS) == 0.0
    with pytest.raises(ValueError, match=r"^must be a duration with its unit, and above zero$"):
        parse_quantity(text, POSITIVE_SECONDS)


@pytest.mark.parametrize("text", ["5 mbit/s", "999 mbit/s", "0.9 bit/s", "100 mB/s", "1e-9 Mbps"])
def test_a_rate_below_one_bit_per_second_is_refused_because_millibits_are_a_slip(text: str) -> None:
    with pytest.raises(ValueError, match=r", and at least 1 bit/s$"):
        parse_quantity(text, BIT_RATE)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_a_value_above_the_largest_sensible_one_is_refused(kind: QuantityKind) -> None:
    assert parse_quantity(kind.show(kind.largest), kind) == kind.largest
    with pytest.raises(ValueError, match=r", and at most \S+ (J|(bit)?/?s)$"):
        parse_quantity(kind.show(kind.largest * 1.5), kind)


@pytest.mark.parametrize("text", ["10**10**10 s", "9**9**9**9 bit/s", "2**1000000000 /s"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_an_expression_is_refused_without_being_evaluated(text: str, kind: QuantityKind) -> None:
    begun = time.perf_counter()
    with pytest.raises(ValueError, match=r"^must be a "):
        parse_quantity(text, kind)
    assert time.perf_counter() - begun < 1


@given(
    st.from_regex(r"[0-9]{1,3}(\.[0-9])? ?[A-Za-zµ_]{0,5}( ?/ ?[A-Za-zµ]{1,5})?", fullmatch=True)
    | st.text(),
    st.sampled_from(KINDS),
)
@example("10 nan", SECONDS)
@example("10 s/NaN", SECONDS)
@example("1 bit/nan", BIT_RATE)
def test_any_text_is_read_or_refused_by_the_broken_rule(text: str, kind: QuantityKind) -> None:
    value, refusal = kind.smallest, f"must be a {kind.what} with its unit"
    try:
        value = parse_quantity(text, kind)
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith(f"must be a {kind.what} with its unit")
    assert kind.smallest <= value <= kind.largest


@given(st.floats(0, allow_infinity=False, allow_nan=False), st.sampled_from(KINDS))
def test_what_is_shown_is_read_as_exactly_the_same_number(value: float, kind: QuantityKind) -> None:
    assume(kind.smallest <= value <= kind.largest and (value > 0 or kind.zero))
    assert parse_quantity(kind.show(value), kind) == value


def test_whole_numbers_are_shown_without_a_point() -> None:
    assert BIT_RATE.show(10e6) == "10000000 bit/s"
    assert SECONDS.show(0.02) == "0.02 s"
    assert EVENT_RATE.show(1e20) == "1e+20 /s"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_every_example_of_a_kind_is_read_and_named_in_its_remedy(kind: QuantityKind) -> None:
    for text in kind.examples:
        assert parse_quantity(text, kind) > 0
        assert repr(text) in kind.remedy


def test_a_field_reads_strings_and_writes_strings_that_it_reads_again() -> None:
    times = Times.model_validate({"delay": "20 ms", "service": "1 min"})
    assert (times.delay, times.service) == (0.02, 60.0)
    assert times.model_dump() == {"delay": "0.02 s", "service": "60 s"}
    assert json.loads(times.model_dump_json()) == times.model_dump()
    assert Times.model_validate(times.model_dump()) == times


def test_an_absent_optional_quantity_is_written_as_null() -> None:
    assert Times().model_dump() == {"delay": "0 s", "service": None}
    assert Times.model_validate(Times().model_dump()) == Times()


def test_a_field_refuses_a_bare_number_with_rule_and_remedy() -> None:
    with pytest.raises(ValidationError, match="must be a duration with its unit") as caught:
        Times.model_validate({"delay": 0.02})
    assert caught.value.errors()[0]["ctx"]["remedy"] == SECONDS.remedy


def test_the_json_schema_accepts_every_example_and_no_bare_number() -> None:
    for annotated in (BitRatePerSecond, EventRatePerSecond, Seconds, PositiveSeconds):
        schema = TypeAdapter(annotated).json_schema()
        assert schema["type"] == "string"
        assert schema["examples"] == list(kind_of(annotated).examples)
        assert all(re.search(schema["pattern"], text) for text in schema["examples"])
        assert not re.search(schema["pattern"], "fast")
        assert not re.search(schema["pattern"], "10**10 s")


def test_linear_spacing_has_equal_differences_and_keeps_both_ends() -> None:
    values = spaced(0.1, 0.7, 7, log=False)
    assert values == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_log_spacing_has_equal_ratios_and_keeps_both_ends() -> None:
    assert spaced(1, 1000, 4, log=True) == [1, 10, 100, 1000]
    assert spaced(8, 1, 4, log=True) == [8, 4, 2, 1]


@given(
    st.floats(1e-6, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(2, 12),
    st.booleans(),
)
def test_spaced_values_keep_ends_and_steps_to_twelve_digits(
    start: float, stop: float, steps: int, log: bool
) -> None:
    values = np.array(spaced(start, stop, steps, log=log))
    assert values.size == steps
    assert (values[0], values[-1]) == (start, stop)
    moves = np.diff(np.log(values) if log else values)
    # Twelve digits: each value is off by at most half a unit of the twelfth.
    slack = 1e-11 if log else 1e-11 * max(start, stop)
    assert np.ptp(moves) <= 2 * slack


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 0), (-1, 1), (1, -1), (-2, -1)])
def test_a_log_scale_refuses_ends_that_are_not_positive(start: float, stop: float) -> None:
    with pytest.raises(ValueError, match="ends above zero on a log scale"):
        spaced(start, stop, 3, log=True)


@pytest.mark.parametrize("end", [math.inf, -math.inf, math.nan])
def test_ends_that_are_not_finite_are_refused(end: float) -> None:
    with pytest.raises(ValueError, match="must have finite ends"):
        spaced(end, 1, 3, log=False)
    with pytest.raises(ValueError, match="must have finite ends"):
        spaced(1, end, 3, log=False)


def test_spaced_quantities_stay_in_the_unit_of_the_first() -> None:
    assert spaced_quantities("1 Mbit/s", "2 MB/s", 4, log=False) == [
        "1.0 Mbit/s",
        "6.0 Mbit/s",
        "11.0 Mbit/s",
        "16.0 Mbit/s",
    ]
    assert spaced_quantities(" 10 ms ", "1 s", 3, log=True) == ["10.0 ms", "100.0 ms", "1000.0 ms"]
    assert spaced_quantities("1 /s", "60 /min", 2, log=False) == ["1.0 /s", "1.0 /s"]


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.integers(2, 9), st.booleans())
def test_spaced_quantities_are_read_with_the_ends_that_were_written(
    start: float, stop: float, steps: int, log: bool
) -> None:
    texts = spaced_quantities(f"{start!r} Mbit/s", f"{stop!r} kbit/s", steps, log=log)
    values = [parse_quantity(text, BIT_RATE) for text in texts]
    assert len(values) == steps
    assert values[0] == pytest.approx(start * 1e6, rel=1e-11)
    assert values[-1] == pytest.approx(stop * 1e3, rel=1e-11)


@pytest.mark.parametrize(
    ("start", "stop"), [("fast", "2 s"), ("1 s", "faster"), ("1", "2"), ("1", "2 s"), ("", "")]
)
def test_spacing_what_is_no_quantity_is_refused(start: str, stop: str) -> None:
    with pytest.raises(ValueError, match=r"^must go from one number or quantity to another$"):
        spaced_quantities(start, stop, 3, log=False)


@pytest.mark.parametrize(
    ("start", "stop"),
    [("1 s", "2 bit/s"), ("1 furlong", "2 furlong"), ("1 s", "2"), ("1 nan", "2 nan")],
)
def test_spacing_between_two_kinds_is_refused(start: str, stop: str) -> None:
    same_kind = r"^must go from one quantity to another of the same kind$"
    with pytest.raises(ValueError, match=same_kind):
        spaced_quantities(start, stop, 3, log=False)


@pytest.mark.parametrize(
    ("text", "joules"), [("10 Wh", 36e3), ("36 kJ", 36e3), ("500 mWh", 1800.0), ("0.01 kWh", 36e3)]
)
def test_energies_are_kept_in_joules(text: str, joules: float) -> None:
    assert parse_quantity(text, ENERGY) == pytest.approx(joules, rel=1e-12)


@pytest.mark.parametrize("text", ["10 W", "0 J", "-1 J", "10", "3000 mAh", "10 h"])
def test_what_is_no_energy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a quantity of energy with its unit"):
        parse_quantity(text, ENERGY)


@given(st.sampled_from(KINDS), st.floats(1e-12, 1e14))
def test_what_is_readable_is_the_same_quantity_without_an_exponent(
    kind: QuantityKind, value: float
) -> None:
    assume(kind.smallest <= value <= kind.largest)
    text = readable(kind.show(value))
    assert "e" not in text.split(" ")[0].lower() or kind is EVENT_RATE
    assert parse_quantity(text, kind) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("80000 bit/s", "80 kbit/s"),
        ("999 bit/s", "999 bit/s"),
        ("1000 bit/s", "1 kbit/s"),
        ("0 bit/s", "0 bit/s"),
        ("0.15 s", "150 ms"),
        ("0 s", "0 s"),
        ("3600 s", "3600 s"),
        ("2e-05 s", "20 µs"),
        ("1e-11 s", "0.01 ns"),
        ("2500000 B", "2.5 MB"),
        ("0.5 B", "0.5 B"),
        ("36000 J", "36 kJ"),
        ("5 /s", "5 /s"),
        ("lte.csv", "lte.csv"),
        ("30", "30"),
    ],
)
def test_a_readable_quantity_has_the_prefix_that_people_give_it(shown: str, text: str) -> None:
    assert readable(shown) == text
