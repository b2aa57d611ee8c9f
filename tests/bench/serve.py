#!/usr/bin/env python3
"""How many answers serve-streams gives to 32 clients at once, each asking 800 points over ten years of minute trend.

  python3 tests/bench/serve.py [--clients 32] [--rounds 12] [--seconds 2] [--processes 2] [--band] [--work DIR]

Prints the machine, then in each round, in turn, without and with a client that stalls (one stops in the midst of its
request, one takes in nothing of a large answer): answers a second, median and 99th percentile of their time, the
server's CPU time an answer (which tells most where the machine has other work), and how many are wrong; and whether
the targets of issue 6 are reached, by the middle one of the rounds.  A target that is missed is told, and is no
failure; a wrong answer is one.

With --band the smallest and the largest sample of each point are asked for as well, as the page does; what the importer
keeps of the streams for that is made first.

Clients keep their connection, as browsers do, and each asks another span every time.  All answers are kept, and held
against means that are taken of the samples themselves, once the clock has stopped: a point that no gap touches must
have the mean of the samples that begin in it, and one that a gap touches may be null as well.  The streams have
a gap of an hour or more every ten days.  Last, where Chromium is: how long the page takes to its first plot of a year,
in a browser that has never been there.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

BENCH = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(BENCH))
sys.path[:0] = [os.path.join(ROOT, "lib"), os.path.join(ROOT, "tests")]

import numpy as np  # noqa: E402
from framemake.streams import envelope, records  # noqa: E402

START, MINUTE, RATE, POINTS = 1148000400, 60, 256, 800
YEARS = 10 * 31557600
BLOCK = 10 * 86400
NAMES = ["H0:PEM-EX_SEISX", "H0:PEM-EX_SEISY", "L0:PEM-LVEA_SEISZ"]
ANSWERS, SLOWEST, STALLED, PLOT = 200, 0.4, 0.1, 1.5


class Truth:
    """The samples of a stream: their times, means, and running sums of these; the gaps as pairs of GPS s.

    span: of the stream; block: from gap to gap, both in s; lost: how many minutes a gap has, from and below.
    """

    def __init__(self, seed, span=YEARS, block=BLOCK, lost=(60, 600)):
        chance = np.random.default_rng(seed)
        starts = np.arange(START, START + span, block)
        lengths = block - MINUTE * chance.integers(*lost, len(starts))
        # As floats: searchsorted would make so many of them each time.
        self.time = np.concatenate([np.arange(a, a + n, MINUTE) for a, n in zip(starts, lengths, strict=True)]) * 1.0
        self.mean = chance.integers(-1000, 1000, len(self.time)).astype(float) + 0.5
        self.sums = np.concatenate(([0.0], np.cumsum(self.mean)))
        self.gaps = np.stack((starts + lengths, starts + block), 1).astype(float)
        self.first = np.flatnonzero(np.diff(self.time, prepend=0) != MINUTE)

    def write(self, path):
        """Write the stream's files: sums, records that bound gaps, and index by the rules of the format."""
        count = MINUTE * RATE
        made = np.empty(len(self.time) + 2 * (len(self.first) - 1), records.record("double"))
        index, at, total = [(0.0, float(START))], 0, 0.0
        stops = [*self.first[1:].tolist(), len(self.time)]
        for first, stop in zip(self.first.tolist(), stops, strict=True):
            if first:
                last, good = float(self.time[first - 1]), self.mean[first - 1]
                begin = float(self.time[first])
                lost = int((begin - last) * RATE - 2)
                for when, many in ((last + 1 / RATE, 1), (begin - 1 / RATE, lost)):
                    total += good * many
                    made[at] = (records.INVALID, when, total, 0.0)
                    at += 1
                index += [(last, 1 / RATE), (last + 1 / RATE, begin - last - 2 / RATE), (begin - 1 / RATE, 1 / RATE)]
            held = made[at : at + stop - first]
            sums = np.cumsum(np.concatenate(([total], self.mean[first:stop] * count)))[1:]
            held["valid"], held["time"], held["sum"], held["square"] = records.VALID, self.time[first:stop], sums, 0.0
            index.append((float(self.time[first]), float(MINUTE)))
            at, total = at + stop - first, sums[-1]
        with open(f"{path}.bin", "wb") as out:
            made.tofile(out)
        with open(f"{path}.index.bin", "wb") as out:
            np.array(index, records.INDEX).tofile(out)
        with open(f"{path}.info", "w", encoding="ascii") as out:
            out.write(records.info_text(records.Info("double", 64, 0.0, 1.0, "counts")))

    def is_right(self, told, name, start, end):
        """Whether an answer is that of these samples."""
        (series,) = told["series"]
        edges = start + np.arange(POINTS + 1) * ((end - start) / POINTS)
        edges[-1] = end
        values = np.array([np.nan if value is None else value for value in series["values"]])
        if series["name"] != name or len(values) != POINTS or not np.allclose(series["times"], edges[:-1], 0, 1e-6):
            return False
        at = np.searchsorted(self.time, edges - 1e-6)
        with np.errstate(invalid="ignore", divide="ignore"):
            wanted = np.diff(self.sums[at]) / np.diff(at)
        begins = np.searchsorted(self.gaps[:, 1], edges[:-1])
        touched = self.gaps[np.minimum(begins, len(self.gaps) - 1), 0] <= edges[1:]
        missing = np.isnan(values)
        near = np.abs(values - wanted) <= 1e-6
        return bool((near | (missing & touched)).all() and missing.mean() < 0.2)


