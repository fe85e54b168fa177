# SPDX-License-Identifier: Apache-2.0
"""Units under the hands of an operator: budgets, quarantine, pins, stops that others need, logs, statuses."""
import os
import subprocess
import unittest

from harness import CTL, DEADLINE, Guardian, main, service

SLEEP = service("/bin/sleep 1000", service={"Restart": "always", "RestartSec": "1ms"}, chunk={"Heal": "restart_service"})


class Budget(unittest.TestCase):
    def test_quarantine_and_reset(self):
        crash = service("/bin/sh -c 'echo run; test -e @DIR@/good && exec sleep 1000; exit 7'",
                        service={"Restart": "always", "RestartSec": "1ms", "RestartMaxDelaySec": "5ms", "StartLimitBurst": "4",
                                 "StartLimitIntervalSec": "1h"})
        with Guardian({"crash.chunk": crash, "web.chunk": SLEEP}) as g:
            g.wait_boot()
            u = g.wait_unit("crash", "quarantined")
            self.assertEqual((u["last_exit"]["code"], u["last_exit"]["reason"], u["pid"]), (7, "exit", None))
            g.wait_log("crash: run")
            runs = g.log.count("crash: run")
            self.assertEqual((runs, u["restarts"]), (5, 4))  # the first start and four restarts
            self.assertEqual(g.status()["guardian"]["state"], "degraded")
            self.assertIn("quarantine", g.ctl("why", "crash").out)
            g.until("it is on record", lambda: [r["result"] for r in g.records("--kind", "unit", "--resource", "crash")][-1:] == ["quarantined"])
            # its own budget never asks the gate
            self.assertEqual(g.records("--kind", "decision"), [])
            g.ctl("start", "crash", code=None)
            self.assertEqual(g.log.count("crash: run"), runs)
            with open(os.path.join(g.dir, "good"), "w"):
                pass
            g.ctl("reset", "crash")
            if g.unit("crash")["state"] != "running":
                g.ctl("start", "crash")
            g.wait_unit("crash", "running")
            self.assertEqual(g.status()["guardian"]["state"], "running")
            g.stop_clean()

    def test_first_restart_is_immediate_and_the_next_wait_longer(self):
        # an hour of back-off: only the first restart comes by itself
        text = service("/bin/sh -c 'echo run; exit 1'", service={"Restart": "always", "RestartSec": "1h", "RestartMaxDelaySec": "1h",
                                                                  "RestartJitter": "none"})
        with Guardian({"crash.chunk": text}) as g:
            g.wait_boot()
            g.wait_unit("crash", "backoff")
            g.until("the second run", lambda: g.log.count("crash: run") == 2)
            self.assertEqual(g.unit("crash")["restarts"], 1)
            g.stop_clean()

    def test_restart_policies(self):
        units = {"never.chunk": service("/bin/sh -c 'exit 3'", service={"Restart": "no"}, chunk={"CanFail": "yes"}),
                 "clean.chunk": service("/bin/sh -c 'exit 0'", service={"Restart": "on-failure"}),
                 "once.chunk": service("/bin/sh -c 'echo once; exit 0'", service={"Type": "oneshot", "RemainAfterExit": "yes"}),
                 "prevent.chunk": service("/bin/sh -c 'exit 42'", chunk={"CanFail": "yes"},
                                          service={"Restart": "always", "RestartPreventExitStatus": "42"})}
        with Guardian(units) as g:
            g.wait_boot()
            self.assertEqual(g.wait_unit("never", "failed")["restarts"], 0)
            self.assertEqual(g.wait_unit("clean", "exited")["last_exit"]["code"], 0)
            self.assertEqual(g.unit("once")["verdict"], "passed")
            self.assertEqual(g.wait_unit("prevent", "failed")["restarts"], 0)
            self.assertEqual(g.log.count("once: once"), 1)


