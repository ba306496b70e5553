"""Slow definitions that the links are held to, in exact arithmetic where that is possible."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from flexrel_sim.links import PiecewiseConstant


def exact_finish_s(capacity: PiecewiseConstant, start_s: float, wire_bytes: int) -> Fraction:
    """Walk every piece from time zero, in fractions."""
    need, now, index = Fraction(8 * wire_bytes), Fraction(start_s), 0
    if need == 0:
        return now
    starts = [Fraction(float(value)) for value in capacity.start_s]
    rates = [Fraction(float(value)) for value in capacity.rate_bit_per_s]
    first = starts.index(Fraction(capacity.repeat_from_s))
    end = None if not capacity.repeats else Fraction(capacity.end_s)
    shift = Fraction(0)
    while True:
        last = index == len(starts) - 1
        ends = end if last else starts[index + 1]
        until = None if ends is None else ends + shift
        if until is None or until > now:
            if rates[index] > 0 and (until is None or now + need / rates[index] <= until):
                return now + need / rates[index]
            assert until is not None
            need -= rates[index] * (until - now)
            now = until
        if last:
            assert end is not None
            shift += end - starts[first]
            index = first
        else:
            index += 1


def slow_fifo(arrivals, sizes, sender, max_bytes, max_messages):
    """Keep a list of who waits; judge every arrival by it."""
    free, started, out = 0.0, [], []
    for arrival, size in zip(arrivals, sizes, strict=True):
        waiting = [known for start, known in started if start > arrival]
        busy = free > arrival
        full = len(waiting) + 1 > max_messages or sum(waiting) + size > max_bytes
        if busy and full:
            out.append((np.nan, np.nan, True))
            continue
        start = max(free, arrival)
        free = sender.finish_s(start, size, busy)
        started.append((start, size))
        out.append((start, free, False))
    return tuple(np.array(column) for column in zip(*out, strict=True))


def slow_mahimahi(stamps_ms, arrivals, sizes, opportunity_bytes=1504):
    """Burn one opportunity after the other, as the emulator does; packets before it may use it."""
    finish = [None] * len(arrivals)
    left = list(sizes)
    head, index, base = 0, 0, 0
    while head < len(arrivals):
        moment = (base + stamps_ms[index]) / 1e3
        index += 1
        if index == len(stamps_ms):
            index, base = 0, base + stamps_ms[-1]
        budget = opportunity_bytes
        while head < len(arrivals) and arrivals[head] < moment and budget > 0:
            used = min(budget, left[head])
            budget -= used
            left[head] -= used
            if left[head] == 0:
                finish[head] = moment
                head += 1
    return finish


def slow_sharing(arrivals, sizes, rate):
    """Step from event to event with every remaining count of bits kept by itself."""
    left, now, following, out = {}, 0.0, 0, [0.0] * len(arrivals)
    while left or following < len(arrivals):
        arrives = arrivals[following] if following < len(arrivals) else np.inf
        leaves = now + min(left.values()) * len(left) / rate if left else np.inf
        until = min(arrives, leaves)
        given = rate * (until - now) / len(left) if left else 0.0
        left = {index: bits - given for index, bits in left.items()}
        now = until
        if leaves <= arrives:
            gone = min(left, key=lambda index: (left[index], index))
            out[gone] = now
            del left[gone]
        else:
            left[following] = 8.0 * sizes[following]
            following += 1
    return np.array(out)


def slow_connections(direction, flow, came_s, sizes, end_s, late_s):
    """Judge every message by all earlier ones of its flow, in fractions where a ceiling is.

    A connection may have sent, from any of its messages on, one window more than its ceiling: a
    message leaves at the earliest when that holds for every start.
    """
    out, left = [], []
    for index in range(len(flow)):
        if np.isnan(end_s[index]):
            out.append(np.nan)
            left.append(None)
            continue
        mine = [
            at for at in range(index + 1) if flow[at] == flow[index] and left[at : at + 1] != [None]
        ]
        sent = Fraction(float(end_s[index]))
        if direction.connection is not None:
            rate = Fraction(direction.connection.rate_bit_per_s)
            window = Fraction(direction.connection.window_bytes)
            for first in mine:
                since = sum(int(sizes[at]) for at in mine if at >= first)
                sent = max(sent, Fraction(float(came_s[first])) + 8 * (since - window) / rate)
        left.append(float(sent) + (direction.delay_s + late_s[index]))
        before = [left[at] for at in mine] if direction.in_order else [left[index]]
        out.append(max(before))
    return np.array(out)


def exact_bucket_s(capacity, start_s, sizes):
    """Pour tokens in fractions: messages in turn, each from its start on or when it may.

    The fluid is told piece by piece: at the peak while there are tokens, and then at their rate.
    """
    rate, burst = Fraction(capacity.rate_bit_per_s) / 8, Fraction(capacity.burst_bytes)
    peak = None if np.isinf(capacity.peak_bit_per_s) else Fraction(capacity.peak_bit_per_s) / 8
    tokens, seen, out = burst, Fraction(0), []
    for came, size in zip(start_s, sizes, strict=True):
        now = max(Fraction(float(came)), seen)
        tokens = min(burst, tokens + rate * (now - seen))
        left = Fraction(int(size))
        if peak is None:
            quick, spent = min(left, tokens), Fraction(0)
            tokens -= quick
        else:
            # At the peak tokens go by peak and come by rate.
            spent = min(left / peak, tokens / (peak - rate))
            quick = spent * peak
            tokens -= spent * (peak - rate)
        left -= quick
        spent += left / rate
        seen = now + spent
        out.append(seen)
    return out