# What is asked besides.
MORE: dict = {}


def ask(address, number, until, taken, begin):
    """One client: asks until the time is over; notes (seconds, status, body, name, start, end) of each answer."""
    chance = np.random.default_rng(number)
    begin.wait()
    connection = http.client.HTTPConnection(*address, timeout=60)
    while time.monotonic() < until[0]:
        name = NAMES[int(chance.integers(len(NAMES)))]
        start, end = START + int(chance.integers(86400)), START + YEARS - BLOCK - int(chance.integers(86400))
        query = urllib.parse.urlencode(
            {"name": name, "kind": "mean", "start": start, "end": end, "points": POINTS, **MORE}
        )
        begun = time.perf_counter()
        try:
            connection.request("GET", f"/api/values?{query}")
            answer = connection.getresponse()
            body, status = answer.read(), answer.status
        except OSError as error:
            body, status = str(error).encode(), 0
            connection.close()
        taken.append((time.perf_counter() - begun, status, body, name, start, end))
    connection.close()


def half(address):
    """A client that stops in the midst of its request."""
    client = socket.create_connection(address)
    client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nfile=")
    return client


def deaf(address):
    """A client that asks much and takes in nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(address)
    client.sendall(b"GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def cpu(server):
    """CPU seconds that the processes of a server have taken."""
    total = 0
    with open(f"/proc/{server}/task/{server}/children", encoding="ascii") as source:
        for child in source.read().split():
            with open(f"/proc/{child}/stat", encoding="ascii") as source:
                total += sum(map(int, source.read().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def measure(address, server, clients, seconds, truths, stall=None):
    """(answers a second, median s, 99th percentile s, the server's CPU s an answer, wrong ones) of clients at once."""
    before, stalled = cpu(server), stall(address) if stall else None
    taken, until, begin = [], [0.0], threading.Event()
    threads = [threading.Thread(target=ask, args=(address, k, until, taken, begin)) for k in range(clients)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    until[0] = begun + seconds
    begin.set()
    for thread in threads:
        thread.join()
    spent = time.monotonic() - begun
    each = (cpu(server) - before) / max(1, len(taken))
    if stalled:
        stalled.close()
    wrong = sum(
        status != 200 or not truths[name].is_right(json.loads(body), name, start, end)
        for _, status, body, name, start, end in taken
    )
    times = sorted(entry[0] for entry in taken)
    return len(taken) / spent, statistics.median(times), times[int(0.99 * (len(times) - 1))], each, wrong


def told(what, reached):
    print(f"{'reached' if reached else 'MISSED '}  {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--band", action="store_true")
    parser.add_argument("--work", help="folder for the streams, kept")
    args = parser.parse_args()
    work = args.work or tempfile.mkdtemp(prefix="serve-bench-")
    streams = os.path.join(work, "streams")
    os.makedirs(streams, exist_ok=True)
    try:
        truths = {name: Truth(number) for number, name in enumerate(NAMES)}
        for name, truth in truths.items():
            truth.write(os.path.join(streams, name))
        if args.band:
            MORE["band"] = 1
            envelope.renew_all(streams, NAMES)
        size = os.path.getsize(os.path.join(streams, f"{NAMES[0]}.bin")) / 1e6
        load = os.getloadavg()[0]
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} before"
        )
        print(
            f"{len(NAMES)} streams of ten years of minute trend, {size:.0f} MB each, {len(truths[NAMES[0]].gaps)} gaps"
        )
        return run(args, streams, truths)
    finally:
        if not args.work:
            shutil.rmtree(work)


