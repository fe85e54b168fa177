# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each chunk in turn and of all at once: back, verified, links renewed, the ledger whole."""
import json
import os
import signal
import subprocess
import threading
import unittest

from harness import CORE, CTL, DEADLINE, Guardian, main, service

WEB = {"web.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"})}


class Death(unittest.TestCase):
    def back(self, g, name, old):
        def check():
            u = g.unit(name)
            return u["pid"] not in (None, old) and u["state"] == "running" and u["sandbox"]["verified"]
        g.until("%s is back" % name, check)

    def events_flow(self, g, tag):
        """An event reaches a subscriber over the new links, and the ledger."""
        with Follower(g, "test." + tag) as f:
            r = g.ctl("--json", "emit", "test." + tag, "--payload", json.dumps({"after": tag})).json
            self.assertEqual(f.event()["type"], "test." + tag)
        rows = [x for x in g.records("--kind", "event", "--action", "test." + tag)]
        self.assertEqual([x["index"] for x in rows], [r["index"]])
        self.assertEqual(rows[0]["writer"], "mesh")

    def all_work(self, g, tag):
        self.events_flow(g, tag)
        self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")
        g.ctl("--json", "incidents")
        g.verify()

    def test_each_in_turn(self):
        units = dict(WEB)
        with Guardian(units) as g:
            g.wait_boot()
            self.all_work(g, "before")
            descriptors = None
            for name in CORE:
                old = g.kill_unit(name)
                self.back(g, name, old)
                g.until("gate and ledger are ready", lambda: self.ready(g))
                self.events_flow(g, "after_" + name)
                u = g.unit(name)
                self.assertEqual((u["restarts"], u["last_exit"]["signal"], u["last_exit"]["reason"]), (1, 9, "signal"), name)
                descriptors = descriptors or g.descriptors()
            self.all_work(g, "in_the_end")
            g.until("descriptors as before: %d" % descriptors, lambda: g.descriptors() <= descriptors)
            # nobody was doubled
            self.assertEqual(len(g.family()[0]), 1 + len(CORE) + len(units))
            self.assertEqual(g.status()["guardian"]["state"], "running")
            g.stop_clean()

    def ready(self, g):
        doc = g.status()["guardian"]
        return doc["governance"] == "ready" and doc["ledger"]["state"] == "ready"

    def test_all_at_once(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            self.events_flow(g, "before")
            old = {u["name"]: u["pid"] for u in g.status()["units"]}
            pids = {name: g.host_pid(old[name]) for name in CORE}
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)
            for name in CORE:
                self.back(g, name, old[name])
            g.until("gate and ledger are ready", lambda: self.ready(g))
            self.all_work(g, "after")
            self.assertEqual(g.unit("web")["restarts"], 1)  # the healing in all_work, nothing else
            self.assertEqual(len([x for x in g.records("--kind", "event", "--action", "test.before")]), 1)

    def test_twice_and_across_a_restart_of_guardian(self):
        """The chain goes on over deaths of the ledger and over runs."""
        with Guardian(WEB) as g:
            g.wait_boot()
            for _ in range(2):
                self.back(g, "ledger", g.kill_unit("ledger"))
            g.until("gate and ledger are ready", lambda: self.ready(g))
            size = g.status()["guardian"]["ledger"]["size"]
            os.kill(g.guardian_pid(), signal.SIGKILL)
            g.wait()
            with Guardian(WEB, state=g.state) as again:
                again.wait_boot()
                self.assertGreaterEqual(again.verify()["entries"], size)
                self.assertEqual([x["action"] for x in again.records("--kind", "boot")].count("begin"), 2)
                self.all_work(again, "second_run")
                again.stop_clean()

    def test_guardian_killed_as_subreaper_leaves_no_chunk(self):
        """Chunks end with their control pipe."""
        with Guardian(WEB, pid1=False) as g:
            g.wait_boot()
            chunks = {n: g.unit(n)["pid"] for n in CORE}
            web = g.unit("web")["pid"]
            os.kill(g.proc.pid, signal.SIGKILL)
            g.proc.wait()
            try:
                for name, pid in chunks.items():
                    g.until("%s ends" % name, lambda: not alive(pid))
            finally:
                os.kill(web, signal.SIGKILL)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False



class Follower:
    """guardianctl events -f in the background."""

    def __init__(self, g, pattern):
        self.p = subprocess.Popen([CTL, "--runtime", g.runtime, "--json", "events", "-f", "--type", pattern],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.timer = threading.Timer(DEADLINE, self.p.kill)
        self.timer.start()

    def __enter__(self):
        line = self.p.stderr.readline()
        if "following" not in line:
            raise AssertionError("events -f: " + line)
        return self

    def event(self):
        return json.loads(self.p.stdout.readline())

    def __exit__(self, *exc):
        self.timer.cancel()
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()
        self.p.stderr.close()


if __name__ == "__main__":
    main()
