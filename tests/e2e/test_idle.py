# SPDX-License-Identifier: Apache-2.0
"""An idle Guardian does nothing at all, and is small: 100 units without a watchdog cause no wake-up."""
import re
import select
import unittest

from harness import Guardian, main, service

UNITS = {"s%03d.chunk" % i: service("/bin/sleep 100000", service={"Restart": "always"}) for i in range(100)}
WINDOW = 3  # seconds in which an event would be one too many


def field(pid, name, file="status"):
    with open("/proc/%d/%s" % (pid, file)) as f:
        return re.search(r"^%s:\s*(\S+)" % name, f.read(), re.M).group(1)


def switches(pid):
    return int(field(pid, "voluntary_ctxt_switches"))


class Idle(unittest.TestCase):
    def test_no_wake_up(self):
        with Guardian(UNITS, core=False) as g:
            g.wait_boot()
            pid = g.guardian_pid()
            while field(pid, "State") != "S":  # behind the last line of the boot there is only the wait
                pass
            before = switches(pid)
            ready, _, _ = select.select([g.proc.stdout], [], [], WINDOW)
            self.assertFalse(ready, "an idle Guardian says something")
            self.assertEqual(switches(pid) - before, 0)
            g.kill_unit("s050")  # the control: the counter is the right one, and it counts
            g.wait_log(r"unit ended unit=s050")
            self.assertGreater(switches(pid), before)

    def test_small(self):
        """Memory of its own. Not PSS, whose share of libc depends on who else is on the machine."""
        with Guardian(UNITS, core=False) as g:
            g.wait_boot()
            pid = g.guardian_pid()
            with open("/proc/%d/maps" % pid) as f:
                maps = f.read()
            if "asan" in maps or "tsan" in maps or "vgpreload" in maps:
                self.skipTest("a checker's memory is measured along")
            self.assertLess(int(field(pid, "Anonymous", "smaps_rollup")), 768)


if __name__ == "__main__":
    main()