def run(args, streams, truths):
    command = [os.path.join(ROOT, "bin", "serve-streams"), streams, "--port", "0", "--processes", str(args.processes)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = urllib.parse.urlsplit(server.stdout.readline())
        address = url.hostname, url.port
        measure(address, server.pid, args.clients, 2, truths)
        rounds = []
        for number in range(args.rounds):
            found = {}
            # Each is first in its turn, as what else the machine does changes meanwhile.
            for stall in (KINDS * 2)[number % 3 : number % 3 + 3]:
                rate, median, last, each, wrong = measure(
                    address, server.pid, args.clients, args.seconds, truths, stall
                )
                found[stall] = rate, last, wrong
                title = {None: "alone", half: "one in mid-request", deaf: "one that takes nothing"}[stall]
                print(
                    f"{args.clients} clients, {title:23} {rate:6.1f} answers/s   median {1e3 * median:5.0f} ms   "
                    f"99th percentile {1e3 * last:5.0f} ms   CPU {1e3 * each:4.1f} ms   {wrong} wrong   "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            rounds.append(found)
        plots = first_plots(url.geturl())
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
    rate, last = (statistics.median(found[None][at] for found in rounds) for at in (0, 1))
    wrong = sum(entry[2] for found in rounds for entry in found.values())
    told(f"at least {ANSWERS} answers a second: {rate:.0f}", rate >= ANSWERS)
    told(f"99th percentile under {1e3 * SLOWEST:.0f} ms: {1e3 * last:.0f} ms", last < SLOWEST)
    told(f"none wrong: {wrong}", wrong == 0)
    for stall in KINDS[1:]:
        change = statistics.median(found[stall][0] / found[None][0] - 1 for found in rounds)
        told(f"a stalled client ({stall.__name__}) costs less than a tenth: {100 * change:+.1f} %", change > -STALLED)
    if plots:
        told(f"first plot of a year under {PLOT} s: {statistics.median(plots):.2f} s", statistics.median(plots) < PLOT)
    return 1 if wrong else 0


def first_plots(url):
    """Seconds to the page's first plot of a year, three times; nothing where there is no browser, which is told."""
    if not shutil.which("chromium"):
        print("chromium is not installed: the page was not timed")
        return []
    from support import browser

    view = urllib.parse.urlencode({"s": NAMES[0], "start": START, "end": START + 31557600})
    return [browser.first_plot(f"{url}#{view}") for _ in range(3)]


KINDS = (None, half, deaf)


if __name__ == "__main__":
    sys.exit(main())
