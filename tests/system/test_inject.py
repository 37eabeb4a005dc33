"""Every call that writes fails in turn, is interrupted or falls short, under strace; every allocation fails in turn, under a shim. What was acknowledged stays.

INJECT=all sweeps every point (`make inject`); otherwise a bounded sample of them is taken, by a seed that is printed (SEED).
"""
import json
import os
import random
import re
import shutil
import signal
import ssl
import subprocess

from cases import check
from kit import BUILD, NEWSXCTL, WAIT_S, Exchange, Failed, finish
from newsx import Link, story
from test_recovery import ALL, PARTNERS, TO, photo_item, subscriber

ALL_POINTS = os.environ.get("INJECT") == "all"
CALLS = ("pwrite64", "pwritev", "fdatasync", "fsync", "write")
SHORT = "retval=1"  # of what it was given, as the caller sees it: one octet
HOWS = {call: ["error=EIO", "error=ENOSPC", "error=EINTR"] + [SHORT] * call.startswith("pwrite") for call in CALLS}
NOMEM = os.path.join(BUILD, "tests", "fault", "shim", "nomem.so")
BROKEN = (Failed, OSError, ssl.SSLError)


def seeded():
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed, flush=True)
    return random.Random(seed)


def in_turn(chosen):
    """each of them; a long sweep says how far it is"""
    for at, point in enumerate(chosen):
        if ALL_POINTS and at % 50 == 0:
            print("%d of %d points" % (at, len(chosen)), flush=True)
        yield point


class Given:
    """what was published, and for what the daemon said yes"""

    def __init__(self, x):
        self.x, self.n, self.acked, self.photos, self.delivered = x, 0, set(), {}, {}

    def octets(self, n):
        return random.Random(n).randbytes(20_000)

    def give(self, link, uri):
        """one item to its answer; its octets follow from its uri"""
        n = int(uri.rsplit(":", 1)[1])
        if n % 4 != 3:
            return link.answer(link.publish(story(uri, body_text="tin " * (n % 500)), TO))
        data = self.octets(n)
        ident, sha = photo_item(link, uri, data)
        while True:
            frame = link.next("NEED", "ACK", "REFUSE")
            if frame.type == "NEED":
                link.serve({sha: data}, frame)
                continue
            link.queue.appendleft(frame)
            return link.answer(ident)

    def load(self, count=4, timeout=5):
        """as far as it gets: the daemon may die, or drop the link"""
        try:
            with Link(self.x.port, self.x.keys["kpl"].identity, timeout=timeout) as link:
                for _ in range(count):
                    self.n += 1
                    uri = "urn:inject:%d" % self.n
                    if self.give(link, uri) == "stored":
                        self.acked.add(uri)
        except BROKEN:
            pass
        try:
            with subscriber(self.x, timeout=timeout) as sub:
                for _ in range(min(count, sub.claimed["owed"])):
                    sub.ack(sub.receive()[0]["id"])
        except BROKEN:
            pass

    def check(self):
        """each one is known: given again, it is a duplicate"""
        with Link(self.x.port, self.x.keys["kpl"].identity) as link:
            for uri in sorted(self.acked):
                got = self.give(link, uri)
                if got != "duplicate":
                    raise Failed("%s was acknowledged, and now it is %s" % (uri, got))


# ---- system calls


