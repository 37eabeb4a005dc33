"""soak.py - a small store that stays full for MINUTES: memory, descriptors and files must stay flat. `make soak MINUTES=10`.

The load of load.py at a bounded pace. Of five subscribers one stays, one comes back every few seconds, one is cut off
in mid-frame, two never come: their debt expires by age and by size. The store stands at its ceilings, so retirement,
expiry and refusals of what has no room go on all the time; the configuration is read again every few seconds.
Sampled from /proc; after the first third each figure must be flat: the slope of a straight line through the samples,
over the rest of the run, is within TOLERANCE. No line of level err, and nothing that is owed is missing.
"""
import os
import random
import statistics
import sys
import threading
import time

from load import Counts, Publisher, Reader, World
from kit import SLOW, Exchange, Relay

RIGHTS = ' kills-per-day = 1000000'
PARTNERS = {"kpl": 'publish = {"kpl.*"}' + RIGHTS, "afp": 'publish = {"afp.*"}' + RIGHTS,
            **{name: 'read = {"kpl.*", "afp.*"}' for name in ("stays", "comes", "cut", "away", "far")}}
SUBSCRIPTIONS = {"to-" + name: 'partner = "%s" channels = {"*"} start = "all" versions = "all" %s' % (name, more)
                 for name, more in (("stays", ""), ("comes", ""), ("cut", ""), ("away", 'backlog-age = "5s"'),
                                    ("far", 'backlog-size = "5%"'))}
ABSENT = {"to-away", "to-far"}
# what a figure may rise over two thirds of the run: a share of its mean, or so much, whichever is more
# The table of new stories (fresh.h) doubles as they come, up to 4 MiB, and the heap may keep
# its former half: in ten minutes that is a mebioctet. What is mapped is the store, page by page
TOLERANCE = {"anon_kb": (0.03, 2048), "mapped_kb": (0.03, 2048), "descriptors": (0, 1.5), "threads": (0, 0), "disk_kb": (0, 0)}


class Samples:
    def __init__(self, x):
        self.x, self.rows = x, []

    def take(self):
        row, pid = {"t": time.monotonic()}, self.x.process.pid
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            words = dict(line.split(":", 1) for line in file)
        row["anon_kb"], row["mapped_kb"] = (int(words[k].split()[0]) for k in ("RssAnon", "RssFile"))
        row["threads"] = int(words["Threads"])
        row["descriptors"] = len(os.listdir("/proc/%d/fd" % pid))
        row["disk_kb"] = sum(os.stat(os.path.join(at, name)).st_blocks // 2 for at, _, names in
                             os.walk(os.path.join(self.x.folder, "store")) for name in names)
        self.rows.append(row)

    def judge(self):
        """gives the figures as a table, and what was not flat"""
        rows, faults, table = self.rows[len(self.rows) // 3:], [], []
        times = [row["t"] for row in rows]
        for name, (share, least) in TOLERANCE.items():
            values = [row[name] for row in rows]
            rise = slope(times, values) * (times[-1] - times[0])
            may = max(share * statistics.mean(values), least)
            table.append("%-12s first %d, after a third %d, at the end %d, least %d, most %d, rise by the slope %.1f of %.1f"
                         % (name, self.rows[0][name], values[0], values[-1], min(values), max(values), rise, may))
            if rise > may:
                faults.append("%s rose by %.1f; %.1f is the tolerance" % (name, rise, may))
        return table, faults


def slope(times, values):
    middle, mean = statistics.mean(times), statistics.mean(values)
    below = sum((t - middle) ** 2 for t in times)
    return sum((t - middle) * (v - mean) for t, v in zip(times, values)) / below if below else 0.0


class CutReader(Reader):
    """comes through a relay that is cut after so many octets"""

    def __init__(self, world, name, relay, noise):
        super().__init__(world, name)
        self.relay, self.noise, self.port = relay, noise, relay.port

    def take(self, link):
        if self.relay.limit["down"] is None:
            self.relay.cut_after(self.noise.randint(200_000, 4_000_000), "down")
        super().take(link)


def live(x, samples, counts, seconds):
    """samples, reloads, and the log read and let go; gives the seconds from SIGHUP to the end of a reload"""
    begin, reloads, every = time.monotonic(), 0, min(2.0, seconds / 30)
    while time.monotonic() < begin + seconds:
        threading.Event().wait(every)
        samples.take()
        if len(samples.rows) % 5 == 0:
            x.reload()
            reloads += 1
        counts.take(x.lines[:-20])
        del x.lines[:-20]
    return reloads


def soak(seconds, seed, pace=40, size="64MiB"):
    counts = Counts()
    sections = {"store": 'keep = "7d" history-keep = "1min" hot-memory = "2MiB"',
                "log": 'level = "info" item-lines = 0'}
    with Exchange(PARTNERS, SUBSCRIPTIONS, sections, size=size) as x:
        world, samples, relay = World(x, seed, pace), Samples(x), Relay(x.port)
        publishers = [Publisher(world, w) for w in ("kpl", "afp")]
        readers = [Reader(world, "stays"), Reader(world, "comes", stay=3), CutReader(world, "cut", relay, random.Random(seed))]
        samples.take()
        for thread in publishers + readers:
            thread.start()
        reloads = live(x, samples, counts, seconds)
        missing = world.ends(publishers, readers, 60 * SLOW)
        relay.close()
        x.stop()
        x.verify()
        counts.take(x.lines)
    table, faults = samples.judge()
    print("%.0f s, %d samples; %d items acknowledged (%s); %d deliveries, %d of them again; %d links; %d reloads; %d items "
          "retired, expired: %s" % (seconds, len(samples.rows), len(world.acked), world.answers,
                                    sum(len(r.seen) + r.again for r in readers), sum(r.again for r in readers),
                                    sum(r.links for r in readers), reloads, counts.retired, counts.expired))
    print("\n".join(table))
    faults += world.faults + ["in the log: " + line for line in counts.bad]
    if missing:
        faults.append("acknowledged and not delivered: %s" % missing)
    if not counts.retired or not ABSENT <= set(counts.expired):
        faults.append("the store was never full: %d retired, expired %s" % (counts.retired, counts.expired))
    if set(counts.expired) - ABSENT:
        faults.append("debts of subscribers who came expired: %s" % counts.rules)
    return faults


def main():
    seed = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed, flush=True)
    faults = soak(60 * float(os.environ.get("MINUTES", "10")), seed)
    for words in faults[:10]:
        print("FAIL: " + words)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
