"""Spans of time as people read them."""

import math


def shown_span(span_s: float) -> str:
    """The two largest units of a time span, the seconds rounded up so that nothing opens early.

    >>> shown_span(11531), shown_span(59.2), shown_span(86400 * 400), shown_span(-5)
    ('3 h 12 m', '1 m', '400 d', '0 s')
    """
    left = max(0, math.ceil(span_s))
    minutes, seconds = divmod(left, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    largest = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
    shown = [f"{count} {unit}" for count, unit in counts[largest : largest + 2] if count]
    return " ".join(shown) or "0 s"
