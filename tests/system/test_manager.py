"""The daemon as a service: descriptors kept by its manager, socket activation, the watchdog. No systemd is needed here."""
import fcntl
import os
import re
import socket
import subprocess
import tempfile

from cases import alive, check, holds
from kit import BUILD, SLOW, WAIT_S, Exchange, Failed, asan
from manager import Service
from newsx import Link, story

PARTNERS = {"kpl": 'publish = {"kpl.*"}'}


def publishes(service, uri):
    with Link(service.port, service.keys["kpl"].identity) as link:
        check(link.answer(link.publish(story(uri), {"channel": "kpl.news"})), "stored", uri)


def inode(fd):
    return os.fstat(fd).st_ino


def test_the_listener_outlives_the_daemon():
    """kill -9: who connects meanwhile waits in the queue and is served by the next one, through the same socket"""
    with Service(PARTNERS) as service:
        service.until_said("READY")
        check([name for name, _ in service.store], ["listener-0"], "in the store")
        publishes(service, "urn:test:1")
        for n in range(3):
            service.kill()
            waiting = [socket.create_connection(("127.0.0.1", service.port), WAIT_S) for _ in range(20)]
            mark = len(service.heard)
            service.restart()
            service.until_said("READY", mark)
            check(service.said("FDSTORE", mark), [], "a socket that is kept is not stored again")
            publishes(service, "urn:test:killed:%d" % n)
            for sock in waiting:  # taken in, not reset: silent ones are told so after the handshake's time
                sock.setblocking(False)
                try:
                    holds(sock.recv(1), "one that waited was closed")
                except BlockingIOError:
                    pass
                sock.close()
        service.stop()
        waiting = socket.create_connection(("127.0.0.1", service.port), WAIT_S)
        service.restart()
        publishes(service, "urn:test:stopped")
        waiting.close()
        mark = len(service.heard)
        service.reload()
        service.until_said("READY", mark)
        check(service.said("FDSTORE", mark), [], "nor at a reload")


def test_listeners_that_nobody_wants_leave_the_store():
    """two addresses, then another two of which one is new: names never collide"""
    with Service(PARTNERS, sections={"listen": ""}) as service:
        service.until_said("READY")
        service.stop()
        first = service.port
        others = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [sock.getsockname()[1] for sock in others]
        for sock in others:
            sock.close()

        def listen(*all_of):
            with open(service.config, encoding="utf-8") as file:
                lines = file.read().split("\n")
            lines[1] = "listen { address = {%s} }" % ", ".join('"127.0.0.1:%d"' % port for port in all_of)
            with open(service.config, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))

        def stored():
            return {name: socket.socket(fileno=os.dup(fd)).getsockname()[1] for name, fd in service.store}

        listen(first, ports[0])
        service.restart()
        service.until_said("READY", len(service.heard))
        check(stored(), {"listener-0": first, "listener-1": ports[0]}, "two")
        service.kill()
        listen(ports[0], ports[1])
        mark = len(service.heard)
        service.restart()
        service.until_said("READY", mark)
        check([name for _, said in service.heard[mark:] for name in said if name.startswith("FDSTORE")],
              ["FDSTOREREMOVE", "FDSTORE"], "room is made first: there is only so much")
        check(stored(), {"listener-1": ports[0], "listener-2": ports[1]}, "one gone, one new")
        try:
            socket.create_connection(("127.0.0.1", first), WAIT_S).close()
            raise Failed("the port that nobody wants is still open")
        except ConnectionRefusedError:
            pass


def test_an_address_that_takes_the_place_of_one_that_is_kept():
    """all addresses, then one of them, then all again: the port stays, and what is kept of it must not be in the way"""
    with Service(PARTNERS) as service:
        service.until_said("READY")
        for n, address in enumerate(("0.0.0.0", "127.0.0.1", "0.0.0.0")):
            service.kill()
            with open(service.config, encoding="utf-8") as file:
                text = re.sub(r'address = \{"[0-9.]+:', 'address = {"%s:' % address, file.read())
            with open(service.config, "w", encoding="utf-8") as file:
                file.write(text)
            mark = len(service.heard)
            service.restart()
            service.until_said("READY", mark)
            names = [socket.socket(fileno=os.dup(fd)).getsockname() for _, fd in service.store]
            check(names, [(address, service.port)], "in the store")
            publishes(service, "urn:test:%d" % n)


def test_what_a_socket_unit_has_is_not_another_program():
    """the address that is configured is part of what the unit listens on: the words say so"""
    with Service(PARTNERS) as service:
        service.until_said("READY")
        service.stop()
        for _, fd in service.store:
            os.close(fd)
        server = socket.create_server(("::", service.port), family=socket.AF_INET6, dualstack_ipv6=True)
        service.store = [("newsxd.socket", server.fileno())]
        mark, service.process = service.mark(), None
        service.start(wait=False)
        got = service.log("listen.fail", since=mark)
        holds("a socket unit gives us [::]:%d, which listen address does not have" % service.port in got["words"], got)
        check(service.process.wait(WAIT_S), 69, "exit status")
        server.close()


