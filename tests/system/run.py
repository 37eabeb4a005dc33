"""run.py - every test_* function of tests/system/test_*.py, each in a process of its own, bounded in time.

    python3 tests/system/run.py [WORD...]     only tests whose file.function holds a word
Prints one line a test and closes with "N passed, N failed". Several run side by side: JOBS (2). FOLLOW=1: also
each line that a test says on its way, for those that take long.
"""
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TEST_S = int(os.environ.get("TEST_S", "120"))
FOLLOW = os.environ.get("FOLLOW") == "1"
BOOTS = {"test_systemd": 3, "test_manual": 3}  # a machine that boots, and packages: so many times as long


def tests():
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        with open(path, encoding="utf-8") as file:
            for name in re.findall(r"^def (test_\w+)\(", file.read(), re.M):
                yield os.path.basename(path)[:-3], name


def kill(child):
    """its own session: the test and what it started"""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(module, name):
    code = "import sys; sys.path.insert(0, %r); import %s; %s.%s()" % (HERE, module, module, name)
    begin, bound, out = time.monotonic(), TEST_S * BOOTS.get(module, 1), []
    child = subprocess.Popen([sys.executable, "-c", code], text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    clock = threading.Timer(bound, kill, [child])
    clock.start()
    try:
        for line in child.stdout:
            out.append(line)
            if FOLLOW:
                print("%s: %s" % (name[5:], line.rstrip()), flush=True)
        status = child.wait()
    finally:
        clock.cancel()
        kill(child)
    took = time.monotonic() - begin
    if took >= bound:
        status = 124
        out.append("out of time (%d s)\n" % bound)
    return module, name, status, "".join(out), took


def main():
    words = sys.argv[1:]
    chosen = [t for t in tests() if not words or any(w in ".".join(t) for w in words)]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, *t) for t in chosen]):
            module, name, status, out, took = done.result()
            title = "%s.%s" % (module[5:], name[5:])
            if status == 0 and out.rstrip().endswith("SKIP"):
                print("skip %s: %s" % (title, out.strip().splitlines()[-1]), flush=True)
            elif status == 0:
                passed += 1
                last = (out.rstrip().splitlines() or [""])[-1]
                print("ok %s%s (%.1f s)" % (title, ": " + last if last[:1].isdigit() else "", took), flush=True)
            else:
                failed += 1
                print("FAIL %s: exit %s\n%s" % (title, status, out[-12000:]), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0 or passed == 0


sys.exit(main())
