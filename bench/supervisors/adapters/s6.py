# SPDX-License-Identifier: Apache-2.0
import os
from benchlib import Adapter, Launch


class S6(Adapter):
    name = "s6"
    note = "run = /bin/sh script with exec; tuned: notification-fd"
    direct = False

    def version(self):
        return self.find("s6-svscan") and self.find("s6-supervise") and self.deb("s6")

    def setup(self, job):
        for i in range(job.n):
            d = "scan/%04d" % i
            argv = job.svc(i, "3" if job.tuned else None)
            if job.tuned:   # a service that says it is ready is restarted without the 1 s pause
                job.write(d + "/notification-fd", "3\n")
            if self.direct and not job.storm:
                os.makedirs(job.path(d))
                os.symlink(job.tools["svc"], job.path(d, "run"))
            else:
                job.write(d + "/run", "#!/bin/sh\nexec %s\n" % " ".join(argv), 0o755)
        return Launch([self.find("s6-svscan"), "-c", "1024", job.path("scan")])


class S6Direct(S6):
    name = "s6-direct"
    note = "run = the service binary itself (best case)"
    direct = True
    features = {"boot"}
