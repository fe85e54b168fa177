#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the protocol of a governed action with spin. usage: run.py [--rule NAME] [--trail NAME]

The model (consent.pml) is searched to the end of its bounds and must be clean; then without one rule after the other, and each
time there must be a counterexample that breaks the invariant the rule is there for, and no other: the searches without a rule look
at that one alone. Each label is reached in one of the clean searches. --trail NAME prints the one of a rule, step by step. Writes TAP.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "consent.pml")
IMMUNE, DENIALS = ["IMMUNE=1"], ["DENIALS=1", "PAUSES=0"]
EVIL, ROLL, LFAIL = ["EVIL=1", "CR=1", "TM=0"], ["ROLL=1", "CR=1"], ["LFAIL=1", "CR=1", "TM=0"]
POLICY = ["POLICY=1", "CR=1", "TM=0", "PAUSES=0"]

CLEAN = [  # what is searched to its end: no invariant may break
    ("two requests, two kills, one timeout, a pause; immune's records", IMMUNE),
    ("two requests, two kills, one timeout; people who say no", DENIALS),
    ("a gate that forges", EVIL),
    ("a ledger that comes back shorter", ROLL),
    ("a ledger that fails", LFAIL),
    ("a policy that changes", POLICY),
]
BOUNDS = {"PR", "CR", "TM", "DEATHS", "IMMUNE", "DENIALS", "PAUSES", "EVIL", "ROLL", "LFAIL", "POLICY", "MAXL", "NOREC"}
RULES = {  # the rule, what its absence breaks, and where that shows
    "IDEM": ("an append is stored once by (writer, epoch, sequence)", "P8", []),
    "FENCE": ("a dead writer's pipe is read to its end before its successor folds the log", "P5", []),
    "RIGHTS": ("the ledger knows by the pipe who may write what", "P7", EVIL),
    "LCHK": ("the ledger refuses an intent that no decision licenses", "P1", EVIL),
    "DEDUP": ("a request that was decided gets the recorded decision", "P5", []),
    "REASK": ("a gate that restarted is asked once more with the same id", "P10", []),
    "REQID": ("digest and request id bind decision, verdict, approval and intent to one request", "P1", []),
    "CONS": ("an allow that carries an approval is its consumption", "P2", []),
    "VOTEDUR": ("a vote is durable before the gate hears of it", "P7", []),
    "ALLOW2": ("an answered approval is evaluated again, by a decision of its own", "P1", []),
    "TAKEUP": ("a gate that starts finds answered approvals itself", "ANSWERED_JUDGED", []),
    "LIST": ("Guardian registers again at its start what the gate lists", "OUTLIVES", []),
    "VOID": ("an approval is void when its incarnation ends", "NOT_STALE", []),
    "RESEND": ("what the ledger did not acknowledge is sent again when it is back", "P10", []),
    "INTENT": ("the intent is durable before the act", "P7", []),
    "INC": ("the last check compares the incarnation", "P3", []),
    "PAUSE": ("the last check looks at the pause", "P4", []),
    "USEBY": ("the last check looks at the use-by time", "P4", []),
    "TURN": ("the last check and the act are one turn of the loop", "P4", []),
    "CLOSE": ("an open intent is closed at Guardian's start", "P6", []),
    "UNKNOWN": ("an open intent is closed as unknown, never carried out again", "P2", []),
    "ROLLBACK": ("writers compare the highest index they hold with a ledger that is back", "P7", ROLL),
    "FAILEND": ("a gate whose ledger failed ends, and what it had reserved is void", "P9", LFAIL),
    "REVISION": ("another policy revision voids an approval", "SAME_POLICY", POLICY),
    "INCDUR": ("the incident is durable before immune proposes", "ON_RECORD", IMMUNE),
    "INCFOLD": ("immune takes up at its start the incident that is on record", "ONE_INCIDENT", IMMUNE),
    "DENYDUR": ("a denial is durable before the gate and who asked hear of it", "DENIED_RESTS", DENIALS),
    "DENIED": ("a denied question opens no more, neither by a vote behind it nor by a restart", "DENIED_RESTS", DENIALS),
    "DENYLAST": ("a denial that is durable before the act counts, also behind a vote that approved", "DENIED_RESTS", DENIALS),
}


def names():
    """{number: name} of what must hold."""
    with open(MODEL) as f:
        return {n: name for name, n in re.findall(r"^#define (\w+) (\d+) +/\*", f.read(), re.M) if name not in BOUNDS}


