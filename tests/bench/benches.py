"""benches.py - the exchanges that bench.py measures, the floor beside them, and the load on both."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from kit import BUILD, NEWSXD, Exchange, Failed, Key, WAIT_S  # noqa: E402

LOAD = os.path.join(BUILD, "tests/bench/load")
FLOOR = os.path.join(BUILD, "tests/bench/floor")
PREPARE = os.path.join(BUILD, "tests/bench/prepare")
SLOWSYNC = os.path.abspath(os.path.join(BUILD, "tests/bench/slowsync.so"))


def slow_disk(flush_ms):
    """the environment of a process whose every flush takes so much longer"""
    return {"LD_PRELOAD": SLOWSYNC, "SLOWSYNC_MS": str(flush_ms)} if flush_ms else {}


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
    """an exchange that logs into a file, as many lines as in service: reading them must not cost what is measured"""

    def __init__(self, flush_ms=0, known=0, **more):
        many = "connections = 2000 credit-items = 256 credit-octets = 16MiB "
        partners = {"kpl": many + 'publish = {"bench.*"}', "ttx": many + 'publish = {"bench.*"}',
                    "vna": many + 'read = {"bench.*"}'}
        sections = {"store": 'items-share = "%s"' % more.pop("share", "60%"), "log": "item-lines = 500",
                    "limits": "connections-per-address = 2000"}
        subscriptions = {"fan%d" % i: 'partner = "vna" channels = {"bench.*"} start = "all"' for i in range(more.pop("fan", 0))}
        super().__init__(partners, subscriptions, sections, size=more.pop("size", "2GiB"), env=slow_disk(flush_ms))
        self.sink = os.path.join(self.folder, "log")
        self.known = known

    def __enter__(self):
        self.start()
        if self.known:
            self.stop()
            subprocess.run([PREPARE, "--dir", os.path.join(self.folder, "store/items"), "--size", str(1 << 30), "--count",
                            str(self.known)], check=True, timeout=3 * WAIT_S)
            self.start()
        return self

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

    def stop(self, status=0):
        self.process.terminate()
        if self.process.wait(WAIT_S) != status:
            raise Failed("newsxd does not end well\n" + self.tail())

    def load(self, role, who, *words, port=None):
        return Tool(LOAD, role, "--identity", self.keys[who].identity, "--port", port or self.port, *words)


class Piped(Measured):
    """its log goes into a pipe, that somebody reads or nobody"""

    def __init__(self, is_read):
        super().__init__()
        self.is_read = is_read
        self.sections["log"] = "item-lines = 0"  # all: the pipe is full in no time

    def start(self, wait=True):
        self.process = subprocess.Popen([NEWSXD, "--config", self.config], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for line in self.process.stderr:
            if b"event=listen.open" in line:
                self.port = int(line.split(b"addr=")[1].split()[0].strip(b'"').rsplit(b":", 1)[1])
                break
        if self.is_read:
            threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True).start()
        return self

    @staticmethod
    def _drain(pipe):
        while os.read(pipe.fileno(), 65536):
            pass


class Floor:
    """the least that can do the job"""

    def __init__(self, flush_ms=0):
        self.env = slow_disk(flush_ms)

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="newsxd-floor.")
        self.key = Key(self.folder, "floor")
        self.server = Tool(FLOOR, "serve", "--identity", self.key.identity, "--file", os.path.join(self.folder, "data"),
                           env=self.env)
        self.port = self.server.line()["port"]
        return self

    def load(self, role, *words):
        return Tool(FLOOR, role, "--identity", self.key.identity, "--port", self.port, *words)

    def __exit__(self, *what):
        self.server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(tool):
    tool.line()
    return tool.result()


def pick(got, *names):
    return {name: got[name] for name in names}


def rss(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])
