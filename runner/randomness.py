"""What forks of one nest must not have in common: the state of generators that programs draw from unseeded."""

import os
import random
import struct
import sys


def share_out(native):
    """Has every session given a state of its own; returns what each must call for that itself, as it could not be done.

    The native module writes new states straight into memory, which costs a session next to nothing.
    """
    rest = []
    _, (*state, index), _ = random.getstate()
    generator = random._inst
    if not native.keep_twister(id(generator), type(generator).__basicsize__, pack(state), index):
        rest.append(generator.seed)
    if "numpy.random" in sys.modules:
        seed = sys.modules["numpy.random"].seed
        # Without half of a pair of normal numbers left over.
        seed()
        if not keep_numpy(native):
            rest.append(seed)
    if "ssl" in sys.modules:
        # OpenSSL tells a fork by the process id, which is 1 in nest and session alike.
        rest.append(stir_openssl)
    if "multiprocessing.process" in sys.modules:
        rest.append(renew_authentication_key)
    return rest


def keep_numpy(native):
    """The same for the generator behind numpy's functions; False where this numpy has another."""
    try:
        generator = sys.modules["numpy.random"].mtrand._rand._bit_generator
        state = generator.state["state"]
        # struct mt19937_state of numpy/random/src/mt19937: the words, then an int.
        size = 624 * 4 + 4
        return native.keep_twister(generator.ctypes.state_address, size, pack(state["key"]), state["pos"])
    except Exception:
        return False


def pack(words):
    return struct.pack(f"{len(words)}I", *map(int, words))


def stir_openssl():
    sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)


def renew_authentication_key():
    """What the processes of one program know each other by."""
    sys.modules["multiprocessing.process"].current_process().authkey = os.urandom(32)
