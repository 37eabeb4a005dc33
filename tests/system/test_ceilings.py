"""What newsxd.conf(5) says under MEMORY, held against a daemon whose partners take all that they can get and give nothing
back. Anonymous memory counts (RssAnon): what the store maps is the kernel's to take.
"""
import os
import resource
import socket
import struct
import time

import barrage
from cases import Innocent, check, give, holds, picture
from kit import WAIT_S, Exchange, asan
from newsx import FLASH, ROUTINE, Link, encode, story

MB = 1 << 20
DOCUMENT, ENVELOPE = 256 << 10, 16 << 10  # the defaults
LINK = 5 * MB + 4 * (DOCUMENT + ENVELOPE)
CLAIM = 2 * (256 << 10) + 2 * (DOCUMENT + ENVELOPE)
ASAN = 3 if os.environ.get("SAN") else 1  # red zones


def anon(exchange):
    with open("/proc/%d/status" % exchange.process.pid, encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))


def until(truth, what):
    end = time.monotonic() + 2 * WAIT_S
    while not truth():
        holds(time.monotonic() < end, what)
        time.sleep(0.02)  # nobody tells us what the daemon has read


def at_its_ceiling(x, n, parts):
    """a link that holds what a link can hold: half items, half a frame, claims, NEEDs of which nothing is read, items open"""
    link = Link(x.port, x.keys["liar"].identity, rcvbuf=4096)
    while not (link.may(ROUTINE) and link.may(FLASH)):
        link.pump()
    link.give_credit()
    link.subscribe("m%d" % n)
    link.next("SUBSCRIBED")
    head = link.next("ITEM").body  # of a photo of 1 MiB
    holds(head["document"] > 0, "an item")
    for lane in (ROUTINE, FLASH):
        link.item_head(ENVELOPE, DOCUMENT, lane, octets=bytes(16000))
        ident = link.last_id
        for at in range(16000, ENVELOPE + DOCUMENT - 1, 16000):
            link.more(ident, at, bytes(min(16000, ENVELOPE + DOCUMENT - 1 - at)))
    (hash_, data), = parts.items()
    link.raw(b"".join(encode(9, struct.pack(">QQQ32s", handle, 60000 * handle, len(data) - 60000 * handle, hash_))
                      for handle in range(1, 17)))
    link.raw(encode(200, bytes(65000), length=65536))
    return link


def test_a_link_has_its_ceiling():
    n = 12
    partners = {**Innocent.partners, "liar": 'publish = {"lie.*"} read = {"lie.*"} connections = 40'}
    subs = {**Innocent.subscriptions,
            **{"m%d" % i: 'partner = "liar" channels = {"lie.m"} start = "all"' for i in range(n)}}
    with Exchange(partners, subs, {"store": 'hot-memory = "1MiB"', "limits": "connections-per-address = 100"}, size="256MiB") as x:
        with Link(x.port, x.keys["liar"].identity) as giver:
            doc, env, parts = picture("urn:lie:big", size=MB)
            check(give(giver, doc, {"channel": "lie.m", **env}, parts), "stored", "the photo")
            for i in range(40):
                check(give(giver, story("urn:lie:%d" % i, body_text="w" * 200000), {"channel": "lie.m"}), "stored", "a story")
        innocent = Innocent(x)
        innocent.round()
        before = anon(x)
        links = [at_its_ceiling(x, i, parts) for i in range(n)]
        innocent.round()  # the loop has read what came before it
        until(lambda: anon(x) - before > n * 700_000, "it took nothing: %d" % (anon(x) - before))
        for _ in range(20):
            innocent.round()
        cost = (anon(x) - before) / n
        print("a link at its ceiling costs %.1f MB; the manual says %.1f and %.1f for a claim" % (cost / MB, LINK / MB, CLAIM / MB))
        holds(cost < (LINK + CLAIM) * ASAN, "a link costs %d octets" % cost)
        check(x.found("conn.close", peer="liar", reason="eof")[1:], [], "their links live")
        for link in links:
            link.close()
        innocent.close()
        x.stop()


def test_all_together_have_one():
    """floods of promises: inbound-memory and what flashes may have beside it"""
    partners = {**Innocent.partners, "liar": barrage.LIAR}
    with Exchange(partners, {**Innocent.subscriptions, **barrage.SUBS},
                  {"limits": barrage.LIMITS + " inbound-memory = 64MiB", "store": 'hot-memory = "1MiB"', "log": "item-lines = 20"},
                  size="256MiB", env=asan("quarantine_size_mb=8")) as x:  # else what was freed counts too
        innocent = Innocent(x)
        innocent.round()
        before, highest, end = anon(x), 0, time.monotonic() + 6
        floods = [barrage.promised_photos] * 3 + [barrage.half_items, barrage.never_read]
        with barrage.Running(x, floods) as running:
            while time.monotonic() < end:
                innocent.round()
                highest = max(highest, anon(x) - before)
            x.log("item.refused", "item.summary")
            rounds = running.rounds
        most = 64 * MB // 4 + 4 * MB + 110 * (640 << 10) + 16 * MB  # 110 links with a few KB of two items
        print("%.0f MB at most, %.0f allowed; %s" % (highest / MB, most / MB, rounds))
        holds(highest < most * ASAN, "%d octets" % highest)
        holds(x.found("item.refused", reason="busy"), "it never came to the ceiling")
        innocent.close()
        check(x.found("conn.close", peer="good")[1:], [], "the innocent links lived")
        x.stop()


def test_silent_sockets():
    """5,000 that say nothing: under 20 MB, and who speaks is let in, also when all places are taken"""
    n = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n + 200:
        print("descriptors: %d are not enough\nSKIP" % hard)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))
    limits = "connections = %d connections-per-address = 600 handshake = 4min" % (n + 4)
    with Exchange(Innocent.partners, Innocent.subscriptions, {"limits": limits}) as x:
        innocent = Innocent(x)
        innocent.round()
        before, socks = anon(x), []
        for i in range(n):
            sock = socket.socket()
            sock.bind(("127.0.0.%d" % (2 + i % 10), 0))
            sock.connect(("127.0.0.1", x.port))
            socks.append(sock)
        files = "/proc/%d/fd" % x.process.pid
        until(lambda: len(os.listdir(files)) > n, "%d descriptors" % len(os.listdir(files)))
        innocent.round()
        cost = anon(x) - before
        print("%d silent sockets: %.1f MB" % (n, cost / MB))
        holds(cost < 20_000_000 * ASAN, "%d octets" % cost)
        innocent.close()
        for _ in range(6):
            socks.append(socket.create_connection(("127.0.0.1", x.port)))
        x.log("conn.refuse", reason="handshake-slow")
        innocent = Innocent(x)
        innocent.round()
        innocent.close()
        for sock in socks:
            sock.close()
        x.stop()


