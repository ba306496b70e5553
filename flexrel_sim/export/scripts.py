"""The scripts beside the exported halves: numpy, a runtime and the codec's library are enough."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Final

from flexrel_sim.codec import AnyCodec
from flexrel_sim.export.code import NOTHING, Code
from flexrel_sim.export.decoding import decode_function
from flexrel_sim.export.encoding import encode_function
from flexrel_sim.partition import EDGE, SERVER
from flexrel_sim.version import __version__

__all__ = ["Script", "head_script", "tail_script"]


@dataclass(frozen=True)
class Script:
    """A script.

    Parameters
    ----------
    text
        All of it.
    packages
        What has to be installed for it.
    """

    text: str
    packages: tuple[str, ...]


def head_script(network: str, cut: str, codecs: tuple[AnyCodec, ...], shape: list[int]) -> Script:
    """Write ``run_head.py``.

    Parameters
    ----------
    network, cut
        Their names.
    codecs
        What encodes each tensor that crosses; all alike but for their channels, none at ``edge``.
    shape
        Shape of an image.

    Returns
    -------
    Script
        From images to payloads, or at ``edge`` to answers.
    """
    known = {"network": network, "cut": cut, "shape": ", ".join(map(str, shape))}
    if cut == EDGE:
        return _script(_EDGE, NOTHING, {"numpy", "onnxruntime"}, known)
    known["codec"] = codecs[0].name
    if cut == SERVER:
        return _script(_INPUT, encode_function(codecs[0]), {"json", "numpy"}, known)
    return _script(_HEAD, encode_function(codecs[0]), {"json", "numpy", "onnxruntime"}, known)


def tail_script(network: str, cut: str, codecs: tuple[AnyCodec, ...]) -> Script:
    """Write ``run_tail.py``, for any cut but ``edge``; as `head_script`."""
    half = f"all of {network}" if cut == SERVER else f"the tail of {network}, after {cut},"
    known = {"half": half, "codec": codecs[0].name}
    return _script(_TAIL, decode_function(codecs[0]), {"json", "numpy", "onnxruntime"}, known)


def _script(text: str, codec: Code, modules: set[str], known: dict[str, str]) -> Script:
    used = codec + Code("", frozenset(modules | {"sys"}))
    packages = ("pillow" if name == "PIL" else name.split(".")[0] for name in used.libraries)
    values = known | {
        "imports": used.imports,
        "code": codec.text,
        "packages": ", ".join(sorted(packages)),
        "version": __version__,
    }
    return Script(Template(text).substitute(values), tuple(values["packages"].split(", ")))


_MAIN: Final = """

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
"""

_EDGE: Final = (
    '''\
"""Run all of $network on images.

python run_head.py IMAGES.npy ANSWERS.npy

IMAGES.npy holds float32 images (samples, $shape) in 0..1. ANSWERS.npy gets a row of
logits for each.
Needs $packages. Written by flexrel_sim $version.
"""

$imports

HERE = Path(__file__).parent


def main(images, answers):
    """Write the answers to all images."""
    file, kinds = HERE / "head.onnx", ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file, providers=kinds)
    logits = [session.run(None, {"image": image[None]})[0][0] for image in np.load(images)]
    np.save(answers, np.stack(logits))
'''
    + _MAIN
)

_ABOUT_PAYLOADS: Final = '''

python run_head.py IMAGES.npy FOLDER

IMAGES.npy holds float32 images (samples, $shape) in 0..1. FOLDER, which is made,
gets a file NUMBER-TENSOR.bin for each tensor of each image, whose bytes are what is sent.
Needs $packages. Written by flexrel_sim $version.
"""

$imports

HERE = Path(__file__).parent


$code


def main(images, folder):
    """Write the payloads of all images."""
    tensors = json.loads((HERE / "codec.json").read_text())["tensors"]
    if Path(folder).exists():
        sys.exit(f"{folder}: is there already; name a new folder")
    Path(folder).mkdir(parents=True)
'''

_SEND: Final = """\
        for place, (tensor, about) in enumerate(zip(boundary, tensors)):
            file = Path(folder, f"{number:09}-{place}.bin")
            file.write_bytes(encode(tensor[0], about))
"""

_INPUT: Final = (
    '"""Encode images as $codec.'
    + _ABOUT_PAYLOADS
    + """\
    for number, image in enumerate(np.load(images)):
        boundary = [image[None]]
"""
    + _SEND
    + _MAIN
)

_HEAD: Final = (
    '"""Run the head of $network, up to $cut, and encode what crosses as $codec.'
    + _ABOUT_PAYLOADS
    + """\
    file, kinds = HERE / "head.onnx", ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file, providers=kinds)
    for number, image in enumerate(np.load(images)):
        boundary = session.run(None, {"image": image[None]})
"""
    + _SEND
    + _MAIN
)

_TAIL: Final = (
    '''\
"""Decode payloads of $codec, and run $half on them.

python run_tail.py FOLDER ANSWERS.npy

FOLDER holds what run_head.py wrote. ANSWERS.npy gets a row of logits for each image, in the order
of their numbers.
Needs $packages. Written by flexrel_sim $version.
"""

$imports

HERE = Path(__file__).parent


$code


def main(folder, answers):
    """Write the answers to all payloads."""
    tensors = json.loads((HERE / "codec.json").read_text())["tensors"]
    file, kinds = HERE / "tail.onnx", ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file, providers=kinds)
    logits = []
    for first in sorted(Path(folder).glob("*-0.bin")):
        received = {}
        for place, about in enumerate(tensors):
            payload = first.with_name(first.name.replace("-0", f"-{place}")).read_bytes()
            received[about["name"]] = decode(payload, about)[None]
        logits.append(session.run(None, received)[0][0])
    np.save(answers, np.stack(logits))
'''
    + _MAIN
)
