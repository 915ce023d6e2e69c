"""plugin_jax.py PLUGIN: JAX, a client that no one here wrote, loads
libpflash_sim.so, lists its devices, puts arrays on them and gets them back, and
is told why it cannot compile. Exit code 77 if jax (fetched.py) cannot be had.
"""
import subprocess
import sys

import fetched

CLIENT = """
import sys
import jax
import numpy as np
from jax._src import xla_bridge

xla_bridge.register_plugin("sim", library_path=sys.argv[1])
jax.config.update("jax_platforms", "sim")
devices = jax.devices()
assert [d.id for d in devices] == [0, 1, 2, 3], devices
assert {d.device_kind for d in devices} == {"TPU v5 lite (simulated)"}
assert [tuple(d.coords) for d in devices] == [
    (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
assert devices[0].memory_stats()["bytes_limit"] == 16909334528
for number, device in enumerate(devices):
    for dtype in ["float32", "bfloat16", "float16", "int8", "int32"]:
        given = (np.arange(3 * 5 * 7).reshape(3, 5, 7) % 100 + number).astype(
            jax.numpy.dtype(dtype))
        for view in [given, given.transpose(2, 0, 1), given[:, ::2, :]]:
            array = jax.device_put(view, device)
            assert array.devices() == {device}
            assert (np.asarray(array) == view).all(), (dtype, view.strides)
assert devices[3].memory_stats()["peak_bytes_in_use"] > 0
try:
    jax.jit(lambda x: x + 1)(jax.device_put(np.float32(1), devices[0]))
except jax.errors.JaxRuntimeError as error:
    assert "UNIMPLEMENTED" in str(error), error
else:
    raise AssertionError("the simulator compiled what it does not know")
print(f"jax {jax.__version__}: 4 devices, arrays there and back")
"""


def main():
    python = fetched.or_skip(fetched.jax_python)
    return subprocess.run([python, "-W", "ignore", "-c", CLIENT,
                           sys.argv[1]]).returncode


sys.exit(main())
