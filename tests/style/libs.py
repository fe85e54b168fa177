#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What guardian links. usage: libs.py PROGRAM | libs.py --self-test PLANTED

PID 1 links libc, libuv, inih and libsodium and nothing else; a parser of YAML or JSON in it would be one more way to end the
machine. PLANTED is a program that does link one more.
"""
import re
import subprocess
import sys

# libc comes in parts: before glibc 2.34 libuv's own needs show up here, and ld.so is named on some architectures
ALLOWED = re.compile(r"^(libc|libuv|libinih|libsodium|libm|libpthread|libdl|librt|ld-linux[^.]*)\.so(\.\d+)*$")


def needed(program):
    out = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[([^\]]+)\]", out)


def main():
    planted = sys.argv[1] == "--self-test"
    libraries = needed(sys.argv[2] if planted else sys.argv[1])
    foreign = [x for x in libraries if not ALLOWED.match(x)]
    print(f"linked: {' '.join(libraries) or 'nothing (static)'}; not allowed: {' '.join(foreign) or 'none'}")
    if planted:
        return 0 if foreign and len(foreign) < len(libraries) else 1
    return 1 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())
