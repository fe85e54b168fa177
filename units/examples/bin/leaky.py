#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leaky.py [MIB_PER_SECOND [LIMIT_MIB]]: keeps everything it ever took, then stays at the limit."""
import sys
import time

MIB = 1 << 20


def main():
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    kept = []
    begin = time.monotonic()
    print("leaking %g MiB/s up to %d MiB" % (rate, limit))
    while len(kept) < limit:
        # Not zeroes: the kernel would share one page for all of them, and nothing would grow.
        kept.append(b"\x55" * MIB)
        if len(kept) % 32 == 0:
            print("holding %d MiB" % len(kept))
        time.sleep(max(0.0, begin + len(kept) / rate - time.monotonic()))
    print("full at %d MiB" % limit)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
