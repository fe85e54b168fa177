#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""guardian-compile: the shipped roles, a file that is wrong, and the limits under which it parses."""
import fcntl
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import tap  # noqa: E402

COMPILE, POLICIES, SANITIZERS = sys.argv[1:4]


def roles(*dirs):
    return subprocess.run([COMPILE, "roles", *dirs], capture_output=True, timeout=60)


def test_shipped_roles():
    r = roles(POLICIES)
    assert (r.returncode, r.stderr) == (0, b""), r
    assert len(r.stdout) > 0 and r.stdout == roles(POLICIES).stdout, r


def test_a_wrong_file_gives_nothing():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "roles.yaml"), "w") as f:
            f.write("roles:\n  7\n")
        r = roles(POLICIES, folder)
        assert (r.returncode, r.stdout) == (65, b"") and b"roles.yaml:" in r.stderr, r


def limits(pid):
    with open("/proc/%d/limits" % pid) as f:
        return dict(re.findall(r"^Max (.+?)  +(\S+) ", f.read(), re.M))


def test_limits():
    """Looked at while it waits for a reader: the pipe is full before it begins."""
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    os.write(w, bytes(4096))
    with subprocess.Popen([COMPILE, "--out-fd", str(w), "roles", POLICIES], pass_fds=[w]) as p:
        try:
            os.close(w)
            while limits(p.pid)["open files"] != "16":  # the last that it sets
                assert p.poll() is None, "it ended with %s" % p.returncode
            found = limits(p.pid)
            with open(r, "rb", closefd=False) as f:
                assert len(f.read()) > 4096
        finally:
            p.kill()
            os.close(r)
    want = {"cpu time": "5", "core file size": "0", "open files": "16"}
    if "address" not in SANITIZERS:
        want.update({"address space": str(256 << 20), "processes": "0"})
    assert {k: found[k] for k in want} == want, found


if __name__ == "__main__":
    tap.run(globals())
