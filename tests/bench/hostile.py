"""hostile.py - what an innocent partner feels while another one, with a valid certificate, does its worst.

    make hostile                   ROUNDS=3, SECONDS=3, ONLY=items (a word of the names; "all at once" is one)
Quiet and flood by turns, in one daemon and one run: a story every 10 ms from publish to its ACK, and to the reader. The
ratio is that of the 99th percentiles, flood against all quiet times of the same round before and after it. At the end
all floods at once. Compare ratios of one run, never figures of two.
"""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import barrage  # noqa: E402
from cases import Innocent, check, octets  # noqa: E402
from kit import Exchange, Key  # noqa: E402
from newsx import story  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = float(os.environ.get("SECONDS", "3"))
ONLY = os.environ.get("ONLY", "")
PACE_S = 0.01


class Measuring(Innocent):
    def measure(self, seconds):
        """[(ms to the ACK, ms to the reader)]"""
        out, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            self.n += 1
            begin = time.monotonic()
            document = octets(story("urn:good:%s:%d" % (self.name, self.n), body_text="ສະບາຍດີ " * 200))
            ident = self.good.publish(document, {"channel": "good.news"})
            check(self.good.answer(ident), "stored", "the innocent publisher")
            acked = time.monotonic()
            head, _, got = self.friend.receive()
            check(got, document, "the innocent reader")
            self.friend.ack(head["id"])
            out.append((1000 * (acked - begin), 1000 * (time.monotonic() - begin)))
            time.sleep(max(0.0, PACE_S - (time.monotonic() - begin)))
        return out


def p(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def line(name, quiet, flood, rounds):
    q, f = [v[0] for v in quiet], [v[0] for v in flood]
    qr, fr = [v[1] for v in quiet], [v[1] for v in flood]
    print("%-18s %7d  quiet %6.2f %7.2f   flood %6.2f %7.2f %8.1f   x %5.2f   reader x %5.2f" % (
        name, rounds, p(q, .5), p(q, .99), p(f, .5), p(f, .99), max(f), p(f, .99) / p(q, .99), p(fr, .99) / p(qr, .99)), flush=True)


def main():
    chosen = [[fn] for fn in barrage.FLOODS if ONLY in fn.__name__]
    if ONLY in "all at once":
        chosen.append(barrage.FLOODS)
    partners = {**Innocent.partners, "liar": barrage.LIAR}
    with Exchange(partners, {**Innocent.subscriptions, **barrage.SUBS}, {"limits": barrage.LIMITS, "log": "item-lines = 500"},
                  size="2GiB") as exchange:
        Key(os.path.join(exchange.folder, "keys"), "liar-stranger")
        innocent = Measuring(exchange)
        innocent.measure(2)
        print("ms to the ACK          rounds         p50     p99           p50     p99      max   p99 ratio")
        quiet = {tuple(fns): [] for fns in chosen}
        flood, came = {k: [] for k in quiet}, {k: 0 for k in quiet}
        for _ in range(ROUNDS):
            for fns in quiet:
                quiet[fns] += innocent.measure(SECONDS / 2)
                with barrage.Running(exchange, fns) as running:
                    innocent.measure(0.3)
                    flood[fns] += innocent.measure(SECONDS)
                    came[fns] += sum(running.rounds.values())
                innocent.measure(0.3)
                quiet[fns] += innocent.measure(SECONDS / 2)
        for fns in quiet:
            line(fns[0].__name__ if len(fns) == 1 else "all at once", quiet[fns], flood[fns], came[fns])
        with open("/proc/%d/status" % exchange.process.pid, encoding="ascii") as file:
            print(*[text.strip() for text in file if text.startswith(("VmHWM", "VmRSS"))], sep="; ")
        check(exchange.process.poll(), None, "the daemon's end")


main()
