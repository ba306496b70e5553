import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flexrel_sim.codec import ChannelCodec, Codec
from tests.codec.test_payload import codecs, tensors


@given(tensor=tensors(), inner=codecs, data=st.data())
def test_channels_that_are_sent_come_back_and_the_others_are_what_fills_them(
    tensor: NDArray[np.float32], inner: Codec, data: st.DataObject
) -> None:
    if tensor.ndim == 0:
        tensor = tensor[None]
    places = st.integers(0, max(0, len(tensor) - 1))
    sent = sorted(data.draw(st.sets(places, max_size=len(tensor)))) if len(tensor) else []
    fill = tuple(float(place) for place in range(len(tensor)))
    codec = ChannelCodec(inner, tuple(sent), fill)
    payload = codec.encode(tensor)
    assert payload == inner.encode(tensor[sent])
    decoded = codec.decode(payload, tensor.shape)
    assert np.array_equal(decoded[sent], inner.decode(payload, tensor[sent].shape))
    for place in set(range(len(tensor))) - set(sent):
        assert (decoded[place] == fill[place]).all()
    assert (np.abs(decoded.astype(np.float64) - tensor) <= codec.bound(tensor)).all()


def test_half_of_the_channels_are_half_of_the_number_bytes() -> None:
    inner = Codec("uint8")
    tensor = np.random.default_rng(0).random((8, 4, 4), dtype=np.float32)
    half = ChannelCodec(inner, (0, 2, 5, 7), (0.0,) * 8)
    overhead = inner.overhead_bytes(tensor.shape)
    assert 2 * (len(half.encode(tensor)) - overhead) == len(inner.encode(tensor)) - overhead
    assert half.name == "uint8+4-of-8-channels"


@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_a_tensor_of_other_channels_is_refused(shape: tuple[int, ...]) -> None:
    codec = ChannelCodec(Codec(), (0,), (0.0, 0.0))
    with pytest.raises(ValueError, match="must have 2 channels, got shape"):
        codec.encode(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="must have 2 channels, got shape"):
        codec.decode(b"", shape)
