#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages in man/ name every verb, every option and every unit key, and man finds nothing wrong with them."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import tap  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PAGES = ("guardianctl.1", "guardian.8", "guardian.chunk.5")


def page(name):
    """Its words, without macros and font escapes."""
    with open(os.path.join(ROOT, "man", name)) as f:
        text = re.sub(r'^\.[A-Z]+ ?|"|\\f.', " ", f.read().replace("\\-", "-"), flags=re.M)
    return set(re.findall(r"[\w.-]+", text))


def missing(words, name):
    lost = set(words) - page(name)
    assert not lost, "%s does not name %s" % (name, sorted(lost))


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def source(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def test_verbs_and_their_options():
    names = re.findall(r"^  ([a-z][a-z-]+) ", output(sys.argv[1], "--help"), re.M)
    assert len(names) > 30, names
    words = set(names)
    for name in names:
        usage = output(sys.argv[1], name, "--help").splitlines()[0]
        words.update(re.findall(r"--[a-z-]+", usage))
        words.update(w for choice in re.findall(r"[a-z_]+(?:\|[a-z_]+)+", usage) for w in choice.split("|"))
    words.update(re.findall(r"--[a-z-]+", output(sys.argv[1], "--help")))
    missing(words, "guardianctl.1")


def test_options_of_guardian():
    options = re.findall(r'^\s+\{"(-[a-z-]+)", ', source("guardian/options.c"), re.M)
    assert len(options) > 10, options
    missing(options, "guardian.8")


def test_unit_keys():
    text = source("guardian/unit-keys.c")
    keys = set(re.findall(r'\{"(?:Unit|Chunk|Service|Sandbox|Limits)", "(\w+)"', text)) | set(re.findall(r'LIMIT_KEY\("(\w+)"', text))
    for probe in re.findall(r'PROBE_KEYS\("(\w+)"', text):
        keys.update(probe + end for end in ("", "IntervalSec", "TimeoutSec", "FailureThreshold", "SuccessThreshold"))
    assert len(keys) > 80, len(keys)
    missing(keys, "guardian.chunk.5")
    later = re.findall(r"\w+", " ".join(re.findall(r'"([^"]*)"', text[text.index("} later[]"):text.index("static const char *const sections")])))
    told = page("guardian.chunk.5")
    assert not (set(later) - {"Unit", "Chunk", "Service", "Sandbox", "Limits"}) & told, "keys that cannot act are described"


def test_man_finds_nothing():
    if not shutil.which("man") or not shutil.which("groff"):
        return "man is not installed"
    for name in PAGES:
        r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-l", os.path.join(ROOT, "man", name)], capture_output=True, text=True,
                           env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
        assert r.returncode == 0 and not r.stderr, (name, r.stderr)
    return None


if __name__ == "__main__":
    tap.run(globals())
