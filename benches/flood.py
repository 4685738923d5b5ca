#!/usr/bin/env python3
"""Whether floods of viewers move ingest: copy channels fed by ffmpeg, and beside them nothing, slow readers, idle connections, floods of headers, bodies and requests.

usage: flood.py [--channels 8] [--seconds 10] [--rounds 3] [--readers 200] [--idle 10000] [--pinning auto|off] [--packaging CORES]
Prints for each flood, as medians of rounds in alternation, how late access units are taken up by their channels (p99), how late the runtime of ingest is (p99), how long an RTMP ping takes, measured from outside
(p99, and the largest), and what CPU time the front took; writes target/bench/flood.json. Wanted: p99 <= 20 ms, or not above twice that of the idle appliance.

The floods are made on the cores of the appliance, at niceness 5. A hard limit of open files of --idle + 1,200 is needed (ulimit -Hn).
"""

import argparse
import multiprocessing
import os
import random
import re
import resource
import selectors
import shutil
import socket
import subprocess
import time

from copy_hls import six_megabits
from measure import Serving, fetched, median, needs, save, stop, table, wait_for

NICENESS = 5
SETTLE_S = 3
CROWD_S = 20
# Fewer than the appliance lets one address have.
PER_ADDRESS = 400
PING_EVERY_S = 0.01
# Publishers that never publish are closed after 10 s.
PING_CONNECTION_S = 7
WANTED_MS = 20


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--channels", type=int, default=8)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--readers", type=int, default=200)
    options.add_argument("--idle", type=int, default=10_000)
    options.add_argument("--pinning", default="auto")
    options.add_argument("--packaging", help="cores of packaging, to see what threads of its own cost")
    options = options.parse_args()
    needs("ffmpeg")
    raise_limit(options.idle + 200)
    clip = six_megabits()
    named = f'packaging = "{options.packaging}"\n' if options.packaging else ""
    config = f'[machine]\npinning = "{options.pinning}"\n{named}' + "".join(
        f'[[channel]]\nname = "c{n}"\nladder = "copy"\nformats = ["cmaf"]\nsegment = "2s"\nwindow = "20s"\n' for n in range(options.channels)
    )
    rows, result = [], {"channels": options.channels, "seconds": options.seconds, "pinning": options.pinning}
    with Serving(config, "flood") as serving:
        publishers = [publisher(clip, serving, n) for n in range(options.channels)]
        try:
            wait_for("every channel lists segments", lambda: listed(metrics(serving)) >= 3 * options.channels, 60)
            samples = {}
            for _ in range(options.rounds):
                for name, (floods, crowd) in scenarios(serving, options).items():
                    samples.setdefault(name, []).append(measured(serving, floods, crowd, options.seconds))
                    lost = [n for n, one in enumerate(publishers) if one.poll() is not None]
                    if lost:
                        raise SystemExit(f"{name}: publishers {lost} ended")
        finally:
            for one in publishers:
                stop(one)
    for name, rounds in samples.items():
        sample = {key: median(one[key] for one in rounds) for key in rounds[0]}
        result[name] = {"median": sample, "rounds": rounds}
        rows.append([name, *(f"{sample[key]:.1f}" for key in COLUMNS), "yes" if holds(sample, result["nobody"]["median"]) else "NO"])
    head = ["beside", "lag median, ms", "lag p99, ms", "runtime p99, ms", "ping p99, ms", "ping most, ms", "connections", "segments", "ingest CPU, %", "packaging CPU, %", "edge CPU, %", "holds"]
    table(f"{options.channels} copy channels of 6 Mb/s, floods beside them (pinning = {options.pinning})", head, rows)
    save(f"flood-{options.pinning}", result)


COLUMNS = ["lag_p50_ms", "lag_p99_ms", "runtime_p99_ms", "ping_p99_ms", "ping_most_ms", "connections", "segments", "ingest_cpu", "packaging_cpu", "edge_cpu"]


def holds(sample, idle):
    return all(sample[key] <= max(WANTED_MS, 2 * idle[key]) for key in ("lag_p99_ms", "runtime_p99_ms"))


