"""bench.py - newsxd beside the least that could do the job (floor.c), on this machine, in this run.

    make bench                     ROUNDS=3, ONLY=photos (a word of the names), SLOWSYNC=5 (each flush takes ms longer)
A fresh exchange for each measurement; rounds are interleaved, so that a busy minute hits all of them alike. The daemon
logs as it does in service, into a file. Medians, with the range behind them; never compare with another machine's figures.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from kit import BUILD, NEWSXD, Exchange, Failed, Key, Relay, WAIT_S  # noqa: E402

LOAD = os.path.join(BUILD, "tests/bench/load")
FLOOR = os.path.join(BUILD, "tests/bench/floor")
SLOWSYNC = os.environ.get("SLOWSYNC")
SHIM = {"LD_PRELOAD": os.path.abspath(os.path.join(BUILD, "tests/bench/slowsync.so")), "SLOWSYNC_MS": SLOWSYNC} if SLOWSYNC else {}
ROUNDS = int(os.environ.get("ROUNDS", "3"))
ONLY = os.environ.get("ONLY", "")
LINE = {"rate": 250_000, "delay": 0.02}  # 2 Mbit/s, 40 ms there and back
FAN = 50


class Tool:
    """a program that prints {"ready":n}, then one line of JSON"""

    def __init__(self, *words, env=None):
        self.process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise Failed("%s said nothing, status %s" % (self.process.args[:2], self.process.wait(WAIT_S)))
        return json.loads(text)

    def close(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        self.process.stdout.close()

    def result(self):
        try:
            got = self.line()
        finally:
            self.close()
        if got.get("lost") or got.get("refused"):
            raise Failed("%s: %s" % (" ".join(self.process.args[1:3]), got))
        return got


class Measured(Exchange):
    """an exchange that logs into a file: reading its log must not cost what is measured"""

    def __init__(self, **more):
        many = "connections = 2000 credit-items = 256 credit-octets = 16MiB "
        partners = {"kpl": many + 'publish = {"bench.*"}', "vna": many + 'read = {"bench.*"}'}
        sections = {"store": 'items-share = "%s"' % more.pop("share", "60%"),
                    "limits": "connections-per-address = 2000"}
        subscriptions = {"fan%d" % i: 'partner = "vna" channels = {"bench.*"} start = "all"' for i in range(more.pop("fan", 0))}
        super().__init__(partners, subscriptions, sections, size=more.pop("size", "2GiB"), env=SHIM)
        self.sink = os.path.join(self.folder, "log")

    def start(self, wait=True):
        with open(self.sink, "ab") as sink:
            seen = sink.tell()
            self.process = subprocess.Popen([NEWSXD, "--config", self.config], stderr=sink, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.env})
        end = time.monotonic() + WAIT_S
        with open(self.sink, encoding="utf-8", errors="replace") as log:
            log.seek(seen)
            while wait:
                line = log.readline()
                if "event=listen.open" in line:
                    self.port = int(line.split("addr=")[1].split()[0].strip('"').rsplit(":", 1)[1])
                    self.configure()
                    return self
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed("newsxd does not start\n" + self.tail())
        return self

    def tail(self, n=20):
        with open(self.sink, encoding="utf-8", errors="replace") as log:
            return "".join("  | " + line for line in log.readlines()[-n:])

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)

    def load(self, role, who, *words, port=None):
        return Tool(LOAD, role, "--identity", self.keys[who].identity, "--port", port or self.port, *words)


class Floor:
    """the least that can do the job"""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="newsxd-floor.")
        self.key = Key(self.folder, "floor")
        self.server = Tool(FLOOR, "serve", "--identity", self.key.identity, "--file", os.path.join(self.folder, "data"), env=SHIM)
        self.port = self.server.line()["port"]
        return self

    def load(self, role, *words):
        return Tool(FLOOR, role, "--identity", self.key.identity, "--port", self.port, *words)

    def __exit__(self, *what):
        self.server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- what is measured: each gives {column: figure}; names of columns say the unit

def run(tool):
    tool.line()
    return tool.result()


def items(links, window, seconds):
    words = ("--links", links, "--window", window, "--seconds", seconds)

    def ours():
        with Measured() as x:
            return pick(run(x.load("publish", "kpl", *words)), "per_s", "p50", "p99")

    def floor():
        with Floor() as x:
            return pick(run(x.load("publish", *words)), "per_s", "p50", "p99")
    return ours, floor


def photos():
    words = ("--links", 4, "--window", 4, "--seconds", 2, "--size", 2_000_000)

    def ours():
        with Measured(share="10%") as x:
            return pick(run(x.load("photos", "kpl", *words)), "mb_s", "p50", "p99")

    def floor():
        with Floor() as x:
            return pick(run(x.load("publish", *words)), "mb_s", "p50", "p99")
    return ours, floor


def fan_out(count, rate):
    publish = ("--window", 64, "--count", count, "--seconds", 30, *(("--rate", rate) if rate else ()))
    subscribe = ("--links", FAN, "--count", count * FAN, "--seconds", 30)
    columns = ("p50", "p99") if rate else ("per_s", "p50", "p99")

    def both(subscriber, publisher):
        subscriber.line()
        giver = publisher()
        got = run(giver)
        return pick(subscriber.result(), *columns), got

    def ours():
        with Measured(fan=FAN) as x:
            return both(x.load("subscribe", "vna", *subscribe), lambda: x.load("publish", "kpl", *publish))[0]

    def floor():
        with Floor() as x:
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


def rss(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def ready(count=100_000):
    """from exec to the first HELLO; all of it owed to one subscription, killed in the midst of work"""
    def ours():
        with Measured(fan=1) as x:
            run(x.load("publish", "kpl", "--links", 4, "--window", 64, "--count", count, "--seconds", 60))
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


def pick(got, *names):
    return {name: got[name] for name in names}


# name, (ours, floor), (column whose ratio counts, "more" or "less" is better), the goal of the design
WORK = [
    ("items 4 KB 1x1", items(1, 1, 1.5), "per_s", ">= 1,400/s, floor/1.2"),
    ("items 4 KB 1x64", items(1, 64, 1.5), "per_s", ">= 30,000/s"),
    ("items 4 KB 16x64", items(16, 64, 2), "per_s", ">= 60,000/s"),
    ("photos 2 MB x4", photos(), "mb_s", ">= 330 MB/s"),
    ("fan-out 50", fan_out(3000, 0), "per_s", ">= 170,000/s"),
    ("fan-out 50 at 200/s", fan_out(400, 200), "p50", "2.5 / 8 ms"),
    ("flash up behind photos", flash_up(), "p50", "<= 200, worst 400 ms"),
    ("flash down behind photos", flash_down(), "p50", "<= 200, worst 400 ms"),
    ("memory, 1,000 idle", idle(), "kib_link", "<= 20 KB"),
    ("ready after SIGKILL", ready(), "ms", "<= 100 ms (100,000 items)"),
]


def lmdb(batch):
    folder = tempfile.mkdtemp(prefix="newsxd-floor.")
    try:
        return Tool(FLOOR, "lmdb", "--dir", folder, "--batch", batch, "--seconds", 0.7, env=SHIM).result()["per_s"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figure(x):
    return "%d" % round(x) if x >= 1000 else "%.0f" % x if x >= 100 else "%.1f" % x if x >= 10 else "%.2f" % x


def cell(rows, column):
    got = [row[column] for row in rows if row and column in row]
    if not got:
        return "-"
    span = "" if len(got) == 1 else " (%s-%s)" % (figure(min(got)), figure(max(got)))
    return figure(statistics.median(got)) + span


def table(results, lmdb_rows):
    form = "%-25s %-9s %-24s %-24s %-7s %s"
    print(form % ("work", "unit", "newsxd", "floor", "ratio", "goal"))
    for name, _, key, goal in WORK:
        if name not in results:
            continue
        ours, floor = results[name]
        for column in dict.fromkeys(c for row in ours for c in row):
            ratio = "-"
            if any(floor):
                ratio = "%.2f" % (statistics.median(r[column] for r in ours) / max(1e-9, statistics.median(r[column] for r in floor if r)))
            print(form % (name if column == key else "", column, cell(ours, column), cell(floor, column), ratio,
                          goal if column == key else ""))
        if not ours:
            print(form % (name, "FAILED", "", "", "", goal))
    for batch, rows in lmdb_rows.items():
        print(form % ("lmdb commits of %d" % batch, "per_s", "", cell([{"n": n} for n in rows], "n"), "", ""))


def main():
    begin = time.monotonic()
    work = [w for w in WORK if ONLY in w[0]]
    results = {w[0]: ([], []) for w in work}
    lmdb_rows = {1: [], 64: [], 256: []} if not ONLY else {}
    bad = 0
    for turn in range(ROUNDS):
        for name, (ours, floor), _, _ in work:
            if turn > 0 and "ready" in name:
                continue
            for measure, rows in ((ours, results[name][0]), (floor, results[name][1])):
                try:
                    if measure:
                        rows.append(measure())
                        print("round %d, %s: %s" % (turn + 1, name, rows[-1]), file=sys.stderr, flush=True)
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    bad += 1
                    print("round %d, %s: %s" % (turn + 1, name, error), file=sys.stderr, flush=True)
        for batch, rows in lmdb_rows.items():
            rows.append(lmdb(batch))
    print("%d rounds, %d s, load %s, %d processors%s" % (ROUNDS, time.monotonic() - begin, os.getloadavg()[0], os.cpu_count(),
                                                        ", each flush %s ms longer" % SLOWSYNC if SLOWSYNC else ""))
    table(results, lmdb_rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
