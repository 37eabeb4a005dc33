"""The cable is pulled: no reset, no word, nothing comes and nothing goes, and then it is back.

The line is the loopback of a network name space of our own: silent (a queue that drops every packet; neither side is told) or
dead (the interface is down). Under the load of tests/fault/load.py, with newsxctl as one of the readers. SEED repeats it.
"""
import ctypes
import glob
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

from cases import holds
from kit import HERE, SLOW, WAIT_S, Exchange, finish

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fault"))
from load import Counts, Publisher, Reader, World  # noqa: E402

NEW_NET = 0x40000000  # CLONE_NEWNET, unshare(2)
READERS = ("vna", "web")
PARTNERS = {"kpl": 'publish = {"kpl.*"} kills-per-day = 1000000', "afp": 'publish = {"afp.*"} kills-per-day = 1000000',
            **{name: 'read = {"kpl.*", "afp.*"}' for name in (*READERS, "ctl")}}
SUBS = {"to-" + name: 'partner = "%s" channels = {"*"} start = "all" versions = "all"' % name for name in (*READERS, "ctl")}
LIMITS = "ping = 500ms idle = 2s stall = 2s"
SILENT = "tc qdisc %s dev lo root tbf rate 8kbit burst 10 limit 10"


def shell(command):
    return subprocess.run(command.split(), capture_output=True, text=True, check=False)


def own_line():
    """a loopback that is ours; False, with a word, where none can be had"""
    if not all(map(shutil.which, ("ip", "tc"))) or ctypes.CDLL(None).unshare(NEW_NET) != 0 or \
       shell("ip link set lo up").returncode != 0:
        print("no network name space of our own here: SKIP")
        return False
    done = shell(SILENT % "add")
    shell(SILENT % "del")
    if done.returncode != 0:
        print("no queue that drops everything here (%s): SKIP" % done.stderr.strip())
        return False
    return True


def pulled(how, seconds, acked):
    out, back = {"silent": (SILENT % "add", SILENT % "del"), "dead": ("ip link set lo down", "ip link set lo up")}[how]
    holds(shell(out).returncode == 0, out)
    threading.Event().wait(seconds / 2)
    before = len(acked)
    threading.Event().wait(seconds / 2)
    holds(len(acked) == before or seconds < 1, "the cable is pulled, and %d were acknowledged" % (len(acked) - before))
    holds(shell(back).returncode == 0, back)


def resumed(world, readers, within_s):
    """seconds until something new was acknowledged, and every reader got something new"""
    begin, acked, seen = time.monotonic(), len(world.acked), [len(r.seen) for r in readers]
    while len(world.acked) == acked or any(len(r.seen) == n for r, n in zip(readers, seen)):
        holds(time.monotonic() < begin + within_s, "nothing goes on %d s after the cable is back" % within_s)
        threading.Event().wait(0.01)
    return time.monotonic() - begin


class Service(threading.Thread):
    """newsxctl subscribe, begun again whenever it ends, as a service manager does it"""

    def __init__(self, x):
        super().__init__(daemon=True)
        self.x, self.out, self.child, self.ends, self.done = x, os.path.join(x.folder, "out"), None, [], False

    def run(self):
        while not self.done:
            self.child = self.x.ctl_begin("subscribe", "ctl", "--subscription", "to-ctl", "--out", self.out)
            _, words = self.child.communicate()
            self.ends.append((self.child.returncode, words.strip().splitlines()[-1:]))

    def end(self):
        self.done = True
        finish(self.child)
        self.join(WAIT_S)


def received(out):
    got = []
    for path in glob.glob(os.path.join(out, "*", "document.json")):
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        got.append((facts["uri"], facts["version"]))
    return got


def test_a_cable_that_is_pulled():
    """between any two packets, for less and for more time than anybody waits; what was acknowledged comes to every reader"""
    if not own_line():
        return
    pulls = int(os.environ.get("N", "4"))
    seed = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed)
    noise, took = random.Random(seed), []
    with Exchange(PARTNERS, SUBS, {"limits": LIMITS, "log": "item-lines = 0"}, size="256MiB") as x:
        world, ctl = World(x, seed, 100 / SLOW), Service(x)
        publishers, readers = [Publisher(world, w) for w in ("kpl", "afp")], [Reader(world, w) for w in READERS]
        for thread in [*publishers, *readers, ctl]:
            thread.start()
        for at in range(pulls):
            threading.Event().wait(noise.uniform(0.3, 1))
            how, seconds = ("silent", "dead")[at % 2], noise.choice([0.2, 1, 3, 5])
            pulled(how, seconds, world.acked)
            took.append((resumed(world, readers, WAIT_S), how, seconds))
        missing = world.ends(publishers, readers, WAIT_S)
        end = time.monotonic() + WAIT_S
        while world.wanted() - set(received(ctl.out)) and time.monotonic() < end:
            threading.Event().wait(0.2)
        lost = sorted(world.wanted() - set(received(ctl.out)))[:5]
        ctl.end()
        x.stop()
        x.verify()
        counts = Counts()
        counts.take(x.lines)
    print("%d items; on again after each pull: %s; %d links of two readers, %d items twice; newsxctl ended %s" % (
        len(world.acked), ", ".join("%.1f s (%s %.1f s)" % one for one in took), sum(r.links for r in readers),
        sum(r.again for r in readers), ctl.ends))
    holds(not missing and not lost, "acknowledged and not delivered: %s %s" % (missing, lost))
    holds(all(status == 75 for status, _ in ctl.ends[:-1]), "newsxctl ended for good: %s" % ctl.ends)
    holds(not world.faults and not counts.bad, "%s %s" % (world.faults[:3], counts.bad[:3]))
