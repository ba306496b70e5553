import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.codec import shipped_bytes


@pytest.mark.parametrize(
    ("weights", "nonzero", "expected"),
    [
        (0, 0, 0),
        (1, 0, 1),  # one byte of bitmap
        (1, 1, 4),  # dense
        (8, 0, 1),
        (9, 0, 2),
        (100, 100, 400),  # dense: a bitmap would add 13 bytes
        (100, 97, 400),  # 13 + 388 = 401 is more than dense
        (100, 96, 397),  # 13 + 384
        (100, 50, 213),  # 13 + 200
        (32, 31, 128),  # 4 + 124: a tie
    ],
)
def test_shipped_bytes_are_the_smaller_of_dense_and_bitmap_with_values(
    weights: int, nonzero: int, expected: int
) -> None:
    assert shipped_bytes(weights, nonzero) == expected


@given(weights=st.integers(0, 10**9), data=st.data())
def test_shipped_bytes_are_never_above_dense_nor_below_the_values(
    weights: int, data: st.DataObject
) -> None:
    nonzero = data.draw(st.integers(0, weights))
    assert 4 * nonzero <= shipped_bytes(weights, nonzero) <= 4 * weights
