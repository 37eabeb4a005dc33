"""memcheck.py - the daemon under valgrind through a short mixed life: no error, no octet lost. `make memcheck`.

Stories, a photo, a claim, acknowledgements, a refusal, a kill, lies, a reload, a backup beside it, SIGKILL and a start on
what that left, a clean end. Every process of the daemon must end without an error of memcheck, and without a definite or
indirect loss (the one that is killed cannot be asked for losses).
"""
import glob
import os
import random
import subprocess
import sys

os.environ["SAN"] = "1"  # it is slow
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
from kit import NEWSXD, WAIT_S, Exchange, Failed  # noqa: E402
from newsx import FLASH, Link, story  # noqa: E402
from test_recovery import ALL, PARTNERS, TO, store_photo, subscriber  # noqa: E402


def valgrind(folder):
    return ["valgrind", "--quiet", "--track-origins=yes", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--num-callers=30",
            "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99", "--log-file=%s/valgrind.%%p" % folder]


def stored(link, document, **more):
    got = link.answer(link.publish(document, TO, **more))
    if got != "stored":
        raise Failed("%s" % (got,))


def life(x, turn):
    noise = random.Random(turn)
    with Link(x.port, x.keys["kpl"].identity) as link, subscriber(x) as sub:
        for n in range(10):
            stored(link, story("urn:%d:%d" % (turn, n), body_text="x" * noise.randint(1, 9000)))
        data = noise.randbytes(300_000)
        sha = store_photo(link, "urn:%d:photo" % turn, data)
        for n in range(11):
            head, envelope, _ = sub.receive()
            if envelope.get("parts") and sub.fetch(sha, len(data)) != data:
                raise Failed("other octets")
            sub.refuse(head["id"], after_ms=100) if n == 3 else sub.ack(head["id"])
        stored(link, story("urn:%d:1" % turn, "2", pubstatus="canceled"), lane=FLASH)
        sub.ack(sub.receive()[0]["id"])
        if link.answer(link.publish(b"{", TO))[1] != "never":
            raise Failed("no JSON, and taken")
        if x.reload()["event"] != "conf.reload":
            raise Failed("not read again")
        stored(link, story("urn:%d:after" % turn))
        link.raw(b"\0\0\0\5\0\0\0\0lies")
        link.closes()
    x.log("item.delivered", count=11, since=x.marked)


def main():
    if subprocess.run(["valgrind", "--version"], capture_output=True, check=False).returncode != 0:
        print("no valgrind here: SKIP")
        return 0
    bad = []
    with Exchange(PARTNERS, ALL) as x:
        x.marked = 0
        x.stop()
        x.launcher = valgrind(x.folder)
        for turn in range(2):
            x.marked = x.mark()
            x.restart()
            life(x, turn)
            if turn == 0:
                x.kill()
        backup = subprocess.run([*x.launcher, NEWSXD, "--config", x.config, "--backup", os.path.join(x.folder, "copy")],
                                capture_output=True, text=True, timeout=6 * WAIT_S, check=False)
        if backup.returncode != 0:
            bad.append("the backup ended with %d: %s" % (backup.returncode, backup.stderr))
        x.stop(status=None)
        if x.process.returncode != 0:
            bad.append("the daemon ended with %d" % x.process.returncode)
        logs = glob.glob(os.path.join(x.folder, "valgrind.*"))
        for path in logs:
            with open(path, encoding="utf-8", errors="replace") as file:
                bad += [words for words in [file.read()] if words]
    for words in bad:
        print("FAIL: " + words)
    if not bad:
        print("ok memcheck: %d processes, 0 errors, 0 octets lost" % len(logs))
    return bool(bad) or len(logs) < 3


if __name__ == "__main__":
    sys.exit(main())