class Verbs(unittest.TestCase):
    def test_pins(self):
        with Guardian({"web.chunk": SLEEP}) as g:
            g.wait_boot()
            g.ctl("pin", "web", "down")
            first = g.unit("web")
            self.assertEqual((first["pinned"], first["state"]), ("down", "running"))  # a running one goes on
            g.kill_unit("web")
            u = g.wait_unit("web", "backoff")
            self.assertEqual(u["restarts"], 0)
            self.assertIn("guardianctl unpin web", g.ctl("start", "web", code=1).err)
            r = g.ctl("--json", "start", "web", code=1).json
            self.assertIn("pin", r["code"] + r["reason"])
            g.ctl("unpin", "web")
            u = g.wait_unit("web", "running")
            self.assertEqual((u["pinned"], u["pid"] != first["pid"]), (None, True))
            g.ctl("pin", "web", "up")
            self.assertIn("guardianctl unpin web", g.ctl("stop", "web", code=1).err)
            r = g.ctl("--json", "stop", "web", code=1).json
            self.assertIn("pin", r["code"] + r["reason"])
            self.assertEqual(g.unit("web")["pid"], u["pid"])
            g.ctl("unpin", "web")
            g.ctl("stop", "web")
            self.assertEqual(g.unit("web")["state"], "inactive")
            g.ctl("start", "web")
            u = g.unit("web")
            self.assertEqual(u["state"], "running")
            g.stop_clean()

    def test_pinned_up_does_not_hinder_the_end(self):
        with Guardian({"web.chunk": SLEEP}) as g:
            g.wait_boot()
            g.ctl("pin", "web", "up")
            g.stop_clean()

    def test_stop_of_what_others_need(self):
        units = {"db.chunk": SLEEP, "app.chunk": service("/bin/sleep 1000", unit={"Requires": "db", "After": "db"})}
        with Guardian(units) as g:
            g.wait_boot()
            r = g.ctl("--json", "stop", "db", code=1)
            self.assertIn("needed by: app", r.out + r.err)
            self.assertEqual({n: g.unit(n)["state"] for n in ("db", "app")}, {"db": "running", "app": "running"})
            mark = g.mark()
            g.ctl("stop", "db", "--force")
            self.assertEqual(g.unit("db")["state"], "inactive")
            self.assertIn("db", g.order_of_ends(mark))
            g.ctl("start", "db")
            self.assertEqual(g.unit("db")["state"], "running")

    def test_kill_is_governed_and_restarts(self):
        with Guardian({"web.chunk": SLEEP}) as g:
            g.wait_boot()
            old = g.unit("web")["pid"]
            g.ctl("kill", "web", "--signal", "KILL")
            u = g.until("web is back", lambda: (lambda u: u["pid"] not in (None, old) and u["state"] == "running" and u)(g.unit("web")))
            self.assertEqual(u["last_exit"]["signal"], 9)

    def test_logs(self):
        text = service("/bin/sh -c 'for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; printf unfinished; exec sleep 1000'")
        with Guardian({"talk.chunk": text, "web.chunk": SLEEP}) as g:
            g.wait_boot()
            g.wait_log("talk: oops")
            out = g.ctl("logs", "talk").out
            self.assertEqual([x.split("line ")[1] for x in out.splitlines() if "line " in x], ["1", "2", "3", "4", "5"])
            self.assertIn("oops", out)
            self.assertEqual(len(g.ctl("logs", "talk", "-n", "2").out.splitlines()), 2)
            self.assertEqual(g.ctl("logs", "talk", "--grep", "line 3").out.count("line"), 1)
            self.assertTrue(all(isinstance(x, dict) for x in g.ctl("--json", "logs", "talk").lines))
            follow = subprocess.Popen([CTL, "--runtime", g.runtime, "logs", "talk", "-f"], stdout=subprocess.PIPE, text=True)
            try:
                self.assertIn("line 1", follow.stdout.readline())
                g.ctl("stop", "talk")
                g.ctl("start", "talk")
                # the first instance is read on, then the second one's first line comes
                while "line 1" not in (line := follow.stdout.readline()):
                    self.assertTrue(line)
            finally:
                follow.kill()
                follow.wait(DEADLINE)
                follow.stdout.close()

    def test_exit_statuses(self):
        with Guardian({"web.chunk": SLEEP}) as g:
            self.assertEqual(Guardian.ctl_any(g, "status", "--bogus").code, 64)
            g.wait_boot()
            self.assertEqual(g.ctl_any("restart", "nobody").code, 6)
            self.assertEqual(g.ctl_any("propose", "restart_service", "nobody").code, 6)
            self.assertEqual(g.ctl_any("approve", "apr_nothing").code, 6)
            self.assertEqual(g.ctl_any("propose", "fly_away", "web").code, 4)  # refused
            self.assertEqual(g.ctl_any("frobnicate").code, 64)
            self.assertEqual(g.ctl_any("restart").code, 64)
            r = g.ctl("--json", "propose", "clear_cache", "web", code=4).json
            self.assertEqual(r["code"], "heal_not_listed")
            g.stop()
            self.assertEqual(g.ctl_any("status").code, 3)

    def test_healing_budget_and_pause(self):
        with Guardian({"web.chunk": SLEEP}) as g:
            g.wait_boot()
            g.ctl("pause", "look at it")
            r = g.ctl("--json", "propose", "restart_service", "web", code=4).json
            self.assertEqual(r["code"], "paused")
            g.ctl("resume")
            for _ in range(3):
                self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["outcome"], "ok")
            pid = g.unit("web")["pid"]
            r = g.ctl("--json", "propose", "restart_service", "web", code=4).json
            self.assertEqual(r["code"], "budget_exceeded")
            self.assertEqual(g.unit("web")["pid"], pid)

    def test_orphans_are_reaped(self):
        text = service("/bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do (setsid sh -c \"exit 0\" &) ; done; echo forked; exec sleep 1000'")
        with Guardian({"forks.chunk": text}) as g:
            g.wait_boot()
            g.wait_log("forks: forked")
            g.until("orphans are reaped", lambda: g.status()["guardian"]["orphans_reaped"] >= 8)
            self.assertEqual(len(g.family()[0]), 1 + 5 + 1)
            g.stop_clean()

    def test_liveness_and_watchdog(self):
        """A probe that fails ends the unit; its next instance is asked again."""
        text = service("/bin/sh -c 'rm -f @DIR@/sick; echo up; exec sleep 1000'", service={"Restart": "always", "RestartSec": "1ms"},
                       health={"LivenessProbe": "exec:/usr/bin/test ! -e @DIR@/sick", "LivenessProbeIntervalSec": "50ms",
                               "LivenessProbeFailureThreshold": "2"})
        with Guardian({"probe.chunk": text}) as g:
            g.wait_boot()
            g.wait_log("probe: up")  # from here on it does not remove the file itself
            g.until("healthy", lambda: g.unit("probe")["health"] == "healthy")
            mark = g.mark()
            with open(os.path.join(g.dir, "sick"), "w"):
                pass
            g.wait_log("unit ended unit=probe .*reason=liveness", since=mark)
            g.wait_log("probe: up", since=mark)
            self.assertEqual(g.unit("probe")["last_exit"]["reason"], "liveness")

    def test_signal_reaches_the_unit_as_configured(self):
        text = service("/bin/sh -c 'trap \"echo got usr1; exit 0\" USR1; echo armed; while :; do sleep 0.05; done'",
                       service={"KillSignal": "SIGUSR1"})
        with Guardian({"sig.chunk": text}) as g:
            g.wait_boot()
            g.wait_log("sig: armed")
            g.ctl("stop", "sig")
            g.wait_log("sig: got usr1")
            self.assertEqual(g.unit("sig")["last_exit"]["code"], 0)

    def test_killed_is_not_dead_for_ever(self):
        """One that ignores SIGTERM is killed with its whole group, and the group takes the next instance."""
        deaf = service("/bin/sh -c \"trap '' TERM; while :; do sleep 1; done\"", service={"TimeoutStopSec": "200ms"})
        with Guardian({"deaf.chunk": deaf}, core=False) as g:
            g.wait_boot()
            for turn in (1, 2):
                mark, old = g.mark(), g.unit("deaf")["pid"]
                g.ctl("restart", "deaf")
                g.wait_log("unit ended unit=deaf by=signal status=9", since=mark)
                g.until("the next one", lambda: g.unit("deaf")["pid"] not in (None, old))
                self.assertEqual(g.wait_unit("deaf", "running")["restarts"], turn)
            g.stop_clean()


if __name__ == "__main__":
    main()