def search(defines, directory, optimize):
    """(errors, states, what was broken, {lines that were reached}); fails when spin did not get to the end of it."""
    def call(*args):
        return subprocess.run(args, cwd=directory, capture_output=True, text=True)
    r = call("spin", "-a", *["-D" + d for d in defines], MODEL)
    if r.returncode or "Error" in r.stdout or not os.path.exists(os.path.join(directory, "pan.c")):
        raise RuntimeError("spin: " + r.stdout + r.stderr)
    r = call("cc", optimize, "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=1024", "-DMEMLIM=4000", "-o", "pan", "pan.c")
    if r.returncode:
        raise RuntimeError("cc: " + r.stderr)
    out = call("./pan", "-E", "-m100000", "-w24").stdout
    errors = re.search(r"errors: (\d+)", out)
    if not errors or re.search(r"max search depth too small|memory limit|out of memory", out):
        raise RuntimeError("the search did not end:\n" + out)
    if errors.group(1) == "0" and "Search not completed" in out:
        raise RuntimeError("the search did not end:\n" + out)
    broken = re.search(r"pan:1: (.*?) \(at depth", out)
    with open(os.path.join(directory, "pan.c")) as f:
        lines = {int(n) for table in re.findall(r"src_ln\d+ *\[\] *= *\{([^}]*)\}", f.read()) for n in re.findall(r"\d+", table)}
    lines -= {int(n) for n in re.findall(r"consent\.pml:(\d+), state", out)}
    return int(errors.group(1)), int(re.search(r"(\d+) states, stored", out).group(1)), broken.group(1) if broken else "", lines


def one(job):
    """Runs one search. (as it should be, what it is, what is said of it, lines reached)"""
    name, defines, breaks = job
    with tempfile.TemporaryDirectory() as d:
        try:
            errors, states, broken, reached = search(defines, d, "-O0" if breaks else "-O2")
        except RuntimeError as e:
            return False, name, str(e), set()
    number = re.match(r"assertion violated \(\((\d+)!=\1\)\|\|", broken)
    what = names().get(number[1]) if number else None
    ok = what == breaks if breaks else errors == 0
    said = "%d states" % states + (", breaks %s" % (what or broken) if errors else "")
    return ok, name, said if ok or not breaks else said + ", not %s" % breaks, reached


def labels():
    """{label: its line}"""
    found = {}
    with open(MODEL) as f:
        for n, line in enumerate(f, 1):
            m = re.match(r"([a-z_]+):", line)
            if m:
                found[m[1]] = n
    return found


def trail(rule):
    with tempfile.TemporaryDirectory() as d:
        defines = ["NO_" + rule, "ONLY=" + RULES[rule][1]] + RULES[rule][2]
        search(defines, d, "-O0")
        subprocess.run(["cp", MODEL, d], check=True)
        name = os.path.basename(MODEL) + ".trail"
        found = [os.path.join(r, f) for r, _, fs in os.walk(d) for f in fs if f.endswith(".trail")] or [MODEL + ".trail"]
        if found[0] != os.path.join(d, name):
            os.rename(found[0], os.path.join(d, name))
        subprocess.run(["spin", "-t", "-p", *["-D" + x for x in defines], "consent.pml"], cwd=d)


def main():
    with open(MODEL) as f:
        text = f.read()
    if sys.argv[1:2] == ["--trail"]:
        return trail(sys.argv[2])
    switches = set(re.findall(r"\bNO_([A-Z0-9]+)\b", text)) - {"RULE"}
    jobs = [("clean: " + name, defines, None) for name, defines in CLEAN]
    jobs.append(("control: the last request can be acted on", ["REACH", "ONLY=P1"] + IMMUNE, "P1"))
    jobs.append(("control: it can be when the one before was denied", ["REACH", "ONLY=P1"] + DENIALS, "P1"))
    jobs += [("without %s: %s" % (r, what), ["NO_" + r, "ONLY=" + breaks] + more, breaks) for r, (what, breaks, more) in RULES.items()]
    if sys.argv[1:2] == ["--rule"]:
        jobs = [j for j in jobs if j[0].startswith("without %s:" % sys.argv[2])]
    whole = len(jobs) > 1
    print("1..%d" % (len(jobs) + 2 if whole else len(jobs)))
    bad, n, reached = False, 0, set()

    def say(ok, name, said):
        nonlocal bad, n
        bad, n = bad or not ok, n + 1
        print("%sok %d - %s" % ("" if ok else "not ", n, name))
        print("# " + said.replace("\n", "\n# "), flush=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (ok, name, said, lines), job in zip(pool.map(one, jobs), jobs):
            say(ok, name, said)
            if job[2] is None:
                reached |= lines
    if whole:
        say(switches == set(RULES), "each rule of the model has its counterexample", " ".join(sorted(switches ^ set(RULES))))
        dead = sorted(label for label, line in labels().items() if line not in reached)
        say(not dead, "each label is reached in a clean search", " ".join(dead))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
