from __future__ import annotations

import numpy as np
import pytest

from flexrel_sim.simulation.streams import STREAMS, Streams, generator


def test_a_stream_goes_on_where_it_was_left() -> None:
    streams = Streams(4, 2)
    drawn = np.concatenate([streams["jitter"].random(3), streams["jitter"].random(5)])
    assert np.array_equal(drawn, generator(4, 2, "jitter").random(8))


def test_a_stream_does_not_hang_on_which_others_were_asked_for_first() -> None:
    one, other = Streams(4, 2), Streams(4, 2)
    for name in reversed(STREAMS):
        one[name].random()
    for name in STREAMS:
        other[name].random()
    for name in STREAMS:
        assert one[name].random() == other[name].random()


def test_every_stream_is_another() -> None:
    assert len({Streams(0, 0)[name].random() for name in STREAMS}) == len(STREAMS)


def test_a_stream_that_nobody_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        Streams(0, 0)["weather"]