def attach(x, options):
    """strace over the running daemon; its lines go to the file"""
    command = ["strace", "-f", "-y", "-p", str(x.process.pid), "-o", os.path.join(x.folder, "strace"),
               "-e", "trace=" + ",".join(CALLS), *options]
    child = subprocess.Popen(command, text=True, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    words = ""
    for line in child.stderr:
        words += line
        if "attached" in line:
            return child
    child.wait(WAIT_S)
    print("strace may not look at a process here (%s): SKIP" % words.strip().replace("\n", "; "))
    return None


def trace_of(x):
    with open(os.path.join(x.folder, "strace"), encoding="utf-8", errors="replace") as file:
        return file.read()


def hits_of(trace):
    return [line for line in trace.splitlines() if "INJECTED" in line]


def detach(child, x):
    """strace ends with a daemon that ends; it hangs when it is told to let go of one that is just ending"""
    try:
        if any("data.mdb" in hit for hit in hits_of(trace_of(x))):
            child.wait(5)
    except subprocess.TimeoutExpired:
        pass
    finish(child)
    return trace_of(x)


def points(trace, noise):
    """(call, how, n) for each call that a thread made in one load"""
    most = {}
    for thread, call in re.findall(r"^(\d+) +(\w+)\(", trace, re.M):
        most[call, thread] = most.get((call, thread), 0) + 1
    out = []
    for call in CALLS:
        n = max([m for (c, _), m in most.items() if c == call], default=0)
        out += [(call, how, i) for i in range(1, n + 1) for how in HOWS[call]]
    if ALL_POINTS:
        return out
    disk = [p for p in out if p[0] != "write"]
    return noise.sample(disk, min(20, len(disk))) + noise.sample([p for p in out if p[0] == "write"], 6)


def one_point(x, given, call, how, n):
    """gives how the daemon took it: "hit" or "none", and its exit status or None"""
    tracer = attach(x, ["-e", "inject=%s:%s:when=%d" % (call, how, n)])
    given.load()
    trace = detach(tracer, x)
    hits = hits_of(trace)
    on_store = any("data.mdb" in line for line in hits)
    status, may_go_on = None, how == "error=EINTR"  # it may be done again
    if (on_store and not may_go_on) or x.process.poll() is not None:
        try:
            status = x.process.wait(5)
        except subprocess.TimeoutExpired:
            raise Failed("%s: %s on the store, and the daemon goes on:\n%s" % (call, how, hits)) from None
        x.reader.join(WAIT_S)
        if status != 74:
            raise Failed("%s %s at %d: ended with %s\n%s" % (call, how, n, status, x.tail()))
        x.restart()
    else:
        x.restart_cleanly()
    return how if hits else "none", status


def test_every_write_fails_in_turn():
    if shutil.which("strace") is None:
        print("no strace here: SKIP")
        return
    noise, seen = seeded(), {}
    with Exchange(PARTNERS, ALL) as x:
        given = Given(x)
        tracer = attach(x, [])
        if tracer is None:
            return
        given.load()
        chosen = points(detach(tracer, x), noise)
        x.restart_cleanly()
        for call, how, n in in_turn(chosen):
            took = one_point(x, given, call, how, n)
            seen[took] = seen.get(took, 0) + 1
        given.check()
        x.stop()
        x.verify()
    print("%d points: %s; %d items acknowledged, all there" % (len(chosen), seen, len(given.acked)))
    if not any(status == 74 for _, status in seen) or not given.acked:
        raise Failed("no call failed")


# ---- newsxctl subscribe, killed at each of its calls

CLIENT = ("mkdirat", "openat", "write", "pwrite64", "fsync", "fdatasync", "linkat", "renameat2", "unlinkat", "close", "flock",
          "ftruncate", "poll")


class Inbox:
    """a subscriber that is killed, and the folders that it keeps"""

    def __init__(self, x):
        self.x, self.n, self.out = x, 0, os.path.join(x.folder, "in")
        self.link = Link(x.port, x.keys["kpl"].identity)

    def give(self):
        """an item with a photo; gives its uri"""
        self.n += 1
        data = random.Random(self.n).randbytes(30_000)
        ident, sha = photo_item(self.link, "urn:inbox:%d" % self.n, data)
        self.link.serve({sha: data}, self.link.next("NEED"))
        if self.link.answer(ident) != "stored":
            raise Failed("not stored")
        return "urn:inbox:%d" % self.n, data

    def run(self, *tracer):
        """takes one item; what strace says"""
        trace = os.path.join(self.x.folder, "strace")
        strace = ["strace", "-o", trace, "-e", "trace=" + ",".join(CLIENT), *tracer] if tracer else []
        done = subprocess.run([*strace, NEWSXCTL, "subscribe", "--server", "127.0.0.1:%d" % self.x.port, "--server-pin",
                               self.x.keys["exchange"].pin, "--identity", self.x.keys["vna"].identity, "--subscription",
                               "from-kpl", "--out", self.out, "--count", "1"],
                              capture_output=True, timeout=3 * WAIT_S, check=False)
        if not tracer:
            check(done.returncode, 0, done.stderr)
            return ""
        with open(trace, encoding="utf-8", errors="replace") as file:
            return file.read()

    def check(self, uri, data):
        """it is there once, and whole; and nothing is left of the run that was killed"""
        names = os.listdir(self.out)
        there = []
        for name in names:
            if not name.startswith("."):
                with open(os.path.join(self.out, name, "document.json"), encoding="utf-8") as file:
                    if json.load(file)["uri"] == uri:
                        there.append(name)
        check(len(there), 1, "folders of %s" % uri)
        folder = os.path.join(self.out, there[0])
        with open(os.path.join(folder, "envelope.json"), encoding="utf-8") as file:
            check(json.load(file)["parts"][0]["size"], len(data), "the envelope")
        parts = os.listdir(os.path.join(folder, "parts"))
        with open(os.path.join(folder, "parts", parts[0]), "rb") as file:
            check((len(parts), file.read()), (1, data), "the photo")


def test_a_subscriber_is_killed_at_each_call():
    if shutil.which("strace") is None:
        print("no strace here: SKIP")
        return
    noise, killed, again = seeded(), 0, 0
    with Exchange(PARTNERS, ALL) as x:
        inbox = Inbox(x)
        uri, data = inbox.give()
        trace = inbox.run("-y")
        if "exited with 0" not in trace:
            print("strace may not look at a process here: SKIP")
            return
        inbox.check(uri, data)
        # from its folder on: what comes before is the loader's, and the handshake
        begin = trace.index(inbox.out)
        before = {call: len(re.findall(r"^%s\(" % call, trace[:begin], re.M)) for call in CLIENT}
        chosen = [(call, n + 1) for call in CLIENT
                  for n in range(before[call], len(re.findall(r"^%s\(" % call, trace, re.M)))]
        if not ALL_POINTS:
            chosen = noise.sample(chosen, min(40, len(chosen)))
        for call, n in in_turn(chosen):
            uri, data = inbox.give()
            mark = x.mark()
            trace = inbox.run("-e", "inject=%s:signal=KILL:when=%d" % (call, n))
            now = x.mark()
            x.process.send_signal(signal.SIGUSR1)
            x.log("store.state", since=now)  # what came before stands in the log now
            if x.found("conn.open", since=mark, peer="vna"):
                x.log("conn.close", since=mark, peer="vna")
            if "killed by SIGKILL" in trace:
                killed += 1
            if not x.found("item.delivered", since=mark, peer="vna"):
                again += 1
                inbox.run()
            inbox.check(uri, data)
        inbox.link.close()
    print("%d points, %d killed, %d came again" % (len(chosen), killed, again))
    if killed < len(chosen) // 2 or again == 0:
        raise Failed("too few were killed to mean anything")


# ---- memory


def test_every_allocation_fails_in_turn():
    if os.environ.get("SAN"):
        print("a sanitizer has an allocator of its own: SKIP")
        return
    noise, ends = seeded(), {}
    switch = os.path.join(os.environ.get("TMPDIR", "/tmp"), "newsxd-nomem.%d" % os.getpid())
    most = 3000 if ALL_POINTS else 600
    chosen = [(n, 0) for n in (range(1, most) if ALL_POINTS else sorted(noise.sample(range(1, most), 40)))]
    chosen += [(each, each) for each in (1000, 300, 100, 50, 20, 7)]

    def arm(x, words):
        with open(switch, "w", encoding="ascii") as file:
            file.write(words)
        x.process.send_signal(signal.SIGUSR2)

    try:
        with Exchange(PARTNERS, ALL, size="512MiB", env={"LD_PRELOAD": NOMEM, "NOMEM": switch}) as x:
            given = Given(x)
            given.load()
            for first, each in in_turn(chosen):
                arm(x, "%d %d" % (first, each))
                given.load(3, timeout=2)
                if x.process.poll() is None:
                    arm(x, "0 0")  # libconfuse 3.3 itself does not survive a failed allocation
                    x.process.send_signal(signal.SIGHUP)
                    given.load(1)
                status = x.process.poll()
                if status is not None:
                    x.reader.join(WAIT_S)
                    ends[status] = ends.get(status, 0) + 1
                    if status != 74:
                        raise Failed("allocation %d (each %d): ended with %s" % (first, each, status))
                    x.restart()
            x.restart_cleanly()
            given.check()
            x.stop()
            x.verify()
    finally:
        if os.path.exists(switch):
            os.unlink(switch)
    print("%d points; ended %s; %d items acknowledged, all there" % (len(chosen), ends, len(given.acked)))
    if len(given.acked) < len(chosen):
        raise Failed("too little came through to mean anything: %d" % len(given.acked))
