"""Calls on the daemon's sockets fail in turn: read, write, accept, epoll_ctl. One link suffers at most, for a moment.

INJECT=all sweeps every call of a load (`make inject`); otherwise a sample, by a seed that is printed (SEED).
"""
import errno
import os
import resource
import signal
import socket
import time

from kit import BUILD, SLOW, WAIT_S, Exchange, Failed, asan
from newsx import Link, story
from test_inject import ALL_POINTS, Given, in_turn, seeded
from test_recovery import ALL, PARTNERS, TO, subscriber

LINE = os.path.join(BUILD, "tests", "fault", "shim", "line.so")
HARMLESS = (0, errno.EINTR, errno.EAGAIN)  # short, interrupted, not yet: nobody may notice
WAYS = [(call, how) for call, hows in {
    "r": (*HARMLESS, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOMEM),
    "w": (*HARMLESS, errno.EPIPE, errno.ECONNRESET, errno.ENOBUFS),
    "a": (errno.EINTR, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM),
    "e": (errno.ENOMEM, errno.ENOSPC),
}.items() for how in hows]


class Lines:
    """a daemon with the shim, and its switch"""

    def __init__(self):
        self.switch = os.path.join(os.environ.get("TMPDIR", "/tmp"), "newsxd-line.%d" % os.getpid())
        self.x = Exchange(PARTNERS, ALL, env={"LD_PRELOAD": LINE, "LINE": self.switch, **asan("verify_asan_link_order=0")},
                          sections={"limits": "stall = 1s ping = 500ms idle = 1s handshake = 1s"})

    def arm(self, call, first, each, how):
        with open(self.switch, "w", encoding="ascii") as file:
            file.write("%s %d %d %d" % (call, first, each, how))
        self.x.process.send_signal(signal.SIGUSR2)

    def fired(self):
        return os.path.getsize(self.switch) == 0

    def __enter__(self):
        self.x.start()
        return self

    def __exit__(self, *what):
        self.x.__exit__(*what)
        if os.path.exists(self.switch):
            os.unlink(self.switch)


def one_call(lines, given, call, how, n, each=0):
    """gives whether the load came as far as that call"""
    x, before = lines.x, len(given.acked)
    lines.arm(call, n, each, how)
    given.load(3, timeout=3 * SLOW)
    fired = lines.fired()
    lines.arm(call, 0, 0, 0)
    if x.process.poll() is not None:
        x.reader.join(WAIT_S)
        raise Failed("%s %s at %d: the daemon ended with %s\n%s" % (call, how, n, x.process.returncode, x.tail()))
    if how in HARMLESS and call != "a" and len(given.acked) != before + 3:
        raise Failed("%s %s at %d: that should harm nobody\n%s" % (call, how, n, x.tail()))
    return fired


def test_every_call_on_a_socket_fails_in_turn():
    noise, hits = seeded(), {}
    with Lines() as lines:
        given, x = Given(lines.x), lines.x
        given.load(4)
        for call, how in in_turn(WAYS):
            n, most = 0, 400
            while n < most:
                n += 1 if ALL_POINTS or call in "ae" else noise.randint(1, 12)
                if not one_call(lines, given, call, how, n):
                    break
                hits[call] = hits.get(call, 0) + 1
            for each in (2, 5):
                if how not in (errno.ENOMEM, errno.ENOSPC):
                    one_call(lines, given, call, how, each, each)
        given.check()
        with Link(x.port, x.keys["kpl"].identity) as link:  # and it serves as before
            if link.answer(link.publish(story("urn:line:last"), TO)) != "stored":
                raise Failed("not stored")
        with subscriber(x) as sub:
            left = sub.claimed["owed"]
            while True:
                head, _, document = sub.receive()
                sub.ack(head["id"])
                if b"urn:line:last" in document:
                    break
        bad = [line for line in x.lines if "level=err" in line]
        x.stop()
        x.verify()
    print("%s calls failed; %d items acknowledged, all there; %d were owed at the end" % (hits, len(given.acked), left))
    if bad:
        raise Failed("in the log: %s" % bad[:3])
    if any(hits.get(call, 0) < 3 for call in "rwa") or not given.acked:
        raise Failed("no call failed")


def ticks(x):
    with open("/proc/%d/stat" % x.process.pid, encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptor_is_left():
    """whoever comes is turned away in words; who is in is served; no busy loop; and it ends when there are some again"""
    with Exchange(PARTNERS, ALL, sections={"limits": "ping = 200ms"}) as x:
        link, sub = Link(x.port, x.keys["kpl"].identity), subscriber(x)
        few = max(map(int, os.listdir("/proc/%d/fd" % x.process.pid))) + 1
        was = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(x.process.pid, resource.RLIMIT_NOFILE, (few, was[1]))
        crowd = [socket.create_connection(("127.0.0.1", x.port), timeout=WAIT_S) for _ in range(50)]
        before, begin, n = ticks(x), time.monotonic(), 0
        while time.monotonic() < begin + 1:
            if link.answer(link.publish(story("urn:few:%d" % n), TO)) != "stored":
                raise Failed("who is in is not served")
            sub.ack(sub.receive()[0]["id"])
            n += 1
            link.quiet(0.1)
        spent = ticks(x) - before
        refused = len(x.found("conn.refuse", reason="too-many-connections"))
        resource.prlimit(x.process.pid, resource.RLIMIT_NOFILE, was)
        for one in crowd:
            one.close()
        for _ in range(50):
            try:
                Link(x.port, x.keys["web"].identity).close()
                break
            except OSError:
                link.quiet(0.1)
        else:
            raise Failed("nobody comes in any more")
    print("%d items in a second without a descriptor, %.2f s of processor; %d turned away" % (n, spent, refused))
    if spent > 0.3 * SLOW or not 1 <= refused <= 30:
        raise Failed("a busy loop: %.2f s of processor, %d turned away" % (spent, refused))
