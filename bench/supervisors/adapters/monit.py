# SPDX-License-Identifier: Apache-2.0
from benchlib import Adapter, Launch


class Monit(Adapter):
    name = "monit"
    max_n = 10
    features = {"boot", "memory", "idle", "restart"}
    note = "polls pid files once per cycle; cycle 1 s (the smallest; the distribution's " \
           "default is 120 s); services daemonize"

    def version(self):
        return self.find("monit") and self.deb("monit", "5.33.0-1")

    def setup(self, job):
        c = ["set daemon 1", "set logfile " + job.path("log"), "set idfile " + job.path("id"),
             "set statefile " + job.path("state"), "set pidfile " + job.path("pid")]
        for i in range(job.n):
            a = job.svc(i)
            pf = job.path("pid.%04d" % i)
            c.append('check process s%04d with pidfile %s start program = "%s"'
                     % (i, pf, " ".join([a[0], "-d", pf] + a[1:])))
        conf = job.write("monitrc", "\n".join(c) + "\n", 0o600)
        return Launch([self.find("monit"), "-I", "-c", conf])
