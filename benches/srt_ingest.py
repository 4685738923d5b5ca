#!/usr/bin/env python3
"""SRT ingest: one 6 Mb/s transport stream into a copy channel, beside srt-live-transmit that only receives, in alternation.

usage: srt_ingest.py [--rounds 5] [--seconds 20]
Prints CPU in percent of a core (gateway, link, demuxer and packaging together); writes target/bench/srt_ingest.json.
"""

import argparse
import statistics
import subprocess
import time

from copy_hls import six_megabits
from measure import Serving, free_port, needs, save, stop, table, tree_cpu_s

LATENCY_MS = 120


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=20)
    options = options.parse_args()
    needs("ffmpeg", "srt-live-transmit")
    clip = six_megabits()
    samples = {"srt-live-transmit": [], "headend": []}
    for _ in range(options.rounds):
        samples["srt-live-transmit"].append(receiver(clip, options.seconds))
        samples["headend"].append(headend(clip, options.seconds))
    medians = {name: statistics.median(all_of) for name, all_of in samples.items()}
    ratio = medians["headend"] / medians["srt-live-transmit"]
    rows = [[name, f"{medians[name]:.2f} %", f"{min(samples[name]):.2f} to {max(samples[name]):.2f} %"] for name in samples]
    table(f"SRT ingest of 6 Mb/s, medians of {options.rounds} (wanted: <= 2.5 % of a core; ratio {ratio:.2f})", ["", "CPU", "range"], rows)
    save("srt_ingest", {"samples": samples, "medians": medians, "ratio": ratio})


def headend(clip, seconds):
    config = '[[channel]]\nname = "c"\nladder = "copy"\nformats = ["cmaf"]\nsegment = "2s"\nwindow = "20s"\n'
    with Serving(config, "srt") as serving:
        return measured(serving.pid, clip, seconds, f"srt://127.0.0.1:{serving.srt}?streamid=c&latency={LATENCY_MS * 1000}")


def receiver(clip, seconds):
    port = free_port()
    command = ["srt-live-transmit", "-q", f"srt://127.0.0.1:{port}?mode=listener&latency={LATENCY_MS}", "file://con"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        return measured(process.pid, clip, seconds, f"srt://127.0.0.1:{port}?latency={LATENCY_MS * 1000}")
    finally:
        stop(process)


def measured(pid, clip, seconds, url):
    """CPU share of a receiver while ffmpeg sends in real time."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "mpegts", "-pkt_size", "1316", url]
    sender = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(4)
        before, start = tree_cpu_s(pid), time.monotonic()
        time.sleep(seconds)
        used = (tree_cpu_s(pid) - before) / (time.monotonic() - start)
        if sender.poll() is not None:
            raise SystemExit("the sender ended early")
        return used * 100
    finally:
        stop(sender)


if __name__ == "__main__":
    main()
