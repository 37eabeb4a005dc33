"""newsx.py - newsxd/1 in Python's standard library, written from proto/PROTOCOL.md alone. Both roles, and the means to lie.

Link is one connection: send frames with the methods named after them, read with expect() or next(). Nothing is
answered behind the test's back except PING (auto_pong) and CREDIT, which is kept count of.
"""
import collections
import hashlib
import json
import os
import socket
import ssl
import struct
import time

from kit import WAIT_S, Failed

TYPES = {1: "HELLO", 2: "CREDIT", 3: "SUBSCRIBE", 4: "SUBSCRIBED", 5: "UNSUBSCRIBE", 6: "UNSUBSCRIBED", 7: "ITEM",
         8: "MORE", 9: "NEED", 10: "DATA", 11: "STOP", 12: "GONE", 13: "WITHDRAW", 14: "ACK", 15: "REFUSE",
         16: "PING", 17: "PONG", 18: "BYE"}
NUMBERS = {name: number for number, name in TYPES.items()}
JSON = {"HELLO", "SUBSCRIBE", "SUBSCRIBED", "UNSUBSCRIBED", "REFUSE", "BYE"}
RESULTS = ["stored", "duplicate", "held", "superseded"]
SMALL = 16384
ROUTINE, FLASH = 0, 1

Frame = collections.namedtuple("Frame", "type body octets")  # octets: of ITEM, MORE, DATA


def context(identity=None, alpn="newsxd/1", low=ssl.TLSVersion.TLSv1_3):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.minimum_version = low
    if low < ssl.TLSVersion.TLSv1_3:
        ctx.maximum_version = low
    if identity:
        ctx.load_cert_chain(identity + ".crt", identity + ".key")
    if alpn:
        ctx.set_alpn_protocols([alpn])
    return ctx


def decode(number, payload):
    name = TYPES.get(number, number)
    if name in JSON:
        return Frame(name, json.loads(payload), b"")
    if name == "CREDIT":
        return Frame(name, dict(zip(("lane", "items", "octets"), struct.unpack_from(">IQQ", payload))), b"")
    if name == "UNSUBSCRIBE":
        return Frame(name, {"number": struct.unpack_from(">I", payload)[0]}, b"")
    if name == "ITEM":
        keys = ("id", "position", "sequence", "subscription", "envelope", "document", "lane")
        return Frame(name, dict(zip(keys, struct.unpack_from(">QQQIIIB", payload))), payload[40:])
    if name == "MORE":
        return Frame(name, dict(zip(("id", "offset"), struct.unpack_from(">QI", payload))), payload[12:])
    if name == "NEED":
        keys = ("handle", "offset", "length", "sha256")
        return Frame(name, dict(zip(keys, struct.unpack_from(">QQQ32s", payload))), b"")
    if name == "DATA":
        return Frame(name, dict(zip(("handle", "offset"), struct.unpack_from(">QQ", payload))), payload[16:])
    if name == "STOP":
        return Frame(name, {"handle": struct.unpack_from(">Q", payload)[0]}, b"")
    if name in ("GONE", "WITHDRAW"):
        what, n = struct.unpack_from(">QB", payload)
        return Frame(name, {"handle" if name == "GONE" else "id": what, "code": payload[9:9 + n].decode()}, b"")
    if name == "ACK":
        size, out = payload[0], []
        for at in range(1, len(payload) - size + 1, size):
            one = struct.unpack_from(">QQQBB", payload, at)
            out.append(dict(zip(("id", "sequence", "stored_at", "result", "stage"), one)))
        return Frame(name, out, b"")
    if name in ("PING", "PONG"):
        return Frame(name, dict(zip(("token", "wall"), struct.unpack_from(">QQ", payload))), b"")
    return Frame(name, payload, b"")


def encode(number, payload, flags=0, length=None):
    return struct.pack(">IBBH", len(payload) if length is None else length, number, flags, 0) + payload