def scenarios(serving, options):
    server = ("127.0.0.1", serving.http)
    playlist, segment = paths(serving)
    slow = [(slow_readers, server, segment, options.readers)]
    # Several processes: one cannot keep so many connections busy.
    idle = [(idle_connections, server, playlist, options.idle // 2, first) for first in (0, 128)]
    headers, bodies = [(header_flood, server)], [(body_flood, server)]
    requests = [(request_flood, server, playlist)]
    return {
        "nobody": ([], 0),
        f"{options.readers} slow readers": (slow, options.readers),
        f"{options.idle:,} idle connections": (idle, options.idle),
        "a flood of headers": (headers, 0),
        "a flood of bodies": (bodies, 0),
        "a flood of requests": (requests, 0),
        "all of it": (slow + idle + headers + bodies + requests, options.idle),
    }


def measured(serving, floods, crowd, seconds):
    """One flood, from when it has come up and its crowd of connections is there, or does not come."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=nicely, args=flood, daemon=True) for flood in floods]
    for process in processes:
        process.start()
    try:
        end = time.monotonic() + CROWD_S
        time.sleep(SETTLE_S)
        while total(metrics(serving), "headend_http_connections") < 0.95 * crowd and time.monotonic() < end:
            time.sleep(1)
        before = metrics(serving)
        pings = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pings += ping(serving.rtmp, min(PING_CONNECTION_S, end - time.monotonic()))
        after = metrics(serving)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    pings.sort()
    sample = {
        "lag_p99_ms": quantile(before, after, "headend_ingest_lag_seconds", 0.99) * 1000,
        "lag_p50_ms": quantile(before, after, "headend_ingest_lag_seconds", 0.5) * 1000,
        "runtime_p99_ms": quantile(before, after, "headend_runtime_lag_seconds", 0.99, 'role="ingest"') * 1000,
        "ping_p99_ms": pings[int(len(pings) * 0.99)] * 1000,
        "ping_most_ms": pings[-1] * 1000,
        "pings": len(pings),
        "connections": total(after, "headend_http_connections"),
        "segments": listed(after) - listed(before),
    }
    for role in ("ingest", "packaging", "edge"):
        name, label = "headend_thread_cpu_seconds_total", f'role="{role}"'
        sample[f"{role}_cpu"] = (total(after, name, label) - total(before, name, label)) * 100 / seconds
    time.sleep(1)
    return sample


def nicely(flood, *arguments):
    os.nice(NICENESS)
    flood(*arguments)


def publisher(clip, serving, number):
    time.sleep(0.1)
    command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "flv", f"rtmp://127.0.0.1:{serving.rtmp}/live/c{number}"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# ----- the floods; each runs until it is ended


def slow_readers(server, path, count):
    """Readers that take 16 KiB every half second of segments of 1.5 MB."""
    readers = [None] * count
    while True:
        for n in range(count):
            if readers[n] is None:
                readers[n] = opened(server, n, receive_bytes=16 << 10)
                if readers[n]:
                    attempted(lambda: readers[n].sendall(request(path)))
                continue
            try:
                if not readers[n].recv(16 << 10):
                    raise OSError
            except BlockingIOError:
                pass
            except OSError:
                readers[n].close()
                readers[n] = None
        time.sleep(0.5)


def idle_connections(server, path, count, first_address):
    """Connections that ask once and then stay; those that are closed are opened anew."""
    selector, held = selectors.DefaultSelector(), 0
    while True:
        for _ in range(min(500, count - held)):
            one = opened(server, held, first_address)
            if one:
                attempted(lambda: one.sendall(request(path)))
                selector.register(one, selectors.EVENT_READ)
                held += 1
        for key, _ in selector.select(0.1):
            try:
                if key.fileobj.recv(64 << 10):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            selector.unregister(key.fileobj)
            key.fileobj.close()
            held -= 1


def header_flood(server):
    """Headers without end, as fast as they are taken, by 32 connections."""
    pouring(server, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Flood: " + b"a" * 4000 + b"\r\n", 32)


def body_flood(server):
    """Bodies without end, as fast as they are taken, by 32 connections."""
    head = b"POST /api/v1/channels/c0/feed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    pouring(server, head, b"a" * (64 << 10), 32)


def pouring(server, head, more, count):
    selector, held = selectors.DefaultSelector(), 0
    while True:
        while held < count:
            one = opened(server, held, 64)
            if not one:
                break
            attempted(lambda: one.sendall(head))
            selector.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE)
            held += 1
        for key, events in selector.select(0.1):
            try:
                if events & selectors.EVENT_READ and not key.fileobj.recv(64 << 10):
                    raise OSError
                if events & selectors.EVENT_WRITE:
                    key.fileobj.send(more)
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                held -= 1


def request_flood(server, path):
    """Playlists as fast as they are answered, over 100 connections; by wrk where it is installed."""
    if shutil.which("wrk"):
        os.execvp("wrk", ["wrk", "-t", "1", "-c", "100", "-d", "600", f"http://{server[0]}:{server[1]}{path}"])
    pouring(server, b"", request(path) * 16, 100)


def opened(server, number, first_address=32, receive_bytes=None):
    """A connection from one of many addresses of this machine, or None."""
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: one port may serve many addresses
    if receive_bytes:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        one.bind((f"127.0.{first_address}.{1 + number // PER_ADDRESS}", 0))
        one.settimeout(2)
        one.connect(server)
        one.setblocking(False)
        return one
    except OSError:
        one.close()
        return None


def attempted(send):
    try:
        send()
    except OSError:
        pass


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


# ----- what is measured


def ping(port, seconds):
    """Round trips of RTMP pings (user control 6, answered by 7) over one connection, in seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b"\x03" + bytes(8) + random.randbytes(1528))
        answer = b""
        while len(answer) < 3073:
            answer += peer.recv(4096)
        peer.sendall(answer[1:1537])
        trips, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            mark = random.randbytes(4)
            sent = time.monotonic()
            peer.sendall(b"\x02" + bytes(3) + b"\x00\x00\x06" + b"\x04" + bytes(4) + b"\x00\x06" + mark)
            heard = b""
            while b"\x00\x07" + mark not in heard:
                more = peer.recv(4096)
                if not more:
                    raise SystemExit("the ping's connection was closed")
                heard += more
            trips.append(time.monotonic() - sent)
            time.sleep(PING_EVERY_S)
        return trips


def metrics(serving):
    """Samples by their name and labels. Asked from an address of its own, since the floods may have used up the places of theirs."""
    body = wait_for("metrics", lambda: fetched(serving.url("/metrics"), 20))
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines() if line and not line.startswith("#")}


