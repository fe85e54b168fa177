#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""crashy.py [MAX_SECONDS [SEED]]: lives for a while, then ends badly. With a seed every start has the same fate."""
import os
import random
import signal
import sys
import time


def main():
    longest = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    life = dice.uniform(0.1, longest)
    print("up, for %.1f s" % life)
    time.sleep(life)
    if dice.random() < 0.3:
        print("aborting")
        os.kill(os.getpid(), signal.SIGABRT)
    status = dice.randint(1, 3)
    print("ending with status %d" % status)
    sys.exit(status)


if __name__ == "__main__":
    main()
