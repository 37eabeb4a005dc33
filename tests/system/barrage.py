"""barrage.py - floods by a partner with a valid certificate, each without end, for tests and for tests/bench/hostile.py.

Every flood is a process of its own with the lowest claim to a processor, so that what is seen is what the daemon does,
not what this machine lacks. Each says how often it came round: a flood that the daemon turned away at the door would
prove nothing.
"""
import ctypes
import itertools
import multiprocessing
import os
import random
import socket
import ssl
import struct

from cases import octets, picture, sha
from kit import Failed
from newsx import FLASH, NUMBERS, ROUTINE, SMALL, Link, context, encode, story

LIAR = 'publish = {"lie.*"} read = {"lie.*"} connections = 200'
SUBS = {"l%d" % n: 'partner = "liar" channels = {"lie.l%d"} start = "all"' % n for n in range(8)}
LIMITS = "connections-per-address = 2000"


def item_frames(ident, document, envelope, lane=ROUTINE):
    whole = envelope + document
    out = [encode(7, struct.pack(">QQQIIIB3x", ident, 0, 0, 0, len(envelope), len(document), lane) + whole[:SMALL - 40])]
    for at in range(SMALL - 40, len(whole), SMALL - 12):
        out.append(encode(8, struct.pack(">QI", ident, at) + whole[at:at + SMALL - 12]))
    return b"".join(out)


class Flood:
    """what one flood has: where to go, as whom, and its count of rounds"""

    def __init__(self, port, identity, rounds):
        self.port, self.identity, self.rounds = port, identity, rounds

    def came_round(self, n=1):
        with self.rounds.get_lock():
            self.rounds.value += n

    def link(self, **more):
        return Link(self.port, self.identity, timeout=30, **more)

    def items(self, make, lane=ROUTINE, envelope=b'{"channel":"lie.a"}'):
        """items as fast as credit goes, no answer looked at"""
        link = self.link()
        for n in itertools.count(1):
            while not link.may(lane):
                link.pump()
                link.queue.clear()
            document = make(n)
            link.begun[lane][0] += 1
            link.begun[lane][1] += len(envelope) + len(document)
            link.raw(item_frames(n, document, envelope, lane))
            self.came_round()


# -- the floods

def small_items(f):
    """the same few stories, again and again"""
    f.items(lambda n: octets(story("urn:lie:%d" % (n % 50))))


def large_items(f):
    pad, name = "x" * 240000, os.urandom(4).hex()
    f.items(lambda n: octets(story("urn:lie:%s:%d" % (name, n), body_text=pad)))


def new_items(f):
    name = os.urandom(4).hex()
    f.items(lambda n: octets(story("urn:lie:%s:%d" % (name, n))))


def heavy_json(f):
    """5,000 values in a document, and refused at the end for the uri that it lacks"""
    heavy = b'{"x":[' + b"[]," * 4990 + b"1]}"
    f.items(lambda n: heavy)


def heaviest_json(f):
    """the ceiling in octets and in values, every letter written as an escape"""
    heavy = b'{"uri":"urn:lie:heavy","x":{' + b",".join(b'"\\u0061%d":"%s"' % (n, b"\\u1ea1" * 5) for n in range(4900)) + b"}}"
    f.items(lambda n: heavy)


def flash_items(f):
    name = os.urandom(4).hex()
    f.items(lambda n: octets(story("urn:lie:flash:%s:%d" % (name, n), urgency=1)), lane=FLASH)


def urgent_in_routine(f):
    name = os.urandom(4).hex()
    f.items(lambda n: octets(story("urn:lie:urgent:%s:%d" % (name, n), urgency=1)))


def promised_photos(f):
    """each item promises the same photo, sixty-four times, and it never comes"""
    link = f.link()
    doc, env, _ = picture("urn:lie:promise", size=100000)
    one = env["parts"][0]
    envelope = octets({"channel": "lie.a", "parts": [{**one, "name": "p%d.jpg" % n} for n in range(64)]})
    for n in itertools.count(1):
        while not link.may(FLASH if n % 2 else ROUTINE):
            link.pump()
            link.queue.clear()
        lane = FLASH if n % 2 else ROUTINE
        document = octets(story("urn:lie:promise:%d" % n))
        link.begun[lane][0] += 1
        link.begun[lane][1] += len(envelope) + len(document)
        link.raw(item_frames(n, document, envelope, lane))
        f.came_round()


