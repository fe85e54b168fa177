#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report.py TESTLOG..: adds up meson's test logs, prints the end of each failed test's output, the names of what was skipped and, last,
"N passed, N failed, N skipped". Status 1 if anything failed, if a log is missing or if nothing was run.

A test counts as what it reports itself: the lines of TAP, the closing words of Python's unittest; any other program is one test.
"""
import json
import re
import sys

TAIL = 40  # lines of a failed test's output
TAP = re.compile(r"^(not )?ok\b([^#\n]*)(#\s*(skip|todo)\b.*)?", re.I | re.M)
RAN = re.compile(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)(?: \((.*)\))?$", re.M)
BAD = ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS")


def of_tap(text):
    passed = failed = skipped = 0
    for line in TAP.finditer(text):
        kind = (line.group(4) or "").lower()
        if kind == "skip":
            skipped += 1
        elif line.group(1) and kind != "todo":
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped


def of_unittest(text):
    ran = failed = skipped = 0
    for match in RAN.finditer(text):
        words = dict(re.findall(r"([a-z ]+)=(\d+)", match.group(3) or ""))
        counts = {k.strip(): int(v) for k, v in words.items()}
        ran += int(match.group(1))
        failed += counts.get("failures", 0) + counts.get("errors", 0) + counts.get("unexpected successes", 0)
        skipped += counts.get("skipped", 0)
    return max(ran - failed - skipped, 0), failed, skipped


def count(test):
    """(passed, failed, skipped) of one entry of the log."""
    out, err = test.get("stdout") or "", test.get("stderr") or ""
    got = of_tap(out)
    if not any(got):
        got = of_unittest(out + "\n" + err)
    passed, failed, skipped = got
    result = test["result"]
    if result in BAD:
        failed = max(failed, 1)  # it ended badly, whatever it had counted until then
    elif not any(got):
        passed, failed, skipped = (0, 0, 1) if result == "SKIP" else (1, 0, 0)
    return passed, failed, skipped


def tail(test):
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    return "\n".join("    " + line for line in text.splitlines()[-TAIL:])


def main(logs):
    total = [0, 0, 0]
    problems = 0
    for log in logs:
        tests = []
        try:
            with open(log) as f:
                tests = [json.loads(line) for line in f]
        except (OSError, ValueError) as e:
            print("no results: %s" % e)
        problems += not tests
        for test in tests:
            counts = count(test)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                print("\nFAILED %s (%s, status %s)\n%s" % (test["name"], test["result"], test["returncode"], tail(test)))
            if counts[2]:
                print("skipped in %s: %d" % (test["name"], counts[2]))
    print("%d passed, %d failed, %d skipped" % (total[0], total[1] + problems, total[2]))
    return 1 if total[1] or problems else 0


sys.exit(main(sys.argv[1:]))
