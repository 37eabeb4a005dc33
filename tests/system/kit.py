"""kit.py - a scratch exchange for tests: keys, configuration, the daemon and its log, a line that can be slowed and cut.

Python's standard library only. Nothing here speaks newsxd/1: that is newsx.py. Every wait is for an event and has an end.
"""
import collections
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
NEWSXD = os.path.join(BUILD, "newsxd")
NEWSXCTL = os.path.join(BUILD, "newsxctl")
SLOW = 4 if os.environ.get("SAN") else 1  # sanitizers cost time, not rules
WAIT_S = 20 * SLOW
CORPUS = os.environ.get("NEWSX_CORPUS") or os.path.join(os.path.dirname(ROOT), "shared", "corpus")


class Failed(AssertionError):
    pass


def finish(child, within_s=5):
    """told to stop, and killed when it does not"""
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(WAIT_S)


def asan(options):
    """what the address sanitizer of a daemon is told beside what all are told"""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":" + options}


def parse_line(line):
    """one key=value line as a dict; the time in front, if any, under "time" """
    out = {}
    for key, quoted, bare in re.findall(r'([A-Za-z0-9_.-]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        out[key] = re.sub(r"\\(x[0-9a-fA-F]{2}|.)", _unescape, quoted) if quoted else bare
    return out


def _unescape(match):
    code = match.group(1)
    if code[0] == "x":
        return chr(int(code[1:], 16))
    return {"n": "\n"}.get(code, code)


class Key:
    """a node's or partner's key, made with newsxctl"""

    def __init__(self, folder, name):
        made = subprocess.run([NEWSXCTL, "key", "new", "--name", name, "--out", folder], text=True,
                              capture_output=True, timeout=WAIT_S, check=True).stdout
        self.name, self.identity = name, os.path.join(folder, name)
        self.crt, self.key = self.identity + ".crt", self.identity + ".key"
        self.pin = re.search(r"^pin (sha256:\S+)", made, re.M).group(1)
        self.spoken = re.search(r"^spoken (.*)$", made, re.M).group(1)


class Exchange:
    """one newsxd in a scratch folder

    partners: {"kpl": 'publish = {"kpl.*"}'} - the pin is added; a key is made for each name.
    subscriptions: {"from-kpl": 'partner = "vna" channels = {"kpl.*"} start = "all"'}
    sections: text put in as it is, e.g. {"limits": "part-wait = 1s", "store": 'keep = "1s"'}
    """

    def __init__(self, partners, subscriptions=None, sections=None, size="64MiB", folder=None, env=None):
        self.folder = folder or tempfile.mkdtemp(prefix="newsxd-test.")
        self.own_folder = folder is None
        self.partners, self.subscriptions = dict(partners), dict(subscriptions or {})
        self.sections, self.size, self.env = dict(sections or {}), size, dict(env or {})
        self.port, self.process, self.lines, self.address = 0, None, [], None
        self.launcher, self.pass_fds = [], ()  # what begins the daemon, and descriptors that it inherits
        self.more = threading.Condition()
        keys = os.path.join(self.folder, "keys")
        os.makedirs(keys, mode=0o750, exist_ok=True)
        self.keys = {name: Key(keys, name) for name in ["exchange", *self.partners]}
        self.config = os.path.join(self.folder, "newsxd.conf")
        self.configure()

    def configure(self):
        extra = lambda name: self.sections.get(name, "")
        text = [
            'node { name = "exchange" key = "keys/exchange.key" certificate = "keys/exchange.crt" %s }' % extra("node"),
            'listen { address = {"127.0.0.1:%d"} %s }' % (self.port, extra("listen")),
            'store { directory = "store" size = "%s" %s }' % (self.size, extra("store")),
            "limits { %s }" % extra("limits"),
            "log { %s }" % (extra("log") or "item-lines = 0"),
        ]
        for name, words in self.partners.items():
            pin = "" if "pin =" in words else 'pin = {"%s"} ' % self.keys[name].pin
            text.append("partner %s { %s%s }" % (name, pin, words))
        for name, words in self.subscriptions.items():
            text.append("subscription %s { %s }" % (name, words))
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(text) + "\n" + extra("more"))

    # -- life

    def start(self, wait=True):
        self.process = subprocess.Popen([*self.launcher, NEWSXD, "--config", self.config], stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, env={**os.environ, **self.env},
                                        pass_fds=self.pass_fds)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        if wait:
            line = self.log("listen.open", since=len(self.lines) if self.port else 0)
            self.address = line["addr"]
            self.port = int(self.address.rsplit(":", 1)[1])
            self.configure()  # a restart comes back on the same port
        return self

    def _read(self, process):
        for raw in process.stderr:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self.more:
                self.lines.append(line)
                self.more.notify_all()
        with self.more:
            self.more.notify_all()

    def kill(self):
        """power off, as far as a process can tell"""
        self.process.kill()
        self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)

    def stop(self, status=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        got = self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)
        if status is not None and got != status:
            raise Failed("newsxd ended with %s\n%s" % (got, self.tail()))
        return got

    def restart(self):
        mark = len(self.lines)
        self.process = None
        self.start(wait=False)
        self.log("listen.open", since=mark)
        return self

    def restart_cleanly(self):
        self.stop()
        return self.restart()

    def reload(self):
        mark = self.mark()
        self.process.send_signal(signal.SIGHUP)
        return self.log("conf.reload", "conf.refused", since=mark)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.tail())
        self.close()

    # -- the log

    def mark(self):
        return len(self.lines)

    def tail(self, n=60):
        return "".join("  | %s\n" % line for line in self.lines[-n:])

    def found(self, *events, since=0, **fields):
        """all lines of these events with these fields, as dicts"""
        out = []
        for line in self.lines[since:]:
            got = parse_line(line)
            if got.get("event") in events and all(got.get(k) == str(v) for k, v in fields.items()):
                out.append(got)
        return out

    def log(self, *events, since=0, count=1, timeout=None, **fields):
        """wait for the count-th such line and give it"""
        end = time.monotonic() + (timeout or WAIT_S)
        with self.more:
            while True:
                got = self.found(*events, since=since, **fields)
                if len(got) >= count:
                    return got[count - 1]
                left = end - time.monotonic()
                if left <= 0 or (self.process is not None and self.process.poll() is not None and not self.reader.is_alive()):
                    raise Failed("no event=%s %s in the log\n%s" % ("|".join(events), fields, self.tail()))
                self.more.wait(min(left, 0.5))

    # -- newsxctl

    def ctl(self, verb, who, *args, port=None, stdin=None, timeout=None):
        command = [NEWSXCTL, verb, "--server", "127.0.0.1:%d" % (port or self.port), "--server-pin",
                   self.keys["exchange"].pin, "--identity", self.keys[who].identity, *args]
        return subprocess.run(command, text=True, capture_output=True, timeout=timeout or 3 * WAIT_S,
                              input=stdin, check=False)

    def ctl_begin(self, verb, who, *args, port=None):
        command = [NEWSXCTL, verb, "--server", "127.0.0.1:%d" % (port or self.port), "--server-pin",
                   self.keys["exchange"].pin, "--identity", self.keys[who].identity, *args]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL)

    def verify(self):
        """--verify-store; the daemon should stand still"""
        got = subprocess.run([NEWSXD, "--config", self.config, "--verify-store"], text=True,
                             capture_output=True, timeout=3 * WAIT_S, check=False)
        if got.returncode != 0:
            raise Failed("the store has faults: %s%s" % (got.stdout, got.stderr))


