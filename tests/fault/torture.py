"""torture.py - N SIGKILLs at random moments of a busy exchange, and a checker outside that knows every yes. `make torture N=1000`.

Two publishers, three subscribers that acknowledge, one that never comes (its debt expires), a short keep (retirement
all the time): see load.py. Most lives of the daemon are short, one in ten is long enough for its slow work. Nothing
acknowledged may be missing from any subscriber, no octet may differ, a position names one item for ever, nothing comes
after its kill, and the store verifies at the end. SEED=... repeats the choices.
"""
import os
import random
import sys
import threading
import time

from load import Counts, Publisher, Reader, World
from kit import Exchange, Failed

READERS = ("vna", "web", "abc")
RIGHTS = ' kills-per-day = 1000000'
PARTNERS = {"kpl": 'publish = {"kpl.*"}' + RIGHTS, "afp": 'publish = {"afp.*"}' + RIGHTS, "gone": 'read = {"kpl.*"}',
            **{name: 'read = {"kpl.*", "afp.*"}' for name in READERS}}
SUBSCRIPTIONS = {"to-" + name: 'partner = "%s" channels = {"*"} start = "all" versions = "all"' % name for name in READERS}
PACE = 200  # items a second of each publisher at most; they wait for the readers too
SUBSCRIPTIONS["to-gone"] = 'partner = "gone" channels = {"kpl.*"} start = "all" backlog-age = "2s"'


def kills(x, n, noise, counts):
    """gives how long each restart took until it listened"""
    took = []
    for at in range(n):
        long = at % 10 == 9
        threading.Event().wait(noise.uniform(2.5, 4) if long else noise.expovariate(1 / 0.15))  # the moment is the test
        x.kill()
        begin = time.monotonic()
        x.restart()
        took.append(time.monotonic() - begin)
        counts.take(x.lines[:-20])
        del x.lines[:-20]
        if (at + 1) % 100 == 0:
            print("%d kills" % (at + 1), flush=True)
    return sorted(took)


def torture(n, seed):
    sections, counts = {"store": 'keep = "1s" history-keep = "1min"', "log": 'level = "info" item-lines = 0'}, Counts()
    with Exchange(PARTNERS, SUBSCRIPTIONS, sections, size="256MiB") as x:
        world = World(x, seed, PACE)
        publishers, readers = [Publisher(world, w) for w in ("kpl", "afp")], [Reader(world, w) for w in READERS]
        world.keep_up = readers
        for thread in publishers + readers:
            thread.start()
        took = kills(x, n, random.Random(seed), counts)
        missing = world.ends(publishers, readers, 120)
        x.stop()
        x.verify()
        counts.take(x.lines)
    print("%d kills; %d items acknowledged (%s); %d deliveries, %d of them again; %d items retired, expired: %s; restart "
          "until it listens: median %.0f ms, 99 %% %.0f ms, worst %.0f ms"
          % (n, len(world.acked), world.answers, sum(len(r.seen) + r.again for r in readers), sum(r.again for r in readers),
             counts.retired, counts.expired, took[n // 2] * 1000, took[n * 99 // 100] * 1000, took[-1] * 1000))
    faults = world.faults + ["in the log: " + line for line in counts.bad]
    if missing:
        faults.append("acknowledged and not delivered: %s" % missing)
    if not counts.retired or not counts.expired.get("to-gone") or not world.acked:
        faults.append("nothing was retired, expired or acknowledged: this was no torture")
    if set(counts.expired) - {"to-gone"}:
        faults.append("debts of subscribers who came expired: %s" % counts.rules)
    return faults


def main():
    seed = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed, flush=True)
    faults = torture(int(os.environ.get("N", "1000")), seed)
    for words in faults[:10]:
        print("FAIL: " + words)
    if len(faults) > 10:
        raise Failed("%d faults" % len(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
