# SPDX-License-Identifier: Apache-2.0
import os
import signal
import time
from benchlib import Adapter, Launch


class Runit(Adapter):
    name = "runit"
    note = "run = /bin/sh script with exec; stopped with SIGHUP (SIGTERM leaves the runsv's)"
    term = signal.SIGHUP
    direct = False

    def version(self):
        return self.find("runsvdir") and self.deb("runit", "2.1.2-54")

    def setup(self, job):
        for i in range(job.n):
            d = "sv/%04d" % i
            if self.direct and not job.storm:
                os.makedirs(job.path(d))
                os.symlink(job.tools["svc"], job.path(d, "run"))
            else:
                job.write(d + "/run", "#!/bin/sh\nexec %s\n" % " ".join(job.svc(i)), 0o755)
        # runsvdir looks again a second later when the directory was changed just now;
        # an installed system's directory is old
        old = time.time() - 3600
        os.utime(job.path("sv"), (old, old))
        return Launch([self.find("runsvdir"), "-P", job.path("sv")])


class RunitDirect(Runit):
    name = "runit-direct"
    note = "run = the service binary itself (best case)"
    direct = True
    features = {"boot"}
