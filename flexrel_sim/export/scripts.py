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
    known["tuple"] = f"{known['shape']},"
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
    used = codec + Code("", frozenset(modules | {"hashlib", "sys"}))
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
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"{Path(__file__).name}: {error}")
"""

_CHECKED: Final = '''


def checked(name):
    """Give the content of a file beside this script, if it is the one that was exported."""
    try:
        sums = (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        content = (HERE / name).read_bytes()
    except (OSError, ValueError) as error:
        sys.exit(f"{HERE}: must hold {name} and SHA256SUMS ({error}); copy them from the export")
    if f"{hashlib.sha256(content).hexdigest()}  {name}" not in sums:
        sys.exit(f"{HERE / name}: is not the file in SHA256SUMS; copy it from the export again")
    return content
'''

_LOAD: Final = '''


def load(file):
    """Give the images of a file, or say what is wrong with it."""
    try:
        images = np.load(file if Path(file).is_file() else "")
    except (OSError, ValueError, EOFError):
        sys.exit(f"{file}: can't be read; write images with numpy.save")
    got, shape = getattr(images, "dtype", "no array"), getattr(images, "shape", ())
    if got != np.float32 or shape[:1] in ((), (0,)) or shape[1:] != ($tuple):
        sys.exit(f"{file}: must be float32 of (samples, $shape), got {got} of {shape}")
    if not (images.min() >= 0 and images.max() <= 1):
        sys.exit(f"{file}: must be finite and in 0..1; divide bytes by 255")
    return images
'''

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
'''
    + _CHECKED
    + _LOAD
    + '''

def main(images, answers):
    """Write the answers to all images."""
    images = load(images)
    kinds = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(checked("head.onnx"), providers=kinds)
    logits = [session.run(None, {"image": image[None]})[0][0] for image in images]
    with open(answers, "wb") as file:
        np.save(file, np.stack(logits))
'''
    + _MAIN
)

_ABOUT_PAYLOADS: Final = (
    '''

python run_head.py IMAGES.npy FOLDER

IMAGES.npy holds float32 images (samples, $shape) in 0..1. FOLDER, which is made,
gets a file NUMBER-TENSOR.bin for each tensor of each image, whose bytes are what is sent.
Needs $packages. Written by flexrel_sim $version.
"""

$imports

HERE = Path(__file__).parent


$code
'''
    + _CHECKED
    + _LOAD
    + '''

def main(images, folder):
    """Write the payloads of all images."""
    images = load(images)
    tensors = json.loads(checked("codec.json"))["tensors"]
    if Path(folder).exists():
        sys.exit(f"{folder}: is there already; name a new folder")
'''
)

_SEND: Final = """\
        for place, (tensor, about) in enumerate(zip(boundary, tensors)):
            file = Path(folder, f"{number:09}-{place}.bin")
            file.write_bytes(encode(tensor[0], about))
"""

_INPUT: Final = (
    '"""Encode images as $codec.'
    + _ABOUT_PAYLOADS
    + """\
    Path(folder).mkdir(parents=True)
    for number, image in enumerate(images):
        boundary = [image[None]]
"""
    + _SEND
    + _MAIN
)

_HEAD: Final = (
    '"""Run the head of $network, up to $cut, and encode what crosses as $codec.'
    + _ABOUT_PAYLOADS
    + """\
    kinds = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(checked("head.onnx"), providers=kinds)
    Path(folder).mkdir(parents=True)
    for number, image in enumerate(images):
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
'''
    + _CHECKED
    + '''

def main(folder, answers):
    """Write the answers to all payloads."""
    tensors = json.loads(checked("codec.json"))["tensors"]
    kinds = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(checked("tail.onnx"), providers=kinds)
    numbers = sorted({int(file.name[:9]) for file in Path(folder).glob("?????????-*.bin")})
    if not numbers or numbers != list(range(len(numbers))):
        sys.exit(f"{folder}: must hold payloads of run_head.py, and of every image from 0 on")
    logits = []
    for number in numbers:
        received = {}
        for place, about in enumerate(tensors):
            file = Path(folder, f"{number:09}-{place}.bin")
            try:
                demand(file.is_file(), "is missing, or no file")
                received[about["name"]] = decode(file.read_bytes(), about)[None]
            except Exception as error:
                sys.exit(f"{file}: {error}")
        logits.append(session.run(None, received)[0][0])
    with open(answers, "wb") as file:
        np.save(file, np.stack(logits))
'''
    + _MAIN
)
