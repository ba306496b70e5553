from itertools import pairwise

import pytest

from flexrel_sim.placement import BoundaryTensor, Cut, CutTable
from flexrel_sim.plots.cuts import cuts_along_depth


def cut(name, place, sizes, blocks=()):
    boundary = tuple(BoundaryTensor(str(size), (size,), "float32", 4 * size) for size in sizes)
    macs = (10 * place, 10 * (40 - place), place, 40 - place)
    return Cut(name, blocks, boundary, name != "edge", place, *macs)


@pytest.fixture
def table():
    inner = [
        cut(f"b{place}.conv", place, [100, place] if place % 2 else [place], (f"b{place}",))
        for place in range(1, 40)
    ]
    return CutTable((cut("server", 0, [50]), *inner, cut("edge", 40, [3])), ())


def test_every_cut_that_crosses_is_drawn_at_its_depth_with_its_bytes(table):
    above, _ = cuts_along_depth(table, "any").axes
    drawn = {
        (x, y)
        for line in above.get_lines()
        if line.get_marker() in ("o", "s")
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert drawn == {(cut.operations, cut.boundary_bytes) for cut in table.cuts[:-1]}


def test_the_share_of_macs_and_weights_goes_from_nothing_to_all(table):
    _, below = cuts_along_depth(table, "any").axes
    for line in below.get_lines():
        assert (line.get_ydata()[0], line.get_ydata()[-1]) == (0, 100)


def test_labels_keep_apart_and_both_ends_are_labelled(table):
    _, below = cuts_along_depth(table, "any").axes
    places = below.get_xticks()
    words = [label.get_text() for label in below.get_xticklabels()]
    assert (words[0], words[-1]) == ("server", "edge")
    assert all(after - before >= 40 / 30 for before, after in pairwise(places))
    assert set(words[1:-1]) <= {f"b{place}" for place in range(1, 40) if place % 2 == 0}
