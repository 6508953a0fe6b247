"""Files of Python's safetensors package, through ckptool convert and back.

Run by safetensors_python_test.sh: safetensors_python_test.py CKPTOOL DIRECTORY
"""

import json
import pathlib
import struct
import subprocess
import sys

import numpy as np
import safetensors
from safetensors import numpy as st_numpy

CKPTOOL, WORK = sys.argv[1], pathlib.Path(sys.argv[2])


def ckptool(*arguments):
    return subprocess.run([CKPTOOL, *map(str, arguments)], capture_output=True, text=True)


def convert(source, target):
    done = ckptool("convert", source, target)
    assert done.returncode == 0, f"convert {source} {target}: {done.returncode}\n{done.stderr}"


def there_and_back(name):
    """DIRECTORY/name.safetensors -> .ckp -> the path of a second .safetensors."""
    pack, back = WORK / f"{name}.ckp", WORK / f"{name}.back.safetensors"
    convert(WORK / f"{name}.safetensors", pack)
    convert(pack, back)
    return back


def contents(path):
    """{name: (dtype, shape, bytes)} as the package itself reads it, for any dtype."""
    tensors = safetensors.deserialize(path.read_bytes())
    return {k: (v["dtype"], list(v["shape"]), bytes(v["data"])) for k, v in tensors}


def numpy_tensors():
    random = np.random.default_rng(20261123)
    dtypes = ["bool", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
    tensors = {}
    for dtype in dtypes:
        data = random.integers(0, 2 if dtype == "bool" else 120, size=(3, 4, 5)).astype(dtype)
        tensors[f"block.0/{dtype}"] = data
        tensors[f"scalar.{dtype}"] = np.array(data[0, 0, 0])
        tensors[f"empty.{dtype}"] = data[:0]
    tensors["large"] = random.normal(0, 0.02, size=(700, 1000)).astype("f4")
    tensors["special"] = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    tensors["имя"] = np.arange(7)
    return tensors


def test_numpy_file():
    """What the package wrote comes back byte for byte: same layout, same header."""
    # One key: the package writes several in a random order.
    tensors, metadata = numpy_tensors(), {"note": 'quotes " and \n ü'}
    written = WORK / "numpy.safetensors"
    st_numpy.save_file(tensors, written, metadata)
    back = there_and_back("numpy")
    loaded = st_numpy.load_file(back)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape, name
        assert loaded[name].tobytes() == tensor.tobytes(), name
    with safetensors.safe_open(back, framework="np") as opened:
        assert opened.metadata() == metadata
    assert back.read_bytes() == written.read_bytes(), "the files differ"


def test_without_metadata():
    written = WORK / "bare.safetensors"
    st_numpy.save_file({"w": np.arange(3)}, written)
    assert there_and_back("bare").read_bytes() == written.read_bytes()


def test_dtypes_that_numpy_lacks():
    """In the order of their names, not of their alignment, as older writers did."""
    header, data = {}, b""
    for dtype, size in [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("F32", 4), ("C64", 8)]:
        payload = bytes(range(6 * size))
        offsets = [len(data), len(data) + len(payload)]
        header[f"t.{dtype}"] = {"dtype": dtype, "shape": [2, 3], "data_offsets": offsets}
        data += payload
    text = json.dumps(header).encode()
    written = WORK / "others.safetensors"
    written.write_bytes(struct.pack("<Q", len(text)) + text + data)
    try:
        expected = contents(written)
    except Exception as error:  # an older package does not know C64
        print(f"not checked: {error}")
        return
    assert contents(there_and_back("others")) == expected


def test_truncated_file():
    st_numpy.save_file({"w": np.arange(300)}, WORK / "whole.safetensors")
    (WORK / "cut.safetensors").write_bytes((WORK / "whole.safetensors").read_bytes()[:-1])
    done = ckptool("convert", WORK / "cut.safetensors", WORK / "cut.ckp")
    assert done.returncode == 4 and "reach beyond the file" in done.stderr, done
    assert not (WORK / "cut.ckp").exists()


def test_advice_is_python():
    """The lines that ckptool prints for a .pt file compile."""
    (WORK / "model.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    done = ckptool("convert", WORK / "model.pt", WORK / "model.ckp")
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith("import torch"))
    last = next(i for i, line in enumerate(lines) if "save_file(" in line)
    compile("\n".join(line.strip() for line in lines[first : last + 1]), "advice", "exec")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"passed: {name[5:]}")
