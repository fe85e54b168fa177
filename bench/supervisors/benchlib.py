# SPDX-License-Identifier: Apache-2.0
"""Common parts of the supervisor benchmark: launching PID 1, reading the service
log, and looking at the processes of one PID namespace."""
import os
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time

REC = struct.Struct("=IIIIQQ")
ROOTS = [r for r in os.environ.get("BENCH_PEERS_ROOT", "").split(":") if r]


def now():
    return time.monotonic_ns()


class Launch:
    def __init__(self, argv, env=None, tmpfs=(), binds=(), container=False):
        self.argv, self.env = argv, env or {}
        self.tmpfs, self.binds, self.container = list(tmpfs), list(binds), container


class Adapter:
    name = None
    features = set("boot restart memory reap shutdown idle".split())
    max_n = 500
    term = signal.SIGTERM
    note = ""
    peer = True     # counts as the best of a column: not the floors, not our own rows

    def find(self, prog):
        path = os.environ.get("PATH", "")
        for r in ROOTS:
            path += "".join(":" + r + d for d in
                            ("", "/usr/bin", "/usr/sbin", "/bin", "/sbin", "/node_modules/.bin"))
        return shutil.which(prog, path=path)

    def version(self):
        raise NotImplementedError

    def setup(self, job):
        raise NotImplementedError

    @staticmethod
    def deb(pkg, fallback="?"):
        try:
            r = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", pkg],
                               capture_output=True, text=True)
            return r.stdout.strip() or fallback
        except OSError:
            return fallback


