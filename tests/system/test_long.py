"""The long runs of tests/fault in a short form: `make torture` and `make soak` are the long one. SEED repeats them."""
import os
import random
import sys

from kit import HERE, SLOW, Failed

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fault"))
import soak  # noqa: E402
import torture  # noqa: E402


def seeded():
    seed = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed)
    return seed


def test_torture():
    """kills in stories, photos, kills, embargoes, expiry and retirement; nothing acknowledged is missing"""
    faults = torture.torture(20, seeded())
    if faults:
        raise Failed("; ".join(faults[:5]))


def test_soak():
    """a store at its ceilings. Memory needs its minutes to be flat, so that is the long run's affair"""
    faults = [words for words in soak.soak(16 * SLOW, seeded(), pace=150 / SLOW, size="16MiB")
              if not words.startswith(("anon_kb", "mapped_kb"))]
    if faults:
        raise Failed("; ".join(faults[:5]))
