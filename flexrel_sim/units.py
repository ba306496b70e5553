"""Typed quantities: strings with a unit in YAML, SI floats in memory.

The registry holds only what a scenario may say. Bits are a dimension of their own, so a bare
``10 /s`` is no bit rate, and ``Mb`` (bit or byte?) is no unit at all.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

import pint
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = [
    "BitRatePerSecond",
    "BitRatePerSecondOrZero",
    "Bytes",
    "EnergyJoules",
    "EventRatePerSecond",
    "PositiveBytes",
    "PositiveSeconds",
    "QuantityKind",
    "Seconds",
    "leading_number",
    "parse_in_unit",
    "parse_quantity",
    "readable",
    "spaced",
    "spaced_quantities",
]

_DEFINITIONS: Final = """
nano- = 1e-9 = n-
micro- = 1e-6 = µ- = μ- = u-
milli- = 1e-3 = m-
kilo- = 1e3 = k-
mega- = 1e6 = M-
giga- = 1e9 = G-
tera- = 1e12 = T-
kibi- = 1024 = Ki-
mebi- = 1048576 = Mi-
gibi- = 1073741824 = Gi-
second = [time] = s
minute = 60 second = min
hour = 60 minute = h
bit = [information] = bit
byte = 8 bit = B
bit_per_second = bit / second = bps
hertz = 1 / second = Hz
joule = [energy] = J
watt_hour = 3600 joule = Wh
request = [] = req
frame = []
"""

# pint evaluates expressions ("10**10**10 s" would never return), so only a number and at most
# one quotient of unit names reach it.
_QUANTITY: Final = re.compile(
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"\s*(?P<unit>[A-Za-zµμ_]*(?:\s*/\s*[A-Za-zµμ]+)?)\s*"
)


# No one writes kiloseconds, or thousandths of a bit.
_ABOVE: Final = {0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_BELOW: Final = {0: "", -3: "m", -6: "µ", -9: "n"}
_PREFIXES: Final = {"bit/s": _ABOVE, "B": _ABOVE, "J": _ABOVE, "s": _BELOW}


@dataclass(frozen=True)
class QuantityKind:
    """What a quantity measures, the unit it is kept in, and how users may write it.

    Parameters
    ----------
    what
        The noun for error messages, such as ``bit rate``.
    si_unit
        Unit of the float in memory, such as ``bit/s``.
    examples
        Accepted forms, shown in errors and in the JSON Schema.
    zero
        Whether zero is allowed; negative values never are.
    smallest
        Smallest value that makes sense, in ``si_unit``: one bit per second catches ``mbit``
        (millibit) where ``Mbit`` was meant.
    largest
        Largest value that makes sense; beyond it sums lose the small times.
    """

    what: str
    si_unit: str
    examples: tuple[str, ...]
    zero: bool = False
    smallest: float = 0.0
    largest: float = math.inf

    @property
    def remedy(self) -> str:
        """What to write instead."""
        return f"write a number and a unit, such as {' or '.join(map(repr, self.examples))}"

    def show(self, value: float) -> str:
        """Write an SI value so that `parse_quantity` gives exactly it again."""
        number = str(int(value)) if value.is_integer() and abs(value) <= 1e15 else repr(value)
        return f"{number} {self.si_unit}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Parse strings on the way in and write them on the way out."""
        return core_schema.no_info_before_validator_function(
            self._validate,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._serialise, when_used="always"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell editors that a quantity is a string, and show its forms."""
        del schema, handler
        pattern = f"^{_QUANTITY.pattern}$".replace("?P<number>", "").replace("?P<unit>", "")
        return {
            "type": "string",
            "pattern": pattern,
            "description": f"A {self.what} with its unit.",
            "examples": list(self.examples),
        }

    def _validate(self, value: object) -> float:
        try:
            return parse_quantity(value, self)
        except ValueError as error:
            raise PydanticCustomError(
                "quantity", "{rule}", {"rule": str(error), "remedy": self.remedy}
            ) from None

    def _serialise(self, value: float | None) -> str | None:
        return None if value is None else self.show(value)


def parse_quantity(value: object, kind: QuantityKind) -> float:
    """Convert a string with a unit to the SI float of its kind.

    Parameters
    ----------
    value
        What the user wrote, such as ``"20 Mbit/s"``.
    kind
        What it must be.

    Returns
    -------
    float
        The value in ``kind.si_unit``.

    Raises
    ------
    ValueError
        If the value is not a string with a known unit of this kind, or not finite, or negative,
        or zero or too small where the kind forbids it. The message is the broken rule.
    """
    rule = f"must be a {kind.what} with its unit"
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(rule)
    try:
        unit = _unit(match["unit"])
        magnitude = _REGISTRY.Quantity(float(match["number"]), unit).m_as(_unit(kind.si_unit))
    except (pint.PintError, ValueError):
        raise ValueError(rule) from None
    if not math.isfinite(magnitude):
        raise ValueError(f"{rule}, and finite")
    if magnitude < 0 or (magnitude == 0 and not kind.zero):
        raise ValueError(f"{rule}, and {'at least' if kind.zero else 'above'} zero")
    if magnitude < kind.smallest:
        raise ValueError(f"{rule}, and at least {kind.show(kind.smallest)}")
    if magnitude > kind.largest:
        raise ValueError(f"{rule}, and at most {kind.show(kind.largest)}")
    return float(magnitude)


def parse_in_unit(text: str, unit: str) -> float:
    """Convert a number, or a number with its unit, to a number in a unit.

    Parameters
    ----------
    text
        Such as ``"150 ms"`` or ``"95 %"``; a bare number is in the unit already.
    unit
        Such as ``s``, ``B``, ``1/s``, or empty for a share or count.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ValueError
        If the text is no finite number, or its unit measures something else.

    >>> parse_in_unit("150 ms", "s"), parse_in_unit("95 %", ""), parse_in_unit("2", "h")
    (0.15, 0.95, 2.0)
    """
    rule = f"must be a finite number, with a unit or in {unit}" if unit else "must be a number"
    share = text.strip().removesuffix("%")
    match = _QUANTITY.fullmatch(share)
    percent = share != text.strip()
    if match is None or (match["unit"] and (percent or not unit)) or (percent and unit):
        raise ValueError(rule)
    if percent:
        # Not a product with 0.01, which is none of the numbers that are written so.
        number = float(match["number"]) / 100.0
    elif match["unit"]:
        try:
            quantity = _REGISTRY.Quantity(float(match["number"]), _unit(match["unit"]))
            number = float(quantity.m_as(_unit(unit.removeprefix("1"))))
        except pint.PintError:
            raise ValueError(rule) from None
    else:
        number = float(match["number"])
    if not math.isfinite(number):
        raise ValueError(rule)
    return number


def leading_number(value: object) -> float:
    """Give what a number, or a quantity in the base units of what it measures, is ordered by.

    Parameters
    ----------
    value
        A number, or a text such as ``"2 Mbit/s"``.

    Returns
    -------
    float
        The number; NaN for what is neither.

    >>> leading_number("0.5 Mbit/s") < leading_number("900 kbit/s") < leading_number("1 MB/s")
    True
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or not match["unit"]:
        return math.nan
    try:
        quantity = _REGISTRY.Quantity(float(match["number"]), _unit(match["unit"]))
    except pint.PintError:
        return math.nan
    return float(quantity.to_base_units().magnitude)


def readable(text: str) -> str:
    """Write a quantity in an SI unit with the prefix that people would give it.

    Parameters
    ----------
    text
        What `QuantityKind.show` wrote, such as ``"80000 bit/s"``.

    Returns
    -------
    str
        The same quantity exactly, from 1 to below 1000 of its unit where there is such a prefix;
        any other text as it is.

    >>> readable("80000 bit/s"), readable("0.15 s"), readable("90 s"), readable("5 /s")
    ('80 kbit/s', '150 ms', '90 s', '5 /s')
    """
    match = _QUANTITY.fullmatch(text)
    prefixes = _PREFIXES.get(match["unit"]) if match else None
    if match is None or prefixes is None:
        return text
    number = Decimal(match["number"])
    # Zero has no order of magnitude; beyond the prefixes the nearest one is taken.
    power = number.adjusted() // 3 * 3 if number else 0
    power = min(max(power, min(prefixes)), max(prefixes))
    return f"{number.scaleb(-power).normalize():f} {prefixes[power]}{match['unit']}"


def spaced_quantities(start: str, stop: str, steps: int, *, log: bool) -> list[str]:
    """Write evenly spaced quantities, both ends included, in the unit of the first.

    Parameters
    ----------
    start, stop
        The ends, such as ``"1 Mbit/s"`` and ``"50 Mbit/s"``.
    steps
        How many quantities.
    log
        Whether ratios, rather than differences, are equal.

    Returns
    -------
    list of str
        Quantities that `parse_quantity` reads.

    Raises
    ------
    ValueError
        If an end is no quantity, their dimensions differ, or a logarithmic end is not positive.
    """
    matches = [_QUANTITY.fullmatch(text) for text in (start, stop)]
    if matches[0] is None or matches[1] is None or not matches[0]["unit"]:
        raise ValueError("must go from one number or quantity to another")
    unit = matches[0]["unit"].strip()
    try:
        ends = [
            float(_REGISTRY.Quantity(float(m["number"]), _unit(m["unit"])).m_as(_unit(unit)))
            for m in matches
            if m is not None
        ]
    except (pint.PintError, ValueError):
        raise ValueError("must go from one quantity to another of the same kind") from None
    return [f"{value!r} {unit}" for value in spaced(ends[0], ends[1], steps, log=log)]


def spaced(start: float, stop: float, steps: int, *, log: bool) -> list[float]:
    """Give evenly spaced numbers, both ends as they are, the others to 12 significant digits.

    Parameters
    ----------
    start, stop
        The ends.
    steps
        How many numbers.
    log
        Whether ratios, rather than differences, are equal.

    Returns
    -------
    list of float
        The numbers; rounding makes them print as they were meant (0.3, not 0.30000000000000004).

    Raises
    ------
    ValueError
        If an end is not finite, or a logarithmic one not positive.
    """
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise ValueError("must have finite ends")
    if log and min(start, stop) <= 0:
        raise ValueError("must have ends above zero on a log scale")
    shares = [index / (steps - 1) for index in range(steps)]
    if log:
        values = [start * (stop / start) ** share for share in shares]
    else:
        values = [start * (1 - share) + stop * share for share in shares]
    inner = [float(f"{value:.12g}") for value in values[1:-1]]
    return [float(start), *inner, float(stop)]


def _unit(text: str) -> Any:
    numerator, _, denominator = text.partition("/")
    over = _REGISTRY.Unit(denominator.strip())
    return _REGISTRY.Unit(numerator.strip()) / over


def _registry() -> pint.UnitRegistry[Any]:
    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(None)
    for line in _DEFINITIONS.strip().splitlines():
        registry.define(line)
    return registry


_REGISTRY: Final = _registry()

Seconds = Annotated[
    float, QuantityKind("duration", "s", ("20 ms", "1.5 s"), zero=True, largest=1e6)
]
PositiveSeconds = Annotated[float, QuantityKind("duration", "s", ("20 ms", "1 min"), largest=1e6)]
BitRatePerSecond = Annotated[
    float,
    QuantityKind(
        "bit rate", "bit/s", ("10 Mbit/s", "2.5 MB/s", "500 kbit/s"), smallest=1.0, largest=1e15
    ),
]
BitRatePerSecondOrZero = Annotated[
    float,
    QuantityKind("bit rate", "bit/s", ("10 Mbit/s", "0 bit/s"), zero=True, largest=1e15),
]
Bytes = Annotated[
    float, QuantityKind("count of bytes", "B", ("64 kB", "1500 B"), zero=True, largest=1e15)
]
PositiveBytes = Annotated[
    float, QuantityKind("count of bytes", "B", ("64 kB", "1500 B"), smallest=1.0, largest=1e15)
]
EnergyJoules = Annotated[
    float, QuantityKind("quantity of energy", "J", ("10 Wh", "36 kJ"), smallest=1e-3, largest=1e12)
]
EventRatePerSecond = Annotated[
    float, QuantityKind("rate of events", "/s", ("12 /s", "30 Hz"), largest=1e9)
]
