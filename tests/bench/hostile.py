"""hostile.py - what an innocent partner feels while another one, with a valid certificate, does its worst.

    make hostile                   ROUNDS=3, SECONDS=2, ONLY=items (a word of the names; "all at once" is one)
A story every 10 ms from publish to its ACK, and to the reader; in one run by turns: quiet, the flood, and the same flood at
another exchange on this machine. The last is what the machine alone does: two busy processors make fdatasync itself slow,
whoever asked for it. So there are two ratios of the 99th percentiles: flood against quiet, and flood here against flood next
door; the second is the daemon's own. A store that the floods filled may have no room for a moment: that counts
as time, and is told. At the end all floods at once. Compare ratios of one run, never figures of two.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import barrage  # noqa: E402
from cases import Innocent, check, octets  # noqa: E402
from kit import Exchange, Key  # noqa: E402
from newsx import story  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = float(os.environ.get("SECONDS", "2"))
ONLY = os.environ.get("ONLY", "")
PACE_S, AGAIN_S = 0.01, 0.1


class Measuring(Innocent):
    later = 0  # times that there was no room for its story: it offers it again, and the time goes on

    def measure(self, seconds):
        """[(ms to the ACK, ms to the reader)]"""
        out, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            self.n += 1
            begin = time.monotonic()
            document = octets(story("urn:good:%s:%d" % (self.name, self.n), body_text="ສະບາຍດີ " * 200))
            while (answer := self.good.answer(self.good.publish(document, {"channel": "good.news"}))) == ("store-full", "later"):
                self.later += 1
                time.sleep(AGAIN_S)
            check(answer, "stored", "the innocent publisher")
            acked = time.monotonic()
            head, _, got = self.friend.receive()
            check(got, document, "the innocent reader")
            self.friend.ack(head["id"])
            out.append((1000 * (acked - begin), 1000 * (time.monotonic() - begin)))
            time.sleep(max(0.0, PACE_S - (time.monotonic() - begin)))
        return out


def p(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def line(name, times, rounds, later):
    """times: {"quiet" | "next door" | "here": [(ack, reader)]}"""
    acks = {where: [v[0] for v in values] for where, values in times.items()}
    print("%-18s %8d  " % (name, rounds) + "   ".join("%6.2f %6.2f" % (p(v, .5), p(v, .99)) for v in acks.values()) +
          "  %7.1f   x %5.2f   x %5.2f" % (max(acks["here"]), p(acks["here"], .99) / p(acks["quiet"], .99),
                                           p(acks["here"], .99) / p(acks["next door"], .99)) +
          ("  no room %d times" % later if later else ""), flush=True)


def exchange(more):
    """with a liar, and more: an innocent pair"""
    partners, subscriptions = (Innocent.partners, Innocent.subscriptions) if more else ({}, {})
    return Exchange({**partners, "liar": barrage.LIAR}, {**subscriptions, **barrage.SUBS},
                    {"limits": barrage.LIMITS, "log": "item-lines = 500"}, size="2GiB")


def flooded(target, functions, innocent):
    """[(ack, reader)], and how often the floods came round"""
    with barrage.Running(target, functions) as running:
        innocent.measure(0.3)
        times = innocent.measure(SECONDS)
        rounds = sum(running.rounds.values())
    innocent.measure(0.3)
    return times, rounds


def memory(process):
    with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
        print(*[text.strip() for text in file if text.startswith(("VmHWM", "RssAnon"))], sep="; ")


def main():
    chosen = [[fn] for fn in barrage.FLOODS if ONLY in fn.__name__]
    if ONLY in "all at once":
        chosen.append(barrage.FLOODS)
    with exchange(True) as here, exchange(False) as door:
        for target in (here, door):
            Key(os.path.join(target.folder, "keys"), "liar-stranger")
        innocent = Measuring(here)
        innocent.measure(2)
        print("ms to the ACK        rounds   quiet p50, p99   next door p50, p99  here p50, p99   max   / quiet  / next door")
        for fns in chosen:
            times, came = {"quiet": [], "next door": [], "here": []}, 0
            for _ in range(ROUNDS):
                times["quiet"] += innocent.measure(SECONDS)
                times["next door"] += flooded(door, fns, innocent)[0]
                more, rounds = flooded(here, fns, innocent)
                times["here"] += more
                came += rounds
            line(fns[0].__name__ if len(fns) == 1 else "all at once", times, came, innocent.later)
            innocent.later = 0
        memory(here.process)
        check(here.process.poll(), None, "the daemon's end")


main()
