"""The log when its descriptor is the worst: full, closed, left by its reader, stuck. Items are answered all the same."""
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from cases import check, holds
from kit import NEWSXCTL, NEWSXD, SLOW, WAIT_S, Exchange, Failed, Key
from newsx import Link, story
from test_service import connect_when_up

PARTNERS = {"kpl": 'publish = {"kpl.*"}'}


class Silent:
    """a daemon whose standard error is ours to spoil"""

    def __init__(self, stderr=None, shell=None):
        self.x = Exchange(PARTNERS, size="64MiB")
        self.x.start()  # it learns its port, then goes
        self.x.stop()
        command = [NEWSXD, "--config", self.x.config]
        if shell:
            command = ["sh", "-c", shell, "sh", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        self.n = 0

    def link(self):
        return connect_when_up(self.x.port, self.x.keys["kpl"].identity)

    def stores(self, link, n):
        """one after the other; the seconds that each took"""
        took = []
        for _ in range(n):
            self.n += 1
            begin = time.monotonic()
            check(link.answer(link.publish(story("urn:log:%d" % self.n), {"channel": "kpl.news"})), "stored", "item %d" % self.n)
            took.append(time.monotonic() - begin)
        return took

    def processor(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rests(self):
        """a second in which it has nothing to do costs nothing"""
        before = self.processor()
        threading.Event().wait(1.0)
        used = self.processor() - before
        holds(used < 0.2 * SLOW, "it used %.2f s of the processor in a second of rest" % used)

    def stop(self):
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(WAIT_S), 0, "exit status")
        return time.monotonic() - begin

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)
        self.x.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def is_whole(self):
        """all that was said yes to is there, in a store without a fault"""
        self.x.verify()
        self.x.restart()
        check(self.x.found("daemon.start")[-1]["sequence"], str(self.n), "items")
        self.x.stop()


def test_a_full_one():
    with open("/dev/full", "wb") as full, Silent(full) as daemon:
        with daemon.link() as link:
            daemon.stores(link, 50)
        daemon.rests()
        daemon.stop()
        daemon.is_whole()


def test_none_at_all():
    """standard descriptors that are closed are never those of the store: no line of the log is written into it"""
    for closed in ("2>&-", "0<&- 1>&- 2>&-"):
        with Silent(shell='exec "$@" ' + closed) as daemon:
            with daemon.link() as link:
                daemon.stores(link, 50)
            for fd in range(3):
                there = os.path.realpath("/proc/%d/fd/%d" % (daemon.process.pid, fd))
                holds("store" not in there and "socket" not in there, "descriptor %d is %s" % (fd, there))
            daemon.rests()
            daemon.stop()
            daemon.is_whole()


def test_a_client_without_them():
    """newsxctl does not take its socket for standard output, either"""
    with Exchange(PARTNERS) as x:
        path = os.path.join(x.folder, "s.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"uri": "urn:log:ctl", "version": "1", "type": "text", "headline": "x", '
                       '"versioncreated": "2026-11-22T10:00:00Z"}')
        done = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", NEWSXCTL, "publish", "--server", "127.0.0.1:%d" % x.port,
                               "--server-pin", x.keys["exchange"].pin, "--identity", x.keys["kpl"].identity, "--channel",
                               "kpl.news", path], timeout=WAIT_S, check=False)
        check(done.returncode, 0, "exit status")
        x.log("item.stored", uri="urn:log:ctl")
        check([line["reason"] for line in x.found("conn.close")], ["bye"], "how it went")


def test_a_reader_that_dies():
    read, write = os.pipe()
    with Silent(write) as daemon:
        os.close(write)
        with daemon.link() as link:
            daemon.stores(link, 20)
            os.close(read)
            daemon.stores(link, 50)
        daemon.rests()
        daemon.stop()
        daemon.is_whole()


