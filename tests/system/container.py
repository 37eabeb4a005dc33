"""container.py - a real systemd in a container over this machine's own files; nothing of it stays behind.

What it writes goes into memory; mounts live in a namespace of the test's own and end with it. Only as root.
Run as a program it is the hammer: one connection after the other, a line of JSON for each, until stdin ends.
"""
import ctypes
import glob
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from kit import BUILD, ROOT, WAIT_S, Failed, finish

NEW_MOUNTS, PRIVATE = 0x20000, (1 << 18) | 0x4000  # CLONE_NEWNS; MS_PRIVATE | MS_REC


def why_not():
    """a word why none can run here, or None"""
    if os.geteuid() != 0:
        return "only root can boot a container"
    if os.environ.get("SAN"):
        return "a sanitizer does not run in a hardened unit"
    for tool in ("systemd-nspawn", "nsenter", "make"):
        if shutil.which(tool) is None:
            return "%s is missing" % tool
    if not os.path.exists("/lib/systemd/systemd"):
        return "no systemd on this machine"
    return None


def run(*command, ok=True, **more):
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=3 * WAIT_S,
                          check=False, **more)
    if ok and done.returncode != 0:
        raise Failed("%s: exit %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done


class Container:
    """with Container() as box: box.ctl("start", "newsxd"). None of it, with a word, where it cannot be"""

    def __enter__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_MOUNTS) != 0 or libc.mount(None, b"/", None, PRIVATE, None) != 0:
            raise Unable("no mount namespace: %s" % os.strerror(ctypes.get_errno()))
        self.folder = tempfile.mkdtemp(prefix="newsxd-box.")
        self.root, up = self.folder + "/root", self.folder + "/up"
        self.nspawn = None
        self.state = self.folder + "/state"  # a true file system: the store refuses an overlay
        for path in (self.root, up, self.state):
            os.mkdir(path)
        try:
            run("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", up)
            os.mkdir(up + "/u")
            os.mkdir(up + "/w")
            run("mount", "-t", "overlay", "overlay", "-o", "lowerdir=/,upperdir=%s/u,workdir=%s/w" % (up, up), self.root)
        except Failed as fault:
            self.__exit__()
            raise Unable("no overlay: %s" % str(fault).splitlines()[-1]) from None
        with open(self.root + "/etc/machine-id", "w", encoding="ascii"):
            pass
        for path in glob.glob(self.root + "/etc/systemd/system/*.wants/*"):
            os.unlink(path)  # or the services of this machine boot too
        for path in ("/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update"):
            if os.path.exists(self.root + path):
                os.unlink(self.root + path)  # the one forbids packages to start services, the other takes a minute
        for path in ("/etc/newsxd", "/var/lib/newsxd"):
            shutil.rmtree(self.root + path, ignore_errors=True)
        os.mkdir(self.root + "/var/lib/newsxd")
        return self

    def __exit__(self, *_):
        if self.nspawn is not None:
            finish(self.nspawn)
        for path in (self.root, self.folder + "/up"):
            run("umount", "-R", path, ok=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def install(self):
        run("make", "-s", "-C", ROOT, "install", "B=" + os.path.relpath(BUILD, ROOT), "DESTDIR=" + self.root, "PREFIX=/usr")

    def boot(self):
        self.console = open(self.folder + "/console", "w+", encoding="utf-8", errors="replace")
        self.nspawn = subprocess.Popen(["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--quiet",
                                        "--directory=" + self.root, "--console=pipe",
                                        "--bind=%s:/var/lib/newsxd" % self.state, "--boot", "systemd.unit=basic.target"],
                                       stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        end = time.monotonic() + 2 * WAIT_S
        while time.monotonic() < end and self.nspawn.poll() is None:
            children = run("pgrep", "-P", str(self.nspawn.pid), ok=False).stdout.split()
            self.leader = children[0] if children else None
            if self.leader and self.inside("systemctl", "is-system-running", ok=False).stdout.strip() in ("running", "degraded"):
                run("nsenter", "-t", self.leader, "-n", "ip", "link", "set", "lo", "up", ok=False)
                return self
            time.sleep(0.1)
        self.console.seek(0)
        raise Unable("systemd does not boot here: %s" % self.console.read()[-500:].replace("\n", " "))

    def inside(self, *command, ok=True):
        return run("nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "--", *command, ok=ok)

    def in_its_net(self, *command):
        """this machine's programs and files, the container's network"""
        return ["nsenter", "-t", self.leader, "-n", "--", *command]

    def ctl(self, *words, ok=True):
        return self.inside("systemctl", "--no-pager", *words, ok=ok).stdout.strip()

    def show(self, name, unit="newsxd"):
        return self.ctl("show", "-P", name, unit)

    def journal(self):
        return self.inside("journalctl", "-u", "newsxd", "--no-pager", "-o", "cat", ok=False).stdout[-6000:]

    def until(self, what, truth):
        end = time.monotonic() + 2 * WAIT_S
        while not truth():
            if time.monotonic() > end:
                raise Failed("never: %s\n%s\n%s" % (what, self.ctl("status", "newsxd", ok=False), self.journal()))
            time.sleep(0.05)

    def until_new(self, pid):
        """another process than that one serves"""
        self.until("another process", lambda: self.show("MainPID") not in (pid, "0") and
                   self.show("ActiveState") == "active")
        return self.show("MainPID")


class Unable(Exception):
    pass


def in_a_container(scene):
    word = why_not()
    try:
        if word is None:
            with Container() as box:
                try:
                    scene(box)
                except Failed:
                    print(box.journal() if box.nspawn else "")
                    raise
    except Unable as fault:
        word = str(fault)
    if word:
        print("%s\nSKIP" % word)


class Hammer:
    """connections all the time; lines: {"begin", "end", "was": "ok" or what went wrong}"""

    def __init__(self, box, port, identity):
        self.lines, self.more = [], threading.Condition()
        self.process = subprocess.Popen(box.in_its_net(sys.executable, __file__, str(port), identity), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.more:
                self.lines.append(json.loads(line))
                self.more.notify_all()

    def served(self, n):
        """n more that began from now on and came through"""
        now, end = time.monotonic(), time.monotonic() + 2 * WAIT_S
        with self.more:
            while sum(line["was"] == "ok" and line["begin"] > now for line in self.lines) < n:
                if not self.more.wait(max(0.0, end - time.monotonic())):
                    raise Failed("the hammer stands still: %s" % self.lines[-3:])

    def stop(self):
        self.process.stdin.close()
        self.process.wait(WAIT_S)
        return self.lines


def hammer(port, identity):
    from newsx import Link  # pylint: disable=import-outside-toplevel
    while not select.select([sys.stdin], [], [], 0)[0]:
        begin, was, step = time.monotonic(), "ok", "connect"
        try:
            link = Link(port, identity, hello=False)
            step = "hello"
            link.hello()
            link.expect("HELLO")
            link.close()
        except ConnectionRefusedError:
            was = "refused"
        except (OSError, ssl.SSLError, Failed, socket.timeout) as fault:
            was = "%s: %s" % (step, type(fault).__name__)
        print(json.dumps({"begin": begin, "end": time.monotonic(), "was": was}), flush=True)


if __name__ == "__main__":
    hammer(int(sys.argv[1]), sys.argv[2])
