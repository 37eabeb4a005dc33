"""bench.py - newsxd beside the least that could do the job (floor.c), on this machine, in this run.

    make bench                     ROUNDS=3, ONLY=photos (a word of the names)
A fresh exchange for each measurement; rounds are interleaved, so that a busy minute hits all of them alike. "5 ms flush": each
fdatasync of both sides takes 5 ms longer, as on a disk without a cache. Medians, with the range behind them; never compare
with another machine's figures. benches.py has the exchanges, work.py what is measured.
"""
import os
import statistics
import subprocess
import sys
import time

from benches import Failed
from work import ONCE, WORK, lmdb

ROUNDS = int(os.environ.get("ROUNDS", "3"))
ONLY = os.environ.get("ONLY", "")


def figure(x):
    return "%d" % round(x) if x >= 1000 else "%.0f" % x if x >= 100 else "%.1f" % x if x >= 10 else "%.2f" % x


def cell(rows, column):
    got = [row[column] for row in rows if row and column in row]
    if not got:
        return "-"
    span = "" if len(got) == 1 else " (%s-%s)" % (figure(min(got)), figure(max(got)))
    return figure(statistics.median(got)) + span


def ratio(ours, beside, column):
    below = [row[column] for row in beside if column in row]
    if not below or not ours:
        return "-"
    return "%.2f" % (statistics.median(row[column] for row in ours) / max(1e-9, statistics.median(below)))


def table(results, lmdb_rows):
    form = "%-25s %-9s %-24s %-31s %-7s %s"
    print(form % ("work", "unit", "newsxd", "floor, or what it says", "ratio", "goal"))
    for name, beside, (_, other), key, goal in WORK:
        if name not in results:
            continue
        ours, theirs = results[name]
        if isinstance(other, str):  # measured in a row of its own
            theirs = results.get(other, ([],))[0]
        for column in dict.fromkeys(c for row in ours for c in row):
            second = cell(theirs, column)
            print(form % (name if column == key else "", column, cell(ours, column),
                          second + (" " + beside if beside and second != "-" else ""), ratio(ours, theirs, column),
                          goal if column == key else ""))
        if not ours:
            print(form % (name, "FAILED", "", "", "", goal))
    for (batch, flush_ms), rows in lmdb_rows.items():
        name = "lmdb commits of %d" % batch + (", %d ms" % flush_ms if flush_ms else "")
        print(form % (name, "per_s", "", cell([{"n": n} for n in rows], "n"), "", ""))


def writes():
    """of all disks: writes and discards that were done so far"""
    with open("/proc/diskstats", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return sum(int(row[7]) + int(row[14] if len(row) > 14 else 0) for row in rows)


def quiet_disk():
    """what the one before left for the disk (a store to give back, a copy) would be paid for in the next one"""
    os.sync()
    before, still = writes(), 0
    for _ in range(50):
        time.sleep(0.2)  # the kernel says no more than how much it has done
        now = writes()
        still, before = still + 1 if now - before < 20 else 0, now
        if still == 3:
            return


def measure(name, functions, rows):
    """one round of one piece of work; False when something went wrong"""
    well = True
    for function, own in zip(functions, rows):
        if not callable(function):
            continue
        try:
            quiet_disk()
            got = function()
            for row, to in zip(got, rows) if isinstance(got, tuple) else [(got, own)]:
                to.append(row)
                print("%s: %s" % (name, row), file=sys.stderr, flush=True)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            well = False
            print("%s: %s" % (name, error), file=sys.stderr, flush=True)
    return well


def main():
    begin = time.monotonic()
    work = [w for w in WORK if ONLY in w[0]]
    results = {w[0]: ([], []) for w in work}
    lmdb_rows = {(1, 0): [], (64, 0): [], (256, 0): [], (64, 5): [], (256, 5): []} if not ONLY else {}
    bad = 0
    for turn in range(ROUNDS):
        for name, _, functions, _, _ in work:
            if turn == 0 or name not in ONCE:
                bad += not measure(name, functions, results[name])
        for how, rows in lmdb_rows.items():
            rows.append(lmdb(*how))
    print("%d rounds, %d s, load %s, %d processors" % (ROUNDS, time.monotonic() - begin, os.getloadavg()[0], os.cpu_count()))
    table(results, lmdb_rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