def photos(f):
    """new photos of 2 MB, one after the other"""
    link, data = f.link(), os.urandom(2_000_000)
    for n in itertools.count(1):
        mine = data[:-8] + os.urandom(8)
        doc, env, parts = picture("urn:lie:photo:%s" % os.urandom(6).hex(), data=mine)
        ident = link.publish(doc, {"channel": "lie.a", **env})
        while True:
            frame = link.next("NEED", "ACK", "REFUSE")
            if frame.type != "NEED":
                break
            link.serve(parts, frame)
        f.came_round()


def pings(f):
    link, many = f.link(), b"".join(encode(16, struct.pack(">QQ", n, 0)) for n in range(1, 20001))
    while True:
        link.raw(many)
        link.next("PONG")
        link.queue.clear()
        f.came_round()


def credits(f):
    link = f.link()
    for n in itertools.count():
        link.raw(b"".join(encode(2, struct.pack(">IQQ", i & 1, n * 10000 + i, n * 10000 + i)) for i in range(10000)))
        f.came_round()


def claims(f):
    """claimed and given up, again and again"""
    link = f.link()
    while True:
        link.subscribe("l0")
        frame = link.next("SUBSCRIBED", "UNSUBSCRIBED")
        if frame.type == "SUBSCRIBED":
            link.frame("UNSUBSCRIBE", struct.pack(">I", frame.body["number"]))
            link.next("UNSUBSCRIBED")
        link.queue.clear()
        f.came_round()


def no_such_claims(f):
    link, many = f.link(), b"".join(encode(3, b'{"name":"nothing%d"}' % n) for n in range(60))
    while True:
        link.raw(many)
        for _ in range(60):
            link.next("UNSUBSCRIBED")
        link.queue.clear()
        f.came_round(60)


def takeovers(f):
    """two links that take a claim away from each other"""
    links = [f.link(), f.link()]
    for n in itertools.count():
        links[n & 1].subscribe("l1")
        links[n & 1].next("SUBSCRIBED", "UNSUBSCRIBED")
        for link in links:
            link.queue.clear()
        f.came_round()


def filled(f, name, n, parts=None):
    """a link that holds n open items of a subscription, none answered"""
    giver, reader = f.link(), f.link()
    reader.give_credit()
    reader.subscribe(name)
    reader.next("SUBSCRIBED")
    for i in range(n):
        data = b"%s %d" % (name.encode(), i % 4)
        env = {"channel": "lie." + name}
        if parts:
            env["parts"] = [{"name": "p%d.jpg" % p, "size": len(data) + p, "sha256": sha(data + b"x" * p).hex()} for p in range(parts)]
        have = {sha(data + b"x" * p): data + b"x" * p for p in range(parts or 0)}
        ident = giver.publish(story("urn:lie:%s:%s:%d" % (name, os.urandom(4).hex(), i)), env)
        while parts:
            frame = giver.next("NEED", "ACK", "REFUSE")
            if frame.type != "NEED":
                break
            giver.serve(have, frame)
    if not parts:
        giver.answer(ident)
    giver.close()
    return reader


def unknown_needs(f):
    """parts that are nowhere, asked of a link with a hundred open items of sixty parts"""
    link = filled(f, "l2", 100, parts=60)
    for n in itertools.count(0):
        link.raw(b"".join(encode(9, struct.pack(">QQQ32s", n * 60 + i + 1, 0, 1, os.urandom(32))) for i in range(60)))
        for _ in range(60):
            link.next("GONE")
        link.queue.clear()
        f.came_round(60)


def needs_taken_back(f):
    """asks for octets of a photo and takes it back at once"""
    giver, reader = f.link(), f.link()
    reader.give_credit()
    reader.subscribe("l7")
    reader.next("SUBSCRIBED")
    document, envelope, parts = picture("urn:lie:back:%s" % os.urandom(4).hex(), size=500_000)
    giver.publish(document, {**envelope, "channel": "lie.l7"})
    while (frame := giver.next("NEED", "ACK")).type == "NEED":
        giver.serve(parts, frame)
    giver.close()
    reader.receive()
    for n in itertools.count(1):
        reader.raw(b"".join(encode(9, struct.pack(">QQQ32s", n * 50 + i, i % 100 * 4096, 65536, *parts)) +
                            encode(11, struct.pack(">Q", n * 50 + i)) for i in range(50)))
        reader.frame("PING", struct.pack(">QQ", n, 0))
        reader.next("PONG")
        reader.queue.clear()
        f.came_round(50)


