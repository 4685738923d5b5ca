#!/usr/bin/env python3
"""From publish to the first playable segment, and from a segment's last packet to its listing.

usage: latency.py [--rounds 5]
Writes target/bench/latency.json.
"""

import argparse
import re
import subprocess
import time

from measure import Serving, fetched, median, needs, save, stop, table, wait_for
from copy_hls import six_megabits

LADDER = '[[ladder.test]]\nheight = 360\nbitrate = "600k"\npreset = "superfast"\n'


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    needs("ffmpeg")
    result = {}
    for name, ladder in (("copy", "copy"), ("360p", "test")):
        first, listing = [], []
        for _ in range(options.rounds):
            config = f'[[channel]]\nname = "c"\nladder = "{ladder}"\nformats = ["cmaf"]\nsegment = "2s"\n' + ("" if ladder == "copy" else 'gop = "2s"\n' + LADDER)
            with Serving(config, "latency") as serving:
                first.append(to_first_segment(serving))
                listing.append(mean_listing_s(serving))
        result[name] = {"first_segment_s": median(first), "listing_s": median(listing)}
    rows = [[name, f"{one['first_segment_s']:.2f} s", f"{one['listing_s'] * 1000:.1f} ms"] for name, one in result.items()]
    table("delays with two-second segments (wanted: listed within 50 ms)", ["", "publish to first segment", "last packet to listing, mean"], rows)
    save("latency", result)


def to_first_segment(serving):
    """Seconds from the publisher's start to the first answer with a whole segment; then some more segments are made."""
    start = time.monotonic()
    command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", six_megabits(), "-c", "copy", "-t", "14", "-f", "flv", f"rtmp://127.0.0.1:{serving.rtmp}/live/c"]
    publisher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the first segment", lambda: first_segment(serving))
        taken = time.monotonic() - start
        publisher.wait(30)
        return taken
    finally:
        stop(publisher)


def first_segment(serving):
    master = fetched(serving.url("/live/c/master.m3u8"))
    uris = re.findall(rb"^[^#\n].*$", master or b"", re.M)
    if not uris:
        return None
    playlist = f"/live/c/{uris[0].decode()}"
    segments = re.findall(rb"^[^#\n].*$", fetched(serving.url(playlist)) or b"", re.M)
    return fetched(serving.url(f"{playlist.rsplit('/', 1)[0]}/{segments[0].decode()}")) if segments else None


def mean_listing_s(serving):
    text = fetched(serving.url("/metrics")).decode()
    total = lambda name: sum(float(value) for value in re.findall(rf"^headend_segment_listing_seconds_{name}(?:{{.*}})? (\S+)$", text, re.M))
    return total("sum") / max(total("count"), 1)


if __name__ == "__main__":
    main()
