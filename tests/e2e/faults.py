# SPDX-License-Identifier: Apache-2.0
"""The test's side of shim.c: which calls of one program fail, and where its wall clock stands."""
import errno
import mmap
import os
import struct

SHIM = os.path.abspath(os.environ.get("GUARDIAN_SHIM") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/tests/e2e/libshim.so"))
WRITE, SYNC, OPEN, MMAP, ALLOC, REALLOC, BEGIN = 1, 2, 4, 8, 16, 32, 64
FAULT = struct.Struct("<IiIIII104s")
SIZE = 8 + 8 * FAULT.size


class Faults:
    def __init__(self, path, program):
        """Makes the page at path; program is the name that the kernel knows the faulty program by."""
        with open(path, "wb") as f:
            f.write(bytes(SIZE))
        os.chmod(path, 0o666)
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), SIZE)
        self.env = {"LD_PRELOAD": SHIM, "FAULTS": path, "FAULTS_PROGRAM": program}
        if "ASAN_OPTIONS" in os.environ:  # else it does not start behind another library
            self.env["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"

    def drop_in(self):
        """Text of a drop-in that puts the shim under a unit: a core chunk's environment has nothing of ours."""
        return "[Service]\nEnvironment=%s\n" % " ".join("%s=%s" % i for i in self.env.items())

    def fail(self, calls, error, path="", after=0, every=1, slot=0):
        self.clear(slot)
        raw = FAULT.pack(calls, 0, after, every, 0, 0, path.encode())
        at = 8 + slot * FAULT.size
        self.page[at:at + FAULT.size] = raw
        self.page[at + 4:at + 8] = struct.pack("<i", error)  # last: it switches it on

    def clear(self, slot=None):
        for i in range(8) if slot is None else [slot]:
            at = 8 + i * FAULT.size
            self.page[at + 4:at + 8] = bytes(4)

    def hits(self, slot=0):
        return FAULT.unpack_from(self.page, 8 + slot * FAULT.size)[5]

    def wall(self, seconds):
        self.page[0:8] = struct.pack("<q", int(seconds * 1e9))


def name(error):
    return errno.errorcode[error]
