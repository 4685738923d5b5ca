#!/usr/bin/env python3
"""A ladder that is too large for the machine, and one that becomes so while other work takes the cores and goes again.

usage: overload.py [--binary target/release/headend] [--hogs 6] [--seconds 40] [--back 90]
Prints what is given up and when, how far the slowest stage was behind, and how long it took to come back.
Writes target/bench/overload.json.
"""

import argparse
import json
import multiprocessing
import re
import time
from pathlib import Path

import measure
from measure import Serving, fetched, save, table

CHANNEL = '[[channel]]\nname = "c"\nfeed = "pattern"\nrate = {rate}\nladder = "test"\nformats = ["cmaf"]\nsegment = "2s"\ngop = "2s"\n'
RUNG = '[[ladder.test]]\nheight = {height}\nbitrate = "{bitrate}"\npreset = "{preset}"\n'


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--binary", type=Path, default=measure.HEADEND)
    options.add_argument("--hogs", type=int, default=6)
    options.add_argument("--seconds", type=int, default=40)
    options.add_argument("--back", type=int, default=90)
    options = options.parse_args()
    measure.HEADEND = options.binary.resolve()
    too_large = watched("too large by itself", ladder(50, "slower", [(1080, "6M"), (720, "3M"), (480, "1.5M")]), [(options.seconds, 0)])
    fitting = ladder(25, "veryfast", [(720, "3M"), (480, "1.5M"), (360, "800k")])
    loaded = watched("other work comes and goes", fitting, [(15, 0), (options.seconds, options.hogs), (options.back, 0)])
    rows = [row for result in (too_large, loaded) for row in result["rows"]]
    head = ["", "steps taken", "settled after", "longest lag, then", "pictures left out", "all back after"]
    table("overload on this machine (wanted: settled within 10 s, lag bounded)", head, rows)
    save("overload", {"runs": [too_large, loaded]})


def ladder(rate, preset, rungs):
    return CHANNEL.format(rate=rate) + "".join(RUNG.format(height=height, bitrate=bitrate, preset=preset) for height, bitrate in rungs)


def watched(name, config, phases):
    """Runs a channel through phases of (seconds, processes that do nothing but work), and says what became of each that was too much."""
    rows, samples = [], []
    with Serving(config, "overload") as serving:
        start, before = time.monotonic(), 0
        for seconds, hogs in phases:
            working = [multiprocessing.Process(target=hog, daemon=True) for _ in range(hogs)]
            [process.start() for process in working]
            phase = []
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                phase.append(sample(serving, time.monotonic() - began))
                time.sleep(0.25)
            for process in working:
                process.terminate()
                process.join()
            samples.append({"hogs": hogs, "began_s": began - start, "samples": phase})
            rows.append(judged(name, hogs, phase, before))
            before = phase[-1]["dropped"]
        text = Path(serving.log.name).read_text(errors="replace")
        events = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines() if "ladder" in line and "step=" in re.sub(r"\x1b\[[0-9;]*m", "", line)]
    for line in events:
        print(line)
    return {"name": name, "rows": rows, "phases": samples, "events": events}


def sample(serving, at_s):
    status = json.loads(fetched(serving.url("/api/v1/channels/c")))
    metrics = fetched(serving.url("/metrics")).decode()
    dropped = sum(float(value) for value in re.findall(r'^headend_frames_dropped_total\{channel="c",reason="overload"\} (\S+)$', metrics, re.M))
    overload = status["overload"] or {"level": 0, "steps": [], "lag_ms": 0}
    return {"at_s": round(at_s, 2), "level": overload["level"], "steps": overload["steps"], "lag_ms": overload["lag_ms"], "dropped": dropped}


def judged(name, hogs, phase, dropped_before):
    """One row: settled is when the last picture was left out and the last step down taken."""
    restless = [after["at_s"] for now, after in zip(phase, phase[1:]) if after["dropped"] > now["dropped"] or after["level"] > now["level"]]
    settled_s = restless[-1] if restless else 0.0
    deepest = max(phase, key=lambda one: one["level"])
    longest_ms = max(one["lag_ms"] for one in phase)
    then_ms = max((one["lag_ms"] for one in phase if one["at_s"] > settled_s + 2), default=phase[-1]["lag_ms"])
    back = next((one["at_s"] for one in phase if one["level"] == 0), None) if phase[0]["level"] > 0 else None
    what = f"{name}, {hogs} busy processes" if hogs else name
    taken = ", ".join(deepest["steps"]) or "none"
    left_out = int(phase[-1]["dropped"] - dropped_before)
    return [what, taken, f"{settled_s:.1f} s", f"{longest_ms} ms, {then_ms} ms", left_out, "-" if back is None else f"{back:.1f} s"]


def hog():
    while True:
        pass


if __name__ == "__main__":
    main()
