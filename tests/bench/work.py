"""work.py - what bench.py measures.

Each piece of work is two functions: newsxd, and what stands beside it (the floor; or None). Each gives {column: figure}, the
names of the columns say the unit; the first may give both rows at once.
"""
import os
import select
import shutil
import subprocess
import tempfile
import time

from benches import FLOOR, NEWSXD, WAIT_S, Floor, Measured, Piped, Tool, pick, rss, run, slow_disk
from kit import Relay

LINE = {"rate": 250_000, "delay": 0.02}  # 2 Mbit/s, 40 ms there and back
FAN = 50


def items(links, window, seconds, flush_ms=0, known=0):
    words = ("--links", links, "--window", window, "--seconds", seconds)

    def ours():
        with Measured(flush_ms, known, size="4GiB") as x:
            return pick(run(x.load("publish", "kpl", *words)), "per_s", "p50", "p99")

    def floor():
        with Floor(flush_ms) as x:
            return pick(run(x.load("publish", *words)), "per_s", "p50", "p99")
    return ours, floor


def photos(flush_ms=0):
    words = ("--links", 4, "--window", 4, "--seconds", 2, "--size", 2_000_000)

    def ours():
        with Measured(flush_ms, share="10%") as x:
            return pick(run(x.load("photos", "kpl", *words)), "mb_s", "p50", "p99")

    def floor():
        with Floor(flush_ms) as x:
            return pick(run(x.load("publish", *words)), "mb_s", "p50", "p99")
    return ours, floor


def beside_photos(flush_ms=0):
    """stories of one partner, 100 a second, while another sends photos as fast as it goes"""
    stories = ("--links", 1, "--window", 8, "--rate", 100, "--seconds", 3)
    stream = ("--links", 4, "--window", 4, "--seconds", 3.5, "--size", 2_000_000)

    def both(photos_tool, stories_tool):
        photos_tool.line()
        got = pick(run(stories_tool()), "p50", "p99")
        return {**got, "mb_s": photos_tool.result()["mb_s"]}

    def ours():
        with Measured(flush_ms, share="10%", size="4GiB") as x:
            return both(x.load("photos", "kpl", *stream), lambda: x.load("publish", "ttx", *stories))

    def floor():
        with Floor(flush_ms) as x:
            return both(x.load("publish", *stream), lambda: x.load("publish", *stories))
    return ours, floor


def beside_backup():
    """1,000 stories a second, first alone, then while the store is copied, again and again; one exchange, one run"""
    words = ("--links", 4, "--window", 16, "--rate", 1000, "--seconds", 2)

    def ours():
        with Measured() as x:
            run(x.load("publish", "kpl", "--links", 4, "--window", 64, "--count", 30000, "--seconds", 30))
            before = pick(run(x.load("publish", "kpl", *words)), "p50", "p99")
            load = x.load("publish", "kpl", *words)
            load.line()
            copies = 0
            while copies == 0 or not select.select([load.process.stdout], [], [], 0)[0]:
                copies += 1
                subprocess.run([NEWSXD, "--config", x.config, "--backup", os.path.join(x.folder, "copy%d" % copies)],
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WAIT_S)
            return pick(load.result(), "p50", "p99"), before
    return ours, None


def unread():
    """every item is logged, and nobody reads the log any more; beside it, somebody does"""
    def measure(is_read):
        words = ("--links", 4, "--window", 16, "--rate", 1000, "--seconds", 2)
        with Piped(is_read) as x:
            run(x.load("publish", "kpl", "--links", 4, "--window", 16, "--count", 2000, "--seconds", 10))
            return pick(run(x.load("publish", "kpl", *words)), "p50", "p99")
    return lambda: measure(False), lambda: measure(True)

def fan_out(count, rate, flush_ms=0):
    publish = ("--window", 64, "--count", count, "--seconds", 30, *(("--rate", rate) if rate else ()))
    subscribe = ("--links", FAN, "--count", count * FAN, "--seconds", 30)
    columns = ("p50", "p99") if rate else ("per_s", "p50", "p99")

    def both(subscriber, publisher):
        subscriber.line()
        giver = publisher()
        got = run(giver)
        return pick(subscriber.result(), *columns), got

    def ours():
        with Measured(flush_ms, fan=FAN) as x:
            return both(x.load("subscribe", "vna", *subscribe), lambda: x.load("publish", "kpl", *publish))[0]

    def floor():
        with Floor(flush_ms) as x:
            return both(x.load("subscribe", *subscribe), lambda: x.load("publish", *publish))[0]
    return ours, floor


def flash_up():
    """a flash behind 20 photos that its publisher is sending; publish to ACK"""
    def measure(*more):
        with Measured() as x:
            relay = Relay(x.port, **LINE)
            try:
                got = run(x.load("photos", "kpl", "--links", 1, "--window", 20, "--count", 20, "--size", 2_000_000, "--flashes", 25,
                                 "--flash-gap", 250, "--seconds", 30, *more, port=relay.port))
            finally:
                relay.close()
        return {"p50": got["flash_p50"], "worst": got["flash_max"]}
    return measure, lambda: measure("--flash-alone", 1)


