# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
from benchlib import Adapter, Launch


class Systemd(Adapter):
    name = "systemd"
    features = Adapter.features | {"chain"}
    term = signal.SIGRTMIN + 3          # halt
    note = "container mode, only the bench units; Restart=always; tuned: RestartSec=0, " \
           "no start limit; stopped with SIGRTMIN+3"

    def version(self):
        p = "/lib/systemd/systemd"
        if not os.access(p, os.X_OK):
            return None
        r = subprocess.run([p, "--version"], capture_output=True, text=True)
        return r.stdout.split("\n")[0].split("(")[-1].rstrip(")") or None

    def setup(self, job):
        # an own unit directory through SYSTEMD_UNIT_PATH: nothing of the host starts
        u = "units/"
        job.write(u + "bench.target", "[Unit]\nDescription=bench\nDefaultDependencies=no\n"
                  "AllowIsolate=yes\nWants=" +
                  " ".join("b%04d.service" % i for i in range(job.n)) + "\n")
        for i in range(job.n):
            s = ["[Unit]", "DefaultDependencies=no"]
            if job.tuned:
                s.append("StartLimitIntervalSec=0")
            if job.chain and i:
                s += ["Requires=b%04d.service" % (i - 1), "After=b%04d.service" % (i - 1)]
            s += ["[Service]", "Restart=always", "StandardOutput=null", "StandardError=null",
                  "ExecStart=" + " ".join(job.svc(i, "sd" if job.chain else None))]
            s.append("Type=" + ("notify" if job.chain else "exec"))
            if job.tuned:
                s.append("RestartSec=0")
            job.write(u + "b%04d.service" % i, "\n".join(s) + "\n")
        for name, body in (("halt.target", "Requires=systemd-halt.service\n"
                            "After=systemd-halt.service\nAllowIsolate=yes\n"),
                           ("shutdown.target", ""), ("umount.target", ""),
                           ("final.target", "After=shutdown.target\n"),
                           ("basic.target", ""), ("sysinit.target", ""),
                           ("rescue.target", "AllowIsolate=yes\n"),
                           ("emergency.target", "AllowIsolate=yes\n")):
            job.write(u + name, "[Unit]\nDefaultDependencies=no\n" + body)
        job.write(u + "systemd-halt.service",
                  "[Unit]\nDefaultDependencies=no\nRequires=final.target\n"
                  "After=final.target\nSuccessAction=exit-force\n[Service]\nType=oneshot\n"
                  "ExecStart=/bin/true\n")
        return Launch(["/lib/systemd/systemd", "--system", "--unit=bench.target",
                       "--log-target=console", "--log-level=warning", "--show-status=no"],
                      {"container": "bench", "SYSTEMD_UNIT_PATH": job.path("units"),
                       "SYSTEMD_GENERATOR_PATH": job.path("none"),
                       "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": job.path("none")},
                      tmpfs=["/run"], container=True)
