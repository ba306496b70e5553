"""What tells two built networks apart: their operations, settings, code and numbers, as hashes."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from flexrel_sim.partition import trace
from flexrel_sim.threads import one_thread

__all__ = ["answers_sha256", "network_sha256"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size)

# What torch keeps in every module, and this module reads by its own names.
_KEPT_BY_TORCH = frozenset(vars(nn.Module()))

_PROBES = 4


def network_sha256(network: nn.Module) -> str:
    """Hash all of a network that can be read off it.

    Parameters
    ----------
    network
        In evaluation mode.

    Returns
    -------
    str
        Of its modules' types, their settings and the compiled code of their methods; of every
        parameter and buffer, to the bit; and of its traced operations. Comments and the names of
        files are not in it, and neither is what a method calls elsewhere, if tracing can't enter
        it: `answers_sha256` sees that.
    """
    digest = hashlib.sha256()
    for line in _lines(network):
        digest.update(line)
    return digest.hexdigest()


def answers_sha256(network: nn.Module, image_shape: Sequence[int]) -> str:
    """Hash the logits of a few images, the same ones every time.

    Parameters
    ----------
    network
        In evaluation mode.
    image_shape
        Channels, height, width.

    Returns
    -------
    str
        Of a black image, and of uniform noise; computed by one thread, so that it is the same
        wherever it is computed on one machine.
    """
    images = torch.rand(_PROBES, *image_shape, generator=torch.Generator().manual_seed(0))
    images[0] = 0
    with one_thread(), torch.inference_mode():
        return _sha256(_bytes(network(images)))


def _lines(network: nn.Module) -> Iterator[bytes]:
    for name, module in network.named_modules():
        yield repr((name, _name(type(module)), _settings(vars(module)))).encode()
        yield from _code_of(type(module))
    held = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, tensor in held.items():
        yield repr((name, str(tensor.dtype), tuple(tensor.shape))).encode()
        yield _bytes(tensor)
    graph = trace(network).module
    for node in graph.graph.nodes:
        target = node.target if isinstance(node.target, str) else _name(node.target)
        yield repr((node.name, node.op, target, _plain(node.args), _plain(node.kwargs))).encode()
        if node.op == "get_attr" and isinstance(constant := _at(graph, target), Tensor):
            yield _bytes(constant)


def _code_of(kind: type) -> Iterator[bytes]:
    """Give the compiled code of a user's module; torch's own is known by its version."""
    for base in kind.__mro__:
        if base.__module__.split(".")[0] in ("torch", "builtins"):
            continue
        for name, member in sorted(vars(base).items()):
            inner = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(inner, types.FunctionType):
                yield repr((name, _plain(inner.__defaults__), _compiled(inner.__code__))).encode()


def _compiled(code: types.CodeType) -> tuple[object, ...]:
    constants = tuple(
        _compiled(constant) if isinstance(constant, types.CodeType) else _plain(constant)
        for constant in code.co_consts
    )
    return (code.co_code, code.co_names, code.co_varnames, constants)


def _settings(held: Mapping[str, Any]) -> object:
    return _plain({name: value for name, value in held.items() if name not in _KEPT_BY_TORCH})


def _plain(value: Any) -> object:
    """Give what is the same in every process: no addresses in memory."""
    found: object
    match value:
        case _ if isinstance(value, _PLAIN):
            found = repr(value)
        case fx.Node():
            found = value.name
        case Tensor():
            found = (str(value.dtype), tuple(value.shape), _sha256(_bytes(value)))
        case np.ndarray():
            found = (str(value.dtype), value.shape, _sha256(value.tobytes()))
        case slice():
            found = ("slice", _plain((value.start, value.stop, value.step)))
        case Mapping():
            found = [(_plain(key), _plain(item)) for key, item in value.items()]
        case set() | frozenset():
            found = sorted(repr(_plain(item)) for item in value)
        case Sequence():
            found = [_plain(item) for item in value]
        case types.FunctionType():
            found = (_name(value), _compiled(value.__code__))
        case _:
            found = _name(value if hasattr(value, "__qualname__") else type(value))
    return found


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"


def _at(root: nn.Module, target: str) -> object:
    found: Any = root
    for name in target.split("."):
        found = getattr(found, name)
    return found


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
