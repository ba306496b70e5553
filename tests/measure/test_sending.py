import numpy as np
import pytest
import torch

from flexrel_sim.codec import Codec
from flexrel_sim.measure.sending import send


def test_every_tensor_is_encoded_on_its_own_and_a_payload_is_their_sum() -> None:
    codec = Codec("uint8", "zstd")
    first = torch.rand(4, 2, 3, dtype=torch.float32)
    second = torch.zeros(4, 50, dtype=torch.float32)
    sent = send([codec, codec], [first, second])
    sizes = [
        len(codec.encode(a.numpy())) + len(codec.encode(b.numpy()))
        for a, b in zip(first, second, strict=True)
    ]
    assert sent.payload_bytes.tolist() == sizes
    assert sent.received is not None
    assert [array.shape for array in sent.received] == [first.shape, second.shape]
    expected = codec.decode(codec.encode(first[2].numpy()), (2, 3))
    assert np.array_equal(sent.received[0][2], expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_what_comes_back_bit_for_bit_is_told_and_nothing_else(dtype: str) -> None:
    codec = Codec(dtype)
    halves = torch.tensor([[0.5, -1.0, 0.25], [2.0, 0.25, 8.0]], dtype=torch.float32)
    thirds = halves / 3
    assert (send([codec], [halves]).received is None) == (dtype != "uint8")
    assert (send([codec], [thirds]).received is None) == (dtype == "float32")
    # One tensor that changes is enough.
    assert (send([codec, codec], [halves, thirds]).received is None) == (dtype == "float32")


def test_a_zero_that_loses_its_sign_is_not_the_same_bits() -> None:
    negative = torch.tensor([[-0.0, 0.0]], dtype=torch.float32)
    assert send([Codec("float32")], [negative]).received is None
    assert send([Codec("uint8")], [negative]).received is not None


def test_strided_tensors_are_sent_in_their_order() -> None:
    tensor = torch.rand(3, 4, 5, dtype=torch.float32).transpose(1, 2)
    sent = send([Codec("float16")], [tensor])
    assert sent.received is not None
    assert np.array_equal(sent.received[0], tensor.numpy().astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.float32)]
)
def test_what_is_not_one_float32_entry_per_sample_is_refused(tensor: torch.Tensor) -> None:
    boundary = [torch.zeros(2, 3, dtype=torch.float32), tensor]
    with pytest.raises(ValueError, match="must be float32 with one entry per sample"):
        send([Codec("float32")] * 2, boundary)
