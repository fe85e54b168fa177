#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Probes over real processes: what each starts, stops and leaves alone."""
import os
import unittest

import harness
from harness import Guardian, service


class Probes(unittest.TestCase):
    def test_startup_probe_ends_with_its_success(self):
        with Guardian({
                "probed.chunk": service("/bin/sleep 1000", health={
                    "StartupProbe": "exec:/bin/sh -c 'echo tried >> %d/tries; test -e %d/up || { touch %d/up; exit 1; }'",
                    "StartupProbeIntervalSec": "20ms", "StartupProbeFailureThreshold": "50"}),
                # enough room for fifty more tries
                "later.chunk": service("/bin/sleep 1", unit={"After": "probed"}, service={"Type": "oneshot"}),
        }, core=False) as g:
            g.wait_boot()
            self.assertEqual(g.unit("later")["state"], "exited")
            with open(os.path.join(g.units, "tries")) as f:
                self.assertEqual(f.read().splitlines(), ["tried", "tried"])

    def test_failed_startup_probe_fails_the_unit(self):
        with Guardian({"never.chunk": service("/bin/sleep 1000", chunk={"CanFail": "yes"}, health={
                "StartupProbe": "exec:/bin/false", "StartupProbeIntervalSec": "10ms", "StartupProbeFailureThreshold": "3"},
                service={"Restart": "no"})}, core=False) as g:
            g.wait_boot()
            u = g.unit("never")
            self.assertIn(u["verdict"], ("degraded", "failed"))
            self.assertTrue(any("StartupProbe failed" in i for i in u["issues"]), u["issues"])

    def test_liveness_probe_restarts(self):
        with Guardian({"alive.chunk": service("/bin/sleep 1000", health={
                "LivenessProbe": "exec:/bin/sh -c 'test -e %d/ok'", "LivenessProbeIntervalSec": "20ms",
                "LivenessProbeFailureThreshold": "1"},
                service={"Restart": "always", "ExecStartPre": "/usr/bin/touch %d/ok"})}, core=False) as g:
            g.wait_boot()
            before = g.unit("alive")["pid"]
            os.unlink(os.path.join(g.units, "ok"))
            g.wait_log(r"unit ended unit=alive .*reason=liveness")
            after = g.wait_unit("alive", "running")
            self.assertNotEqual(after["pid"], before)
            self.assertEqual(after["last_exit"]["reason"], "liveness")


if __name__ == "__main__":
    harness.main()
