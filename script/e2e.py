#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""e2e.py NAME LOG FOLDER: runs the e2e tests that stand in FOLDER, as many at a time as there are processors, against GUARDIAN_STAGE, and
writes one entry for each to LOG as meson's test log has them. It needs no build folder and no source tree. Status 1 if one failed.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

LIMIT_S = 300


def run(path):
    begin = time.monotonic()
    p = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                         start_new_session=True)
    try:
        out, err = p.communicate(timeout=LIMIT_S)
        result = "OK" if p.returncode == 0 else "FAIL"
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        out, err = p.communicate()
        result = "TIMEOUT"
    return {"name": path.stem, "result": result, "returncode": p.returncode, "stdout": out, "stderr": err,
            "duration": time.monotonic() - begin}


def main(name, log, folder):
    bad = 0
    with open(log, "w") as f, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for test in pool.map(run, sorted(pathlib.Path(folder).glob("test_*.py"))):
            test["name"] = name + " " + test["name"]
            print("%-32s %-8s %6.2fs" % (test["name"], test["result"], test["duration"]), flush=True)
            f.write(json.dumps(test) + "\n")
            bad += test["result"] != "OK"
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
