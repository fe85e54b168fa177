# SPDX-License-Identifier: Apache-2.0
"""Files that lie: none of them may hang or stop PID 1, and what they say never steers a terminal."""
import os
import shutil
import stat
import subprocess
import unittest

import harness
from harness import Guardian, STAGE, service

SLEEP = {"a.chunk": service("/bin/sleep 1000")}


class Files(unittest.TestCase):
    def check(self):
        g = Guardian(SLEEP, core=False)
        self.addCleanup(shutil.rmtree, g.dir, True)
        return g, lambda: subprocess.run(
            [g.program, "--check", "--no-core", "--state", g.state, "--runtime", g.runtime, "--units", g.units],
            capture_output=True, text=True, timeout=60)

    def test_fifos_in_the_state_directory(self):
        """A spool and a pause marker that nobody writes: said, and the boot goes on."""
        g = Guardian(SLEEP, core=False)
        os.makedirs(os.path.join(g.state, "guardian"), 0o700)
        for name in "recovery", "paused":
            os.mkfifo(os.path.join(g.state, "guardian", name))
        with g:
            g.wait_log("spool of ungated acts can't be read")
            g.wait_boot()
            self.assertTrue(g.status()["guardian"]["paused"])
            self.assertEqual(g.stop(), 0)

    def test_runtime_directories_that_are_not_ours(self):
        def link(g):
            os.symlink("/tmp", g.runtime)

        def a_file(g):
            with open(g.runtime, "w"):
                pass

        def open_to_all(g):
            os.mkdir(g.runtime)
            os.chmod(g.runtime, 0o777)

        for prepare in link, a_file, open_to_all:
            g = Guardian(SLEEP, core=False)
            prepare(g)
            with g:
                g.wait_log("no control socket")
                g.wait_boot()
                self.assertEqual(g.ctl_any("version").code, 3)
                self.assertEqual(g.stop(), 0)

    def test_names_do_not_steer_the_terminal(self):
        g, run = self.check()
        g.write_unit("b\n\x1b[31mred.chunk", service("/bin/true"))
        r = run()
        self.assertEqual(r.returncode, 65)
        self.assertIn("not a valid unit name", r.stderr)
        self.assertNotIn("\x1b", r.stderr)
        self.assertEqual(len(r.stderr.splitlines()), 1)

    def test_odd_unit_files(self):
        def text(data):
            def f(path):
                with open(path, "wb") as out:
                    out.write(data)
            return f

        good = b"[Service]\nExecStart=/bin/true\n"
        for name, make, want in (
                ("fifo", os.mkfifo, "not a regular file"),
                ("directory", os.mkdir, "not a regular file"),
                ("endless", lambda p: os.symlink("/dev/zero", p), "not a regular file"),
                ("loop", lambda p: os.symlink(os.path.basename(p), p), "symbolic links"),
                ("long line", text(good + b"Environment=A=" + b"x" * 1000000), "longer than"),
                ("large", text(good + b"# " + b"x" * 3000000), "larger than"),
                ("NUL", text(good + b"Environment=A=\0\n"), "0x00")):
            with self.subTest(name):
                g, run = self.check()
                make(os.path.join(g.units, "b.chunk"))
                r = run()
                self.assertEqual(r.returncode, 65, r)
                self.assertIn(want, r.stderr)

    def test_odd_drop_ins(self):
        """Only a regular file says something; /dev/null takes a drop-in away."""
        for name, make, code in (
                ("fifo", os.mkfifo, 65),
                ("directory", os.mkdir, 65),
                ("endless", lambda p: os.symlink("/dev/zero", p), 65),
                ("null", lambda p: os.symlink("/dev/null", p), 0)):
            with self.subTest(name):
                g, run = self.check()
                os.mkdir(os.path.join(g.units, "a.chunk.d"))
                make(os.path.join(g.units, "a.chunk.d", "b.conf"))
                r = run()
                self.assertEqual(r.returncode, code, r)
                if code:
                    self.assertIn("b.conf", r.stderr)
                    self.assertIn("not a regular file", r.stderr)


class Precheck(unittest.TestCase):
    """A check that was killed has found nothing: it runs again, and never counts as bad policies."""

    def stage(self, script):
        g = Guardian(SLEEP)
        self.addCleanup(shutil.rmtree, g.dir, True)
        copy = os.path.join(g.dir, "stage")
        shutil.copytree(STAGE, copy, symlinks=False)
        program = os.path.join(copy, "libexec/guardian/guardian-validators")
        os.rename(program, program + ".real")
        with open(program, "w") as f:
            f.write("#!/bin/sh\n" + script + '\nexec "$0.real" "$@"\n')
        os.chmod(program, stat.S_IRWXU)
        return subprocess.run([os.path.join(copy, "bin/guardian"), "--check", "--state", g.state, "--runtime", g.runtime,
                               "--units", g.units], capture_output=True, text=True, timeout=120)

    def test_killed_once(self):
        r = self.stage('[ -e "$0.once" ] || { touch "$0.once"; kill -9 $$; }')
        self.assertEqual(r.returncode, 0, r)

    def test_killed_always(self):
        r = self.stage("kill -9 $$")
        self.assertEqual(r.returncode, 70, r)
        self.assertIn("guardian-validators --check was killed by signal 9", r.stderr)


if __name__ == "__main__":
    harness.main()