def all_of(read):
    seen = b""
    while select.select([read], [], [], 0)[0]:
        more = os.read(read, 65536)
        if not more:
            break
        seen += more
    return seen.decode()


def test_one_that_is_stuck():
    """as quick as before; what matters has room of its own; SIGTERM ends it all the same"""
    read, write = os.pipe()
    with Silent(write) as daemon:
        os.close(write)
        with daemon.link() as link:
            os.set_blocking(read, False)
            quiet = []
            for _ in range(40):
                quiet += daemon.stores(link, 10)
                all_of(read)
            stuck = daemon.stores(link, 1500)  # the pipe holds 64 KiB, the ring 192: some 900 lines
            tail = daemon.stores(link, 400)
        p99 = lambda took: sorted(took)[int(len(took) * 0.99)] * 1000
        print("acknowledgement p99: %.2f ms read, %.2f ms when nobody reads" % (p99(quiet), p99(tail)))
        holds(p99(tail) <= 2 * p99(quiet) + 10 * SLOW, "p99 %.1f ms, was %.1f" % (p99(tail), p99(quiet)))
        holds(len(stuck) == 1500, stuck)
        stranger = Key(daemon.x.folder, "stranger")
        try:
            Link(daemon.x.port, stranger.identity).close()
        except (OSError, Failed):
            pass
        took = daemon.stop()
        holds(took < 2 * SLOW, "it took %.1f s to end" % took)
        said = all_of(read)
        os.close(read)
        holds("event=item.stored" in said, "what was in the pipe")
        daemon.is_whole()


def test_a_kill_leaves_it_as_it_was():
    """a terminal or a pipe that others share: never made non-blocking, so that there is nothing to put back"""
    pairs = {"pipe": os.pipe(), "terminal": os.openpty(), "socket": [s.detach() for s in socket.socketpair()]}
    for kind, (mine, shared) in pairs.items():
        with Silent(shared) as daemon:
            with daemon.link() as link:
                daemon.stores(link, 5)
            holds(os.get_blocking(shared), "the %s while it runs" % kind)
            daemon.process.kill()
            daemon.process.wait(WAIT_S)
            holds(os.get_blocking(shared), "the %s after a kill" % kind)
        holds("event=item.stored" in all_of(mine), "a line in the %s" % kind)
        os.close(mine)
        os.close(shared)


def test_what_matters_has_room_of_its_own():
    read, write = os.pipe()
    with Silent(write) as daemon:
        os.close(write)
        with daemon.link() as link:
            daemon.stores(link, 1500)
        stranger = Key(daemon.x.folder, "stranger")
        try:
            Link(daemon.x.port, stranger.identity).close()
        except (OSError, Failed):
            pass
        os.set_blocking(read, False)
        said, end = "", time.monotonic() + WAIT_S
        while "event=log.dropped" not in said:
            holds(time.monotonic() < end, "nothing is told of what was dropped: %s" % said[-500:])
            select.select([read], [], [], 1)
            said += all_of(read)
        stored = said.count("event=item.stored")
        holds(stored < 1500, "nothing was dropped: %d lines" % stored)
        holds("reason=unknown-key" in said and stranger.pin in said, "the warning fell with the rest:\n" + said[-1500:])
        daemon.stop()
        os.close(read)


def test_the_disk_of_the_log_is_full():
    """a file on a file system without room: lines are lost and counted, items are not"""
    folder = tempfile.mkdtemp(prefix="newsxd-log.")
    try:
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0"', folder], capture_output=True, check=False).returncode:
            print("needs root and a mount\nSKIP")
            return
        with Silent(shell='exec unshare -m sh -c \'mount -t tmpfs -o size=32k none "$0" && exec "$@" 2> "$0/log"\' %s "$@"' % folder) as daemon:
            with daemon.link() as link:
                daemon.stores(link, 400)
            daemon.rests()
            daemon.stop()
            daemon.is_whole()
    finally:
        shutil.rmtree(folder)