def later(f):
    """takes everything and says later to all of it"""
    link = filled(f, "l3", 1000)
    while True:
        link.refuse(link.receive()[0]["id"], "busy", "later")
        link.queue.clear()
        f.came_round()


def never_read(f):
    """asks for all and reads nothing"""
    links = []
    for name in ("l4", "l5", "l6"):
        links.append(f.link(rcvbuf=4096))
        links[-1].give_credit()
        links[-1].subscribe(name)
    giver = f.link()
    for n in itertools.count():
        giver.publish(story("urn:lie:wide:%d" % (n % 500), str(n), body_text="y" * 60000), {"channel": "lie.l%d" % (4 + n % 3)})
        giver.queue.clear()
        f.came_round()


def json_frames(f):
    """a refused claim of sixteen kilooctets of escapes"""
    link, many = f.link(), encode(3, b'{"name":"nothing","x":["' + b'","'.join([b"\\u1ea1" * 40] * 60) + b'"]}') * 60
    while True:
        link.raw(many)
        for _ in range(60):
            link.next("UNSUBSCRIBED")
        link.queue.clear()
        f.came_round(60)


def tiny_records(f):
    """a TLS record for each octet"""
    link, ping = f.link(), encode(16, bytes(16))
    while True:
        for octet in ping:
            link.raw(bytes([octet]))
        f.came_round()


def handshakes(f):
    """in and out"""
    while True:
        f.link().close()
        f.came_round()


def half_handshakes(f):
    """many begin a handshake and say no more"""
    begun = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    socks = []
    while True:
        sock = socket.create_connection(("127.0.0.1", f.port))
        sock.sendall(begun)
        socks.append(sock)
        f.came_round()
        if len(socks) > 150:
            socks.pop(0).close()


def silent_sockets(f):
    socks = []
    while True:
        try:
            socks.append(socket.create_connection(("127.0.0.1", f.port)))
        except OSError:
            pass
        f.came_round()
        if len(socks) > 800:
            socks.pop(0).close()


def strangers(f):
    """full handshakes with a key that nobody knows"""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", f.port)) as sock, context(f.identity + "-stranger").wrap_socket(sock) as tls:
                tls.recv(1)
        except OSError:
            pass
        f.came_round()


def closes(f):
    """every link breaks a rule at once"""
    while True:
        link = f.link()
        link.frame(random.choice((19, 99, 7, 8, 10)), b"\xff" * 40)
        link.closes()
        f.came_round()


def half_items(f):
    """two hundred links with half an item in each lane, and half a frame"""
    links = []
    while True:
        link = f.link()
        for lane in (ROUTINE, FLASH):
            while not link.may(lane):
                link.pump()
            link.item_head(16000, 262144, lane, octets=bytes(16000))
        link.raw(encode(200, bytes(60000), length=65536))
        links.append(link)
        f.came_round()
        if len(links) > 100:
            links.pop(0).close()


FLOODS = [small_items, new_items, large_items, heavy_json, heaviest_json, flash_items, urgent_in_routine, promised_photos,
          photos, pings, credits, claims, no_such_claims, takeovers, unknown_needs, needs_taken_back, later, never_read,
          json_frames, tiny_records, handshakes, half_handshakes, silent_sockets, strangers, closes, half_items]


def run(function, port, identity, rounds):
    ctypes.CDLL(None).prctl(1, 9)  # gone with whoever began it
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        try:
            function(Flood(port, identity, rounds))
        except (OSError, Failed, ssl.SSLError):  # it was shown the door: in again
            pass


class Running:
    """with Running(exchange, [function, ...]): they flood; .rounds tells how often each came round"""

    def __init__(self, exchange, functions, who="liar"):
        self.made = [(fn, multiprocessing.Value("Q", 0)) for fn in functions]
        self.processes = [multiprocessing.Process(target=run, args=(fn, exchange.port, exchange.keys[who].identity, count),
                                                  daemon=True) for fn, count in self.made]

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()

    @property
    def rounds(self):
        return {fn.__name__: count.value for fn, count in self.made}


assert NUMBERS["PING"] == 16  # the frames above are written out
