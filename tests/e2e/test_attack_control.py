# SPDX-License-Identifier: Apache-2.0
"""Hostile clients of the control socket: none of them may cost PID 1 its time, its memory or the operators' places."""
import os
import signal
import socket
import unittest

import harness
from harness import Guardian, needs_root, service
import wire

SPAM = ("/bin/sh -c 'trap \"yes 0123456789012345678901234567890123456789 | head -c 8000000; echo end of spam\" USR1; "
        "echo armed; while :; do sleep 0.1; done'")


def memory_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class ControlSocket(unittest.TestCase):
    def connect(self, g):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(1)
        s.connect(os.path.join(g.runtime, "control.sock"))
        return wire.Peer(s)

    def flood(self, peer, n, **call):
        """Sends without ever reading; True when Guardian stopped taking it."""
        try:
            for i in range(n):
                peer.send("CALL", REQ=i + 1, **call)
        except (TimeoutError, OSError, wire.Closed):
            return True
        return False

    def test_a_document_longer_than_a_frame(self):
        units = {"u%04d.chunk" % i: service("/bin/true", unit={"Description": "x" * 400}, service={"Type": "oneshot"})
                 for i in range(400)}
        with Guardian(units, core=False) as g:
            g.wait_boot()
            r = g.ctl("--json", "status")
            self.assertGreater(len(r.out), 256 * 1024)
            self.assertEqual(len(r.json["units"]), 400)
            self.assertEqual(g.unit("u0399")["name"], "u0399")

    def test_places_at_the_socket(self):
        """Idle connections and half frames give way; a caller with an answer due keeps its place."""
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()
            waits = self.connect(g)
            waits.send("CALL", REQ=7, VERB="wait", UNIT="a", ARG="state=failed")
            for i in range(100):
                p = self.connect(g)
                p.sock.sendall(b"\x20\0" if i % 2 else b"")
                self.addCleanup(p.sock.close)
            self.assertEqual(g.ctl("version").code, 0)
            g.ctl("stop", "a")
            waits.send("CALL", REQ=8, VERB="version")
            self.assertEqual(waits.recv()[1]["REQ"], 8)

    def test_every_place_in_use_is_said(self):
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()
            for _ in range(64):
                p = self.connect(g)
                p.send("CALL", REQ=1, VERB="wait", UNIT="a", ARG="state=failed")
                p.send("CALL", REQ=2, VERB="version")
                p.recv()
            r = g.ctl_any("version")
            self.assertEqual((r.code, "in use" in r.err), (1, True), r)

    @needs_root
    def test_every_place_at_a_chunk_is_said(self):
        """guardianctl tells that it was refused, and not that the connection ended."""
        with Guardian() as g:
            g.wait_boot()
            peer = self.connect(g)
            for i in range(32):
                peer.send("CALL", REQ=i + 1, VERB="connect", UNIT="mesh")
                held = wire.Peer(socket.socket(fileno=peer.expect("RESULT")["fd"]))
                self.addCleanup(held.close)
                held.send("CALL", REQ=1, VERB="queue-stats")
                held.expect("RESULT", REQ=1)
            for argv in (["emit", "a.b"], ["queue", "stats"], ["events", "-f"]):
                self.assertIn("every place", g.ctl(*argv, code=1).err.replace("\n ", ""))
            held.close()
            g.until("a place is free", lambda: g.ctl_any("queue", "stats").code == 0)

    def test_a_queue_that_nobody_takes_from(self):
        """Callers that gave up stay in the queue of a Guardian that is held; when it is full guardianctl still ends."""
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()
            g.signal(signal.SIGSTOP)
            with self.assertRaises(BlockingIOError):
                while True:
                    with socket.socket(socket.AF_UNIX) as s:
                        s.setblocking(False)
                        s.connect(os.path.join(g.runtime, "control.sock"))
            self.assertIn("takes no connection", g.ctl("--timeout", "50ms", "status", code=3).err)
            g.signal(signal.SIGCONT)
            g.ctl("status")
            g.stop_clean()

    def test_strangers_leave_room(self):
        """A uid without a role may fill its own half only."""
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            os.chmod(g.dir, 0o755)
            g.wait_boot()
            os.chmod(g.runtime, 0o711)
            ready, go = os.pipe()
            self.addCleanup(os.close, ready)
            self.addCleanup(os.close, go)
            child = os.fork()
            if child == 0:
                try:
                    os.setgid(65534)
                    os.setuid(65534)
                    held = []
                    for _ in range(64):
                        p = self.connect(g)
                        for k in range(3):
                            p.send("CALL", REQ=k + 1, VERB="status")
                        held.append(p)
                    os.write(go, b"x")
                    signal.pause()
                finally:
                    os._exit(1)
            try:
                os.read(ready, 1)
                self.assertEqual(g.ctl("version").code, 0)
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    def test_requests_without_end(self):
        """Open requests of one connection are bounded, answers that nobody reads stop its requests."""
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()
            for call in ({"VERB": "wait", "UNIT": "a", "ARG": "state=failed"}, {"VERB": "status"},
                         {"VERB": "logs", "ARG": "follow=1"}, {"VERB": "restart", "UNIT": "a"}):
                p = self.connect(g)
                self.assertTrue(self.flood(p, 100000, **call), call)
                self.assertEqual(g.ctl("version").code, 0)
            self.assertLess(memory_kb(g.guardian_pid()), 40 * 1024)

    def test_followers_that_never_read(self):
        with Guardian({"spam.chunk": service(SPAM)}, core=False) as g:
            g.wait_log("spam: armed")
            g.wait_boot()
            held = [self.connect(g) for _ in range(16)]
            for p in held:
                p.send("CALL", REQ=1, VERB="logs", ARG="follow=1")
                p.send("CALL", REQ=2, VERB="version")
                while p.recv()[1]["REQ"] != 2:
                    pass
            late = self.connect(g)
            late.send("CALL", REQ=1, VERB="logs", ARG="follow=1")
            self.assertEqual(late.expect("RESULT")["CODE"], "busy")
            g.kill_unit("spam", signal.SIGUSR1)
            while "end of spam" not in g.ctl("logs", "spam", "-n", "1").out:  # stdout may drop it, the ring does not
                pass
            self.assertEqual(g.ctl("version").code, 0)
            self.assertLess(memory_kb(g.guardian_pid()), 60 * 1024)
            # it reads on in the end: what it lost is counted
            reader = held[0]
            seen = ""
            while "lost_before" not in seen:
                g.kill_unit("spam", signal.SIGUSR1) if not seen else None
                seen = reader.expect("RESULT")["payload"].decode()

    def test_a_dead_client_with_answers_due(self):
        """Killed while paused for its unread answers: its place comes back."""
        with Guardian({"a.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()
            before = len(os.listdir("/proc/%d/fd" % g.guardian_pid()))
            for _ in range(70):
                p = self.connect(g)
                p.sock.settimeout(0.1)
                self.flood(p, 4000, VERB="status")
                p.sock.close()
            self.assertEqual(g.ctl("version").code, 0)
            self.assertLessEqual(len(os.listdir("/proc/%d/fd" % g.guardian_pid())), before + 2)


if __name__ == "__main__":
    harness.main()