def part(name, data, content_type="image/jpeg"):
    return {"name": name, "contentType": content_type, "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest()}


class Link:
    """one connection. identity: path without .crt/.key. hello=False: say nothing by itself"""

    def __init__(self, port, identity=None, node="test", hello=True, alpn="newsxd/1", timeout=None, rcvbuf=None,
                 low=ssl.TLSVersion.TLSv1_3, **more):
        self.timeout = timeout or WAIT_S
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(self.timeout)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context(identity, alpn, low).wrap_socket(sock)
        self.wire, self.queue, self.ended = b"", collections.deque(), False
        self.last_id, self.last_handle = 0, 0
        self.credit = {ROUTINE: [0, 0], FLASH: [0, 0]}
        self.begun = {ROUTINE: [0, 0], FLASH: [0, 0]}
        self.auto_pong, self.peer = True, None
        self.half = {}  # items being received: id -> [frame, octets]
        if hello:
            self.hello(node=node, **more)
            self.peer = self.expect("HELLO").body

    # -- out

    def raw(self, octets):
        self.tls.sendall(octets)

    def frame(self, name, payload=b"", **lie):
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload, ensure_ascii=False).encode()
        self.raw(encode(NUMBERS.get(name, name), payload, **lie))

    def hello(self, node="test", **more):
        self.frame("HELLO", {"node": node, "agent": "newsx.py", "boot": os.urandom(8).hex(), "epoch": "0", **more})

    def give_credit(self, items=1 << 20, octets=1 << 34, lanes=(ROUTINE, FLASH)):
        for lane in lanes:
            self.frame("CREDIT", struct.pack(">IQQ", lane, items, octets))

    def item_head(self, envelope, document, lane=ROUTINE, ident=None, subscription=0, octets=b"", position=0,
                  sequence=0):
        """one ITEM frame with any lengths; envelope and document are lengths here"""
        self.last_id = self.last_id + 1 if ident is None else ident
        self.begun[lane & 1][0] += 1
        self.begun[lane & 1][1] += envelope + document
        self.frame("ITEM", struct.pack(">QQQIIIB3x", self.last_id, position, sequence, subscription, envelope,
                                       document, lane) + octets)
        return self.last_id

    def more(self, ident, offset, octets):
        self.frame("MORE", struct.pack(">QI", ident, offset) + octets)

    def publish(self, document, envelope=None, lane=ROUTINE, wait_credit=True):
        """a whole item; gives its id"""
        if isinstance(document, (dict, list)):
            document = json.dumps(document, ensure_ascii=False).encode()
        if not isinstance(envelope, bytes):
            envelope = json.dumps(envelope or {}, ensure_ascii=False).encode()
        while wait_credit and not self.may(lane):
            self.pump()
        whole = envelope + document
        ident = self.item_head(len(envelope), len(document), lane, octets=whole[:SMALL - 40])
        for at in range(SMALL - 40, len(whole), SMALL - 12):
            self.more(ident, at, whole[at:at + SMALL - 12])
        return ident

    def may(self, lane):
        return all(spent < have for spent, have in zip(self.begun[lane], self.credit[lane]))

    def data(self, handle, offset, octets):
        self.frame("DATA", struct.pack(">QQ", handle, offset) + octets)

    def serve(self, parts, need):
        """answer one NEED in full from {sha256 octets: data}"""
        whole, at = parts[need.body["sha256"]], need.body["offset"]
        end = at + need.body["length"]
        while at < end:
            n = min(SMALL - 16, end - at)
            self.data(need.body["handle"], at, whole[at:at + n])
            at += n

    def need(self, sha256, offset, length, handle=None):
        if handle is None:
            self.last_handle += 1
            handle = self.last_handle
        self.frame("NEED", struct.pack(">QQQ32s", handle, offset, length, sha256))
        return handle

    def ack(self, ident, sequence=0, result=0, stage=2):
        self.frame("ACK", bytes([26]) + struct.pack(">QQQBB", ident, sequence, int(time.time() * 1000), result, stage))

    def refuse(self, ident, code="busy", retry="later", after_ms=0, words=""):
        self.frame("REFUSE", {"id": ident, "code": code, "retry": retry, "after_ms": after_ms, "words": words})

    def subscribe(self, name, **more):
        self.frame("SUBSCRIBE", {"name": name, **more})

    def bye(self, code="bye", words=""):
        self.frame("BYE", {"code": code, "words": words})

    # -- in

    def fill(self, timeout=None):
        """read what there is; False when the other side has ended"""
        self.tls.settimeout(timeout or self.timeout)
        try:
            data = self.tls.recv(65536)
        except (ssl.SSLError, ConnectionError) as error:
            if isinstance(error, TimeoutError):
                raise
            self.ended, self.error = True, error
            return False
        if not data:
            self.ended, self.error = True, None
            return False
        self.wire += data
        while len(self.wire) >= 8:
            length, number = struct.unpack_from(">IB", self.wire)
            if len(self.wire) < 8 + length:
                break
            self._got(decode(number, self.wire[8:8 + length]))
            self.wire = self.wire[8 + length:]
        return True

    def _got(self, frame):
        if frame.type == "CREDIT":
            lane = frame.body["lane"]
            if frame.body["items"] < self.credit[lane][0] or frame.body["octets"] < self.credit[lane][1]:
                raise Failed("credit fell: %r" % (frame,))
            self.credit[lane] = [frame.body["items"], frame.body["octets"]]
        elif frame.type == "PING" and self.auto_pong:
            self.frame("PONG", struct.pack(">QQ", frame.body["token"], int(time.time() * 1000)))
        self.queue.append(frame)

    def pump(self):
        """one read, or Failed when the other side has ended"""
        try:
            if not self.fill():
                raise Failed("the link ended: %s; last frames: %s" % (self.error, list(self.queue)[-3:]))
        except TimeoutError:
            raise Failed("nothing came in time; last frames: %s" % list(self.queue)[-3:]) from None

    def next(self, *names):
        """the first frame of these types (any, when none is named); others before it stay in the queue, and buy no time"""
        end = time.monotonic() + self.timeout
        while True:
            for index, frame in enumerate(self.queue):
                if not names or frame.type in names:
                    del self.queue[index]
                    return frame
            if time.monotonic() > end:
                raise TimeoutError("no %s in %d s" % (names, self.timeout))
            self.pump()

    def expect(self, *names):
        """the next frame but CREDIT, PING and PONG must be of these types"""
        while True:
            frame = self.next()
            if frame.type in names:
                return frame
            if frame.type not in ("CREDIT", "PING", "PONG"):
                raise Failed("expected %s, got %r" % (names, frame))

    def answer(self, ident):
        """the answer to an item of ours: "stored", ... or ("code", "later"|"never") """
        while True:
            for index, frame in enumerate(self.queue):
                if frame.type == "ACK":
                    for entry in frame.body:
                        if entry["id"] != ident:
                            continue
                        frame.body.remove(entry)
                        if not frame.body:
                            del self.queue[index]
                        self.sequence = entry["sequence"]
                        return RESULTS[entry["result"]]
                elif frame.type == "REFUSE" and frame.body["id"] == ident:
                    del self.queue[index]
                    self.words = frame.body.get("words", "")
                    return (frame.body["code"], frame.body["retry"])
            self.pump()

    def receive(self):
        """the next whole item that comes: (head, envelope dict, document octets)"""
        while True:
            frame = self.next("ITEM", "MORE")
            if frame.type == "ITEM":
                self.half[frame.body["id"]] = [frame.body, b""]
            ident = frame.body["id"]
            head, octets = self.half[ident]
            if frame.type == "MORE" and frame.body["offset"] != len(octets):
                raise Failed("MORE at %d, %d are here" % (frame.body["offset"], len(octets)))
            octets += frame.octets
            self.half[ident][1] = octets
            if len(octets) == head["envelope"] + head["document"]:
                del self.half[ident]
                return head, json.loads(octets[:head["envelope"]]), octets[head["envelope"]:]

    def fetch(self, sha256, size, offset=0, piece=1 << 20):
        """a whole part, by NEED in pieces under one handle"""
        out, handle = b"", None
        while offset + len(out) < size:
            at = offset + len(out)
            length = min(piece, size - at)
            handle = self.need(sha256, at, length, handle)
            while offset + len(out) < at + length:
                frame = self.next("DATA", "GONE")
                if frame.type == "GONE":
                    return frame.body["code"]
                if frame.body["handle"] != handle or frame.body["offset"] != offset + len(out):
                    raise Failed("DATA out of order: %r" % (frame.body,))
                out += frame.octets
        return out

    def closes(self):
        """read to the end: the code of the BYE that came, or "" """
        code = ""
        try:
            while self.fill():
                pass
        except TimeoutError:
            raise Failed("it did not close; frames: %s" % list(self.queue)[-5:]) from None
        for frame in self.queue:
            if frame.type == "BYE":
                code = frame.body["code"]
        return code

    def quiet(self, seconds=0.3):
        """nothing but CREDIT and PING comes within this time: to show that something is not sent. Gives the frames that did"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if not self.fill(max(0.01, end - time.monotonic())):
                    break
            except TimeoutError:
                break
        return [f for f in self.queue if f.type not in ("CREDIT", "PING", "PONG")]

    def close(self):
        self.tls.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def story(uri="urn:test:1", version="1", **more):
    """a small ninjs document"""
    return {"uri": uri, "version": version, "type": "text", "language": "lo", "pubstatus": "usable",
            "versioncreated": "2026-11-22T10:00:00Z", "headline": "ຂ່າວ", **more}
