#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guardian itself under valgrind, as PID 1: no bad access, nothing lost, and at its end no descriptor but those it is meant to have.

valgrind answers setrlimit(RLIMIT_NOFILE) itself, so that a chunk's limits are never those that were planned: the core set ends in
a validated refusal, which is a way of its own, and the rest runs without it. It knows no pidfd either, which is the other half.
"""
import os
import re
import shutil
import unittest

import harness
from harness import Guardian, service

ERROR = 99
# Standard streams apart: valgrind's log, and /dev/null, which is opened once for all launches.
MEANT = re.compile(r"valgrind\.|/dev/null")


def usable():
    with open(harness.GUARDIAN, "rb") as f:
        return shutil.which("valgrind") and b"__asan_init" not in f.read()


@unittest.skipUnless(usable(), "needs valgrind and a guardian without sanitizers")
class Valgrind(unittest.TestCase):
    def guardian(self, units=None, **options):
        g = Guardian(units, **options)
        g.prefix = ["valgrind", "--vgdb=no", "--track-fds=yes", "--leak-check=full", "--error-exitcode=%d" % ERROR,
                    "--log-file=%s/valgrind.%%p" % g.dir]
        return g

    def judge(self, g):
        """The report of Guardian, which is process 1 of its namespace."""
        with open(os.path.join(g.dir, "valgrind.1")) as f:
            report = re.sub(r"(?m)^(==|--)1(==|--) ?", "", f.read())
        self.assertIn("ERROR SUMMARY: 0 errors", report, report)
        left = [x for x in re.findall(r"(?m)^Open .*(?:\n {3,}.*)*", report) if not MEANT.search(x)]
        self.assertEqual(left, [], report)

    def test_services_come_and_go(self):
        units = {"stays.chunk": service("sleep 1000"), "dies.chunk": service("sleep 1000", service={"Restart": "always"}),
                 "talks.chunk": service("sh -c 'while echo words; do sleep 0.1; done'")}
        with self.guardian(units, core=False) as g:
            g.wait_boot()
            g.kill_unit("dies")
            g.wait_log(r"unit ended unit=dies")
            g.wait_unit("dies", "running")
            g.ctl("status")
            g.ctl_any("logs", "talks")
            g.ctl_any("restart", "stays")
            self.assertEqual(g.stop(), 0, g.log)
            self.judge(g)

    def test_core_set_that_is_refused(self):
        with self.guardian() as g:
            self.assertEqual(g.wait(), 75, g.log)
            self.judge(g)

    def test_unit_file_that_is_refused(self):
        with self.guardian({"bad.chunk": "[Service]\nNoSuchKey=1\n"}, core=False) as g:
            self.assertEqual(g.wait(), 65, g.log)
            self.judge(g)


if __name__ == "__main__":
    harness.main()