class Relay:
    """a line between a client and the daemon: slow, long, cut - in user space, no root

    rate: octets a second each way (None: no limit); delay: seconds one way. Small socket buffers, as a line has.
    cut(): every connection is reset. cut_after(n): after n octets towards the daemon (up) or from it (down).
    """

    def __init__(self, port, rate=None, delay=0.0, buffer=8192):
        self.to, self.rate, self.delay, self.buffer = port, rate, delay, buffer
        self.moved = {"up": 0, "down": 0}
        self.limit = {"up": None, "down": None}
        self.pairs, self.open = [], True
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.port = self.server.getsockname()[1]
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                near, _ = self.server.accept()
                far = socket.socket()
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
                far.connect(("127.0.0.1", self.to))
            except OSError:
                continue
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer)
            with self.lock:
                self.pairs.append((near, far))
            threading.Thread(target=self._move, args=(near, far, "up"), daemon=True).start()
            threading.Thread(target=self._move, args=(far, near, "down"), daemon=True).start()

    def _move(self, source, sink, way):
        waiting, free = collections.deque(), time.monotonic()
        queued, ended = 0, False
        hold = max(4096, int((self.rate or 0) * self.delay * 2)) if self.rate else 1 << 20
        try:
            while waiting or not ended:
                now = time.monotonic()
                timeout = None if not waiting else max(0.0, waiting[0][0] - now)
                if not ended and queued < hold:
                    if select.select([source], [], [], timeout)[0]:
                        data = source.recv(min(1448, hold))
                        if not data:
                            ended = True
                        else:
                            now = time.monotonic()
                            free = max(free, now) + (len(data) / self.rate if self.rate else 0)
                            waiting.append((free + self.delay, data))
                            queued += len(data)
                elif waiting:
                    threading.Event().wait(max(0.0, waiting[0][0] - time.monotonic()))
                while waiting and waiting[0][0] <= time.monotonic():
                    data = waiting.popleft()[1]
                    queued -= len(data)
                    with self.lock:
                        self.moved[way] += len(data)
                        over = self.limit[way] is not None and self.moved[way] >= self.limit[way]
                        if over:
                            self.limit[way] = None
                    sink.sendall(data)
                    if over:
                        self.cut()
                        return
            sink.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # select() says ValueError of a socket that was closed
            pass

    def cut_after(self, octets, way):
        with self.lock:
            self.limit[way] = self.moved[way] + octets

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for sock in pair:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()

    def close(self):
        self.open = False
        self.server.close()
        self.cut()