def total(samples, name, label=""):
    return sum(value for key, value in samples.items() if re.split(r"[{ ]", key)[0] == name and label in key)


def listed(samples):
    return total(samples, "headend_segments_total")


def quantile(before, after, name, share, label=""):
    """As histogram_quantile of Prometheus: straight lines within buckets. All series of the name together."""
    counts = {}
    for key, value in after.items():
        if key.startswith(f"{name}_bucket") and label in key:
            edge = float(re.search(r'\ble="([^"]+)"', key).group(1))
            counts[edge] = counts.get(edge, 0) + value - before.get(key, 0)
    edges = sorted(counts)
    wanted, low, below = counts[edges[-1]] * share, 0.0, 0.0
    for edge in edges:
        if counts[edge] >= wanted:
            return low if edge == float("inf") else low + (edge - low) * (wanted - below) / max(counts[edge] - below, 1)
        low, below = edge, counts[edge]
    return low


def paths(serving):
    """A media playlist and a segment in the middle of its window."""
    base = "/live/c0/"
    master = fetched(serving.url(base + "master.m3u8")).decode()
    playlist = base + next(line for line in master.splitlines() if line and not line.startswith("#"))
    media = fetched(serving.url(playlist)).decode()
    names = [line for line in media.splitlines() if line and not line.startswith("#")]
    return playlist, playlist.rsplit("/", 1)[0] + "/" + names[-1]


def raise_limit(needed):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed + 1_000:
        raise SystemExit(f"{needed + 1_000} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn) or lower --idle")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
