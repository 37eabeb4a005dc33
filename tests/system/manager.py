"""manager.py - what systemd does for a service, played by hand: hear its datagrams, keep its descriptors, pass them on."""
import os
import select
import socket
import sys
import tempfile
import time

from kit import WAIT_S, Exchange, Failed

# descriptors to 3, 4, ... and LISTEN_PID as its own, then the daemon in the same process
LAUNCH = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in filter(None, sys.argv[1].split(","))]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), 1024)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Service(Exchange):
    """an Exchange whose NOTIFY_SOCKET is heard; .store holds (name, descriptor) as systemd would"""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        path = os.path.join(tempfile.mkdtemp(prefix="n.", dir=self.folder), "notify")
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(path)
        self.env["NOTIFY_SOCKET"] = path
        self.heard, self.store = [], []  # heard: (time, {name: value})

    def start(self, wait=True):
        self.hear()
        self.pass_fds = tuple(fd for _, fd in self.store)
        self.launcher = [sys.executable, "-c", LAUNCH, ",".join(map(str, self.pass_fds))]
        self.env["LISTEN_FDS"] = str(len(self.store))
        self.env["LISTEN_FDNAMES"] = ":".join(name for name, _ in self.store)
        return super().start(wait)

    def hear(self, seconds=0.0):
        """take what has come, waiting at most that long for the first"""
        while select.select([self.ear], [], [], seconds)[0]:
            seconds = 0.0
            data, fds, _, _ = socket.recv_fds(self.ear, 4096, 16)
            said = dict(line.split("=", 1) for line in data.decode().split("\n") if line)
            self.heard.append((time.monotonic(), said))
            if "FDSTORE" in said:
                self.store += [(said.get("FDNAME", "stored"), fd) for fd in fds]
            elif "FDSTOREREMOVE" in said:
                for name, fd in self.store:
                    if name == said["FDNAME"]:
                        os.close(fd)
                self.store = [(name, fd) for name, fd in self.store if name != said["FDNAME"]]

    def said(self, name, since=0):
        return [when for when, said in self.heard[since:] if name in said]

    def until_said(self, name, since=0):
        end = time.monotonic() + WAIT_S
        while not self.said(name, since):
            if time.monotonic() > end:
                raise Failed("%s= was never said: %s\n%s" % (name, self.heard[since:], self.tail()))
            self.hear(0.2)
        return self.said(name, since)[0]