class Job:
    """One start of one supervisor with n services."""

    def __init__(self, tools, n, chain=False, tuned=False, storm=0):
        self.tools, self.n = tools, n
        self.chain, self.tuned, self.storm = chain, tuned, storm
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.mkdtemp(prefix="svbench.", dir=base)
        os.chmod(self.dir, 0o755)
        self.log = os.path.join(self.dir, "log.bin")
        open(self.log, "w").close()
        self.off = 0
        self.records = []
        self.proc = None
        self.pid = self.t0 = self.exit_t = self.exit_status = None
        self.cgroup = None
        self.cgroups = []

    def path(self, *p):
        return os.path.join(self.dir, *p)

    def write(self, rel, text, mode=0o644):
        p = self.path(rel)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "w") as f:
            f.write(text)
        os.chmod(p, mode)
        return p

    def svc(self, i, notify=None):
        if self.storm:
            return [self.tools["storm"], self.log, str(i), str(self.storm)]
        return [self.tools["svc"], self.log, str(i)] + ([notify] if notify else [])

    # -- running
    def start(self, launch):
        cmd = [self.tools["nsrun"], "-o", self.path("out.txt")]
        self.cgroup = make_pids_cgroup(os.path.basename(self.dir))
        if self.cgroup:
            cmd += ["-g", os.path.join(self.cgroup, "cgroup.procs")]
        if launch.container:
            cmd.append("-c")
            # an own cgroup in every other hierarchy, mounted over the host's, so that
            # nothing outside is touched
            for g in other_cgroups(os.path.basename(self.dir)):
                self.cgroups.append(g)
                cmd += ["-g", os.path.join(g, "cgroup.procs")]
            for g in self.cgroups + ([self.cgroup] if self.cgroup else []):
                cmd += ["-b", g + ":" + os.path.dirname(g)]
        for b in launch.binds:
            cmd += ["-b", b]
        for t in launch.tmpfs:
            cmd += ["-t", t]
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.dir,
               "LANG": "C", "BENCH_LOG": self.log}
        for r in ROOTS:
            env["PATH"] += ":" + r + "/usr/bin:" + r + "/sbin"
        env.update(launch.env)
        self.proc = subprocess.Popen(cmd + ["--"] + launch.argv, env=env,
                                     stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.buf = b""
        end = time.monotonic() + 5
        while (self.t0 is None or self.pid is None) and time.monotonic() < end:
            self.poll_report(0.2)
            if self.exit_t:
                break
        if self.t0 is None or self.pid is None:
            raise RuntimeError("did not start: " + self.tail())
        try:
            self.ns = os.readlink("/proc/%d/ns/pid" % self.pid)
        except OSError:
            self.ns = None

    def poll_report(self, timeout):
        fd = self.proc.stdout.fileno()
        if self.exit_t is None and select.select([fd], [], [], timeout)[0]:
            d = os.read(fd, 4096)
            if not d:
                self.exit_t = self.exit_t or now()
            self.buf += d
            while b"\n" in self.buf:
                line, self.buf = self.buf.split(b"\n", 1)
                w = line.split()
                if w[0] == b"T0":
                    self.t0 = int(w[1])
                elif w[0] == b"PID":
                    self.pid = int(w[1])
                elif w[0] == b"EXIT":
                    self.exit_t, self.exit_status = int(w[1]), int(w[2])

    def tail(self):
        try:
            with open(self.path("out.txt"), errors="replace") as f:
                return f.read()[-400:]
        except OSError:
            return ""

    def read(self):
        """New records since the last call."""
        new = []
        with open(self.log, "rb") as f:
            f.seek(self.off)
            d = f.read()
        for o in range(0, len(d) - REC.size + 1, REC.size):
            k, i, pid, _, t, aux = REC.unpack_from(d, o)
            new.append((chr(k), i, pid, t, aux))
        self.off += len(new) * REC.size
        self.records += new
        return new

    def wait_up(self, n, timeout):
        """Wait until n different services started; their first start times."""
        end = time.monotonic() + timeout
        first = {}
        while True:
            for k, i, _pid, t, _a in self.read():
                if k == "S" and i not in first:
                    first[i] = t
            if len(first) >= n:
                return first
            if time.monotonic() > end:
                raise TimeoutError("%d of %d up after %gs: %s"
                                   % (len(first), n, timeout, self.tail()))
            self.poll_report(0)
            if self.exit_t:
                raise RuntimeError("PID 1 ended (%s): %s" % (self.exit_status, self.tail()))
            time.sleep(0.004)

    def wait_kind(self, kind, count, timeout):
        end = time.monotonic() + timeout
        while sum(1 for r in self.records if r[0] == kind) < count:
            if time.monotonic() > end:
                raise TimeoutError("no %s record" % kind)
            self.read()
            time.sleep(0.002)
        return [r for r in self.records if r[0] == kind]

    def wait_exit(self, timeout):
        end = time.monotonic() + timeout
        while self.exit_t is None and time.monotonic() < end:
            self.poll_report(0.05)
        return self.exit_t

    def close(self):
        if self.proc:
            if self.exit_t is None and self.pid:
                try:
                    os.kill(self.pid, signal.SIGKILL)
                except OSError:
                    pass
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
            self.proc.stdout.close()
        for g in self.cgroups + ([self.cgroup] if self.cgroup else []):
            for _ in range(100):
                for d, _subs, _files in os.walk(g, topdown=False):
                    try:
                        os.rmdir(d)
                    except OSError:
                        pass
                if not os.path.exists(g):
                    break
                time.sleep(0.01)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- looking at the namespace
    def pids(self):
        """Host pids of every process in the namespace."""
        res = []
        for d in os.listdir("/proc"):
            if d.isdigit():
                try:
                    if os.readlink("/proc/%s/ns/pid" % d) == self.ns:
                        res.append(int(d))
                except OSError:
                    pass
        return res

    def is_service(self, pid):
        try:
            return os.readlink("/proc/%d/exe" % pid) in self.tools["service_paths"]
        except OSError:
            return True  # gone or zombie: not part of the supervision tree

    def tree(self):
        return [p for p in self.pids() if not self.is_service(p)]

    def ns_map(self):
        """pid inside the namespace -> host pid"""
        m = {}
        for p in self.pids():
            try:
                with open("/proc/%d/status" % p) as f:
                    for line in f:
                        if line.startswith("NSpid:"):
                            m[int(line.split()[-1])] = p
                            break
            except OSError:
                pass
        return m

    def tasks_now(self):
        """Tasks in the namespace, zombies included."""
        if self.cgroup:
            with open(os.path.join(self.cgroup, "pids.current")) as f:
                return int(f.read())
        return len(self.pids())


_pids_base = None


def make_pids_cgroup(name):
    global _pids_base
    if _pids_base is None:
        _pids_base = ""
        for base in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            probe = os.path.join(base, "svbench-probe")
            try:
                os.mkdir(probe)
            except OSError:
                continue
            ok = os.path.exists(os.path.join(probe, "pids.current"))
            os.rmdir(probe)
            if ok:
                _pids_base = base
                break
    if not _pids_base:
        return None
    p = os.path.join(_pids_base, name)
    try:
        os.mkdir(p)
    except OSError:
        return None
    return p


def other_cgroups(name):
    """A new cgroup in each cgroup v1 hierarchy except pids (v1 or hybrid hosts)."""
    res, base = [], "/sys/fs/cgroup"
    if os.path.exists(os.path.join(base, "cgroup.procs")):
        return res
    for h in sorted(os.listdir(base)):
        d = os.path.join(base, h)
        if h in ("pids", "cpuset") or os.path.islink(d) or \
                not os.path.exists(os.path.join(d, "cgroup.procs")):
            continue
        try:
            os.mkdir(os.path.join(d, name))
            res.append(os.path.join(d, name))
        except OSError:
            pass
    return res


def memory(pids):
    """(PSS, RSS, private) in KiB, summed."""
    pss = rss = priv = 0
    for p in pids:
        try:
            with open("/proc/%d/smaps_rollup" % p) as f:
                for line in f:
                    w = line.split()
                    if w[0] == "Pss:":
                        pss += int(w[1])
                    elif w[0] == "Rss:":
                        rss += int(w[1])
                    elif w[0] in ("Private_Clean:", "Private_Dirty:"):
                        priv += int(w[1])
        except OSError:
            pass
    return pss, rss, priv


def cpu_ns(pid):
    """CPU time of a process, all threads, in ns."""
    total = 0
    try:
        for t in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, t)) as f:
                total += int(f.read().split()[0])
    except OSError:
        pass
    return total


def switches(pid):
    v = nv = 0
    try:
        for t in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, t)) as f:
                for line in f:
                    if line.startswith("voluntary_ctxt_switches"):
                        v += int(line.split()[1])
                    elif line.startswith("nonvoluntary_ctxt_switches"):
                        nv += int(line.split()[1])
    except OSError:
        pass
    return v, nv