def test_a_socket_unit():
    """plain socket activation: any name; one that the configuration lacks is refused in words"""
    with Service(PARTNERS) as service:
        service.until_said("READY")
        service.stop()
        service.store.clear()
        server = socket.create_server(("127.0.0.1", 0))
        service.port = server.getsockname()[1]
        service.configure()
        service.store = [("newsxd.socket", server.fileno())]
        mark = len(service.heard)
        service.restart()
        service.until_said("READY", mark)
        check(service.said("FDSTORE", mark), [], "its manager has it already")
        publishes(service, "urn:test:unit")
        service.stop()
        other = socket.create_server(("127.0.0.1", 0))
        service.store = [("newsxd.socket", server.fileno()), ("", other.fileno())]
        mark = service.mark()
        service.process = None
        service.start(wait=False)
        got = service.log("listen.fail", since=mark)
        holds("127.0.0.1:%d" % other.getsockname()[1] in got["words"], got)
        check(service.process.wait(WAIT_S), 69, "exit status")
        server.close()
        other.close()
        service.store = []
        service.restart()  # without a socket unit it opens its own again
        publishes(service, "urn:test:own")


SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

/* every flush waits for as long as a file is there */
int fdatasync(int fd)
{
	static int (*real)(int);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	while (access(getenv("SLOW_DISK"), F_OK) == 0)
		usleep(10000);
	return real(fd);
}
"""


def test_the_watchdog_is_fed_while_writers_get_on():
    """fed three times in its time; a commit that hangs for commit-stall ends that, and its end begins it again"""
    with Service(PARTNERS, sections={"store": 'commit-stall = "2s"'}) as service:
        service.stop()
        shim, slow = os.path.join(service.folder, "slow.so"), os.path.join(service.folder, "slow")
        built = subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", shim, "-", "-ldl"], input=SLOW_DISK, text=True,
                               check=False, timeout=WAIT_S)
        check(built.returncode, 0, "cc")
        service.env.update(asan("verify_asan_link_order=0"), WATCHDOG_USEC="900000", LD_PRELOAD=shim, SLOW_DISK=slow)
        service.restart()
        mark = len(service.heard)
        while len(service.said("WATCHDOG", mark)) < 8:
            service.until_said("WATCHDOG", len(service.heard))
        times = service.said("WATCHDOG", mark)
        longest = max(b - a for a, b in zip(times, times[1:]))
        holds(longest < 0.9, "the longest silence was %.2f s" % longest)
        with Link(service.port, service.keys["kpl"].identity) as link:
            with open(slow, "w", encoding="utf-8"):
                ident = link.publish(story("urn:test:slow"), {"channel": "kpl.news"})
            got = service.log("watchdog.held")
            holds(2000 <= int(got["ms"]) < 4500 * SLOW, got)
            service.hear()
            mark = len(service.heard)
            service.hear(1.5)
            check(service.said("WATCHDOG", mark), [], "fed though a commit hangs")
            os.unlink(slow)
            check(link.answer(ident), "stored", "it went on")
            service.log("watchdog.fed")
            service.until_said("WATCHDOG", mark)
        service.stop()


def test_a_new_store_asks_for_time():
    with Service(PARTNERS) as service:
        service.until_said("READY")
        holds(service.said("EXTEND_TIMEOUT_USEC"), "said while it takes its room from the disk")
        holds(service.said("EXTEND_TIMEOUT_USEC")[-1] <= service.said("READY")[0], service.heard)
        service.stop()
        mark = len(service.heard)
        service.restart()
        service.until_said("READY", mark)
        check(service.said("EXTEND_TIMEOUT_USEC", mark), [], "it has its room")


def test_no_watchdog_where_none_is_wanted():
    with Service(PARTNERS) as service:
        service.until_said("READY")
        publishes(service, "urn:test:1")
        service.hear(1.2)
        check(service.said("WATCHDOG"), [], "nobody asked")


def test_a_stalled_commit_is_told_of_twice():
    """after five seconds, and when it is over; answers wait meanwhile, links live"""
    if os.environ.get("SAN"):
        print("a sanitizer wants to be the first that is preloaded\nSKIP")
        return
    with tempfile.NamedTemporaryFile(prefix="newsxd-gate.") as gate:
        with Exchange(PARTNERS, env={"LD_PRELOAD": os.path.join(BUILD, "tests/fault/shim/gate.so"), "GATE": gate.name}) as x:
            with Link(x.port, x.keys["kpl"].identity) as link:
                fcntl.flock(gate, fcntl.LOCK_EX)
                ident = link.publish(story("urn:test:slow"), {"channel": "kpl.news"})
                first = x.log("store.stalled")
                check((first["over"], first["level"], 5000 <= int(first["ms"]) < 7500), ("no", "err", True), first)
                alive(link)
                fcntl.flock(gate, fcntl.LOCK_UN)
                check(link.answer(ident), "stored", "it went on")
            last = x.log("store.stalled", over="yes")
            check((last["level"], int(last["ms"]) >= int(first["ms"])), ("warn", True), last)
            check(len(x.found("store.stalled")), 2, "lines")
            x.stop()
