# SPDX-License-Identifier: Apache-2.0
"""Storms of kill -9 (crash.py, in short), whether that notices what it looks for, and chunks that are held still.

GUARDIAN_STORM=POINTS for more, GUARDIAN_STORM_SEED=SEED to play one again; script/crash is the long form.
"""
import os
import random
import signal
import subprocess
import time
import unittest

import crash
from harness import CORE, Guardian, main, service

POINTS = int(os.environ.get("GUARDIAN_STORM", "24"))
SEED = int(os.environ.get("GUARDIAN_STORM_SEED") or random.SystemRandom().randrange(1 << 32))
HEALED = service("/bin/sleep 1000", chunk={"Heal": "restart_service"}, service={"Restart": "always"})


class Storm(unittest.TestCase):
    def test_storm(self):
        bad, unmet = crash.storm(POINTS, SEED)
        self.assertEqual((bad, unmet), ([], []))

    def test_two_instances_and_strays_are_seen(self):
        eye = crash.Eye()
        eye.guardian = os.getpid()

        def child(*argv):
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
            self.addCleanup(p.wait)
            self.addCleanup(p.kill)
            return p.pid
        child(*crash.MAIN["plain"].split())
        stray = child("/bin/sleep", "1004")
        self.assertIn((stray, None), [(p.pid, p.what) for p in eye.look()])
        self.assertEqual(eye.twice, [])
        child(*crash.MAIN["plain"].split())
        end = time.monotonic() + 10
        while not eye.twice and time.monotonic() < end:  # a program's command line appears a little after its exec
            eye.look()
        self.assertIn("two instances of plain", " ".join(eye.twice))

    def test_a_lost_record_is_noticed(self):
        run = crash.Run(0, 0)
        with Guardian() as run.g:
            run.g.wait_boot()
            self.assertEqual(run.ask("emit", "test.lost", "--payload", "{}")[0], 0)
            run.whole()
            index = next(iter(run.acked))
            for table, wrong in ((run.kept, {index: "0" * 64}), (run.kept, {1 << 20: "0" * 64}),
                                 (run.acked, {index: ("event", "test.other")}), (run.acked, {1 << 20: ("event", "test.lost")})):
                before = dict(table)
                table.update(wrong)
                self.assertRaises(AssertionError, run.whole)
                table.clear()
                table.update(before)
            run.votes = {"apr_none"}
            self.assertRaises(AssertionError, run.whole)

    def ready(self, g):
        doc = g.status()
        top = doc["guardian"]
        return (top["governance"] == "ready" and top["ledger"]["state"] == "ready"
                and all(u["state"] == "running" for u in doc["units"]))

    def test_each_chunk_held_still(self):
        """SIGSTOP: status answers meanwhile; after SIGCONT a governed restart works."""
        # a target each: what one may be healed is limited
        with Guardian({"for_%s.chunk" % n: HEALED for n in CORE}) as g:
            g.wait_boot()
            for name in CORE:
                pid = g.host_pid(g.unit(name)["pid"])
                os.kill(pid, signal.SIGSTOP)
                try:
                    for _ in range(50):  # questions, each a turn of Guardian's loop in which the chunk says nothing
                        self.assertEqual(g.unit(name)["name"], name)
                finally:
                    os.kill(pid, signal.SIGCONT)
                g.until("all run", lambda: self.ready(g))
                self.assertEqual(g.ctl("--json", "propose", "restart_service", "for_" + name).json["code"],
                                 "ok", name)
                g.until("the target runs", lambda: self.ready(g))
            g.stop_clean()
            g.verify(code=0)


if __name__ == "__main__":
    main()
