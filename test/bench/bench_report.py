"""bench_report.py: what was measured, and the one table that says it.

A row holds the repeated measurements of live_queries ("ours") and of what it is
compared with ("other"), taken in turns. The ratio is that of the medians; the
range beside it is that of the single pairs, and says how far to trust it.
"""

import statistics

HEAD = ("part", "what", "live_queries", "other", "against", "ratio", "range", "target", "met")


def shown(value, unit):
    """A number for people, with its unit."""
    if value is None:
        return "-"
    if unit in ("ms", "s", "a batch"):
        return f"{value:.2f} {unit}"
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k {unit}".rstrip()
    return f"{value:,.0f} {unit}".rstrip()


def subscriptions(count):
    """So many of them, in words."""
    return f"{count:,} subscription{'' if count == 1 else 's'}"


def percentile(values, share):
    """The value below which the share of all values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Report:
    """Collects rows and failures; prints them at the end."""

    def __init__(self):
        self.rows = []
        self.failures = []

    def add(self, part, what, unit, ours, other, against, at_least=None, at_most=None, below=None,
            ratio=True):
        """A row. at_least and at_most are targets for the ratio, below one for our own value."""
        ours, other = ours or [], other or []
        our = statistics.median(ours) if ours else None
        their = statistics.median(other) if other else None
        quotient = target = met = "-"
        # Of what is compared with nothing, its own.
        spread = f"{shown(min(ours), unit)} - {shown(max(ours), unit)}" if len(ours) > 1 and not other else "-"
        if at_least is not None:
            target = f">= {at_least:g}"
        elif at_most is not None:
            target = f"<= {at_most:g}"
        elif below is not None:
            target = f"< {below:g} {unit}"
        if ratio and our is not None and their:
            value = our / their
            pairs = [a / b for a, b in zip(ours, other) if b]
            quotient = f"{value:.2f}"
            if len(pairs) > 1:
                spread = f"{min(pairs):.2f}-{max(pairs):.2f}"
            if at_least is not None:
                met = "yes" if value >= at_least else "no"
            elif at_most is not None:
                met = "yes" if value <= at_most else "no"
        if below is not None and our is not None:
            met = "yes" if our < below else "no"
        self.rows.append((part, what, shown(our, unit), shown(their, unit), against, quotient, spread,
                          target, met))

    def fail(self, part, reason):
        self.failures.append(f"{part}: {reason}")

    def markdown(self, conditions):
        """The same table as Markdown."""
        lines = [conditions, "", *("| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |"
                                   for row in [HEAD, ["---"] * len(HEAD)] + self.rows)]
        return "\n".join(lines + [f"\nFAILED {failure}" for failure in self.failures]) + "\n"

    def text(self):
        table = [HEAD] + self.rows
        widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
        numbers = {2, 3, 5}
        lines = []
        part = None
        for index, row in enumerate(table):
            cells = [cell.rjust(width) if i in numbers else cell.ljust(width)
                     for i, (cell, width) in enumerate(zip(row, widths))]
            if index == 1 or (index > 1 and row[0] != part):
                lines.append("  ".join("-" * width for width in widths))
            part = row[0]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)


def in_turns(repetitions, *measurements):
    """Runs the measurements in turns, in both orders (ABBA...), so that drift hits all alike.

    Each measurement is a function; None stands for one left out. Returns for each
    the list of what it returned, in the order of repetitions.
    """
    results = [[] for _ in measurements]
    for repetition in range(repetitions):
        order = list(enumerate(measurements))
        for index, measure in order if repetition % 2 == 0 else reversed(order):
            if measure is not None:
                results[index].append(measure())
    return results