def flash_down():
    """a flash behind 20 photos that the exchange is sending to a subscriber; publish to delivery"""
    def measure(photos_n=20):
        with Measured(fan=1) as x:
            if photos_n:
                run(x.load("photos", "kpl", "--window", 4, "--count", photos_n, "--size", 2_000_000, "--seconds", 30))
            relay = Relay(x.port, **LINE)
            try:
                taker = x.load("subscribe", "vna", "--links", 1, "--count", 0, "--flashes", 25, "--seconds", 30, port=relay.port)
                taker.line()
                run(x.load("photos", "kpl", "--size", 2048, "--flashes", 25, "--flash-gap", 250, "--flash-alone", 1, "--seconds", 30))
                got = taker.result()
            finally:
                relay.close()
        return {"p50": got["flash_p50"], "worst": got["flash_max"]}
    return measure, lambda: measure(0)


def idle():
    words = ("--links", 1000, "--seconds", 4)

    def ours():
        with Measured(size="64MiB") as x:
            return {"kib_link": run(x.load("idle", "vna", *words, "--pid", x.process.pid))["kib_per_link"]}

    def floor():
        with Floor() as x:
            before = rss(x.server.process.pid)
            tool = x.load("idle", *words)
            tool.line()
            after = rss(x.server.process.pid)
            tool.close()
            return {"kib_link": (after - before) / 1000}
    return ours, floor


def ready(owed, known=0):
    """from exec to the first HELLO; all that is there is owed to one subscription; killed in the midst of work"""
    def ours():
        with Measured(fan=1, known=known, size="4GiB") as x:
            if owed:
                run(x.load("publish", "kpl", "--links", 4, "--window", 64, "--count", owed, "--seconds", 60))
            giver = x.load("publish", "kpl", "--links", 4, "--window", 64, "--seconds", 5)
            giver.line()
            time.sleep(0.2)
            x.kill()
            giver.close()
            begin = time.monotonic()
            x.start()
            tool = x.load("publish", "kpl", "--seconds", 0.01)
            tool.line()
            took = time.monotonic() - begin
            tool.close()
            return {"ms": took * 1000}
    return ours, None


def lmdb(batch, flush_ms=0):
    folder = tempfile.mkdtemp(prefix="newsxd-floor.")
    try:
        return Tool(FLOOR, "lmdb", "--dir", folder, "--batch", batch, "--seconds", 0.7, env=slow_disk(flush_ms)).result()["per_s"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


MILLION = 1_000_000
# name, what stands beside it where that is not the floor, (newsxd, beside), (column whose ratio counts), the goal of the design
WORK = [
    ("items 4 KB 1x1", "", items(1, 1, 1.5), "per_s", ">= 1,400/s, floor/1.2"),
    ("items 4 KB 1x64", "", items(1, 64, 1.5), "per_s", ">= 30,000/s"),
    ("items 4 KB 16x64", "", items(16, 64, 2), "per_s", ">= 60,000/s"),
    ("items 16x64, 1M known", "none known", (items(16, 64, 2, known=MILLION)[0], "items 4 KB 16x64"), "per_s", ">= 10,000/s"),
    ("items 16x64, 5 ms flush", "", items(16, 64, 2, flush_ms=5), "per_s", ">= 5,000/s"),
    ("photos 2 MB x4", "", photos(), "mb_s", ">= 330 MB/s"),
    ("photos x4, 5 ms flush", "", photos(flush_ms=5), "mb_s", ""),
    ("story beside photos", "", beside_photos(), "p99", "< 20 ms"),
    ("the same, 5 ms flush", "", beside_photos(flush_ms=5), "p99", ""),
    ("fan-out 50", "", fan_out(3000, 0), "per_s", ">= 170,000/s"),
    ("fan-out 50 at 200/s", "", fan_out(400, 200), "p50", "2.5 / 8 ms"),
    ("the same at 5 ms flush", "", fan_out(400, 200, flush_ms=5), "p50", ""),
    ("flash up behind photos", "alone", flash_up(), "p50", "<= 200, worst 400 ms"),
    ("flash down behind photos", "alone", flash_down(), "p50", "<= 200, worst 400 ms"),
    ("story, log not read", "read", unread(), "p99", "unchanged"),
    ("story beside --backup", "before", beside_backup(), "p99", "at most doubles"),
    ("memory, 1,000 idle", "", idle(), "kib_link", "<= 20 KB"),
    ("ready after SIGKILL", "", ready(100_000), "ms", "<= 100 ms, 100,000 owed"),
    ("ready, 1M known", "", ready(0, known=MILLION), "ms", "<= 100 ms"),
]
ONCE = ("ready after SIGKILL", "ready, 1M known")
