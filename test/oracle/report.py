"""What the oracle prints.

Owns: the report of a difference, written so that the cause can be found from it alone, the report of a thread that
failed, and the closing summary.
"""

import re

import rows

AROUND = 12    # transactions shown before the one in question
SHOWN = 150    # events shown of a connection
LAST = 60      # events shown of one whose client failed


def difference(options, world, reference, check, violation):
    """Returns the report of a violation that a ConnectionCheck ran into."""
    lines = ["", "=" * 100, "DIFFERENCE  seed %s" % options.seed, "  %s" % violation,
             "  on %s, as %s, delivery %s" % (check.trace.name, check.trace.user.name, check.trace.delivery)]
    suspects = check.suspects()
    watched = check.subject
    subscription = watched and watched.state.subscription
    if watched:
        lines += _subscription(world, watched)
    if check.xid is not None:
        lines.append("  the transaction of the last message: %s" % check.xid)
    lines += _transactions(world, reference, [subscription] if subscription else [], suspects)
    lines.append("")
    if subscription:
        lines.append("Events of the subscription:")
        lines += [_event(event) for event in watched.history]
    lines.append("Events of the connection, of all its subscriptions:")
    lines += [_event(event, brief=True) for event in list(check.history)[-SHOWN:]]
    lines.append("=" * 100)
    return "\n".join(lines)


def again(options, world, check):
    """Returns the command that is likeliest to show a difference once more, beside little else."""
    query = check.subject and check.subject.state.subscription.query
    chosen = ""
    if query and query.whole:
        seldom = min(query.forms, key=lambda form: sum(world.accepted.taken[form, strategy] for strategy in ("delta", "refresh")), default="")
        chosen = " --shapes any" + (" --form '^%s$'" % re.escape(seldom).replace("\\ ", " ") if seldom else "")
    elif query:
        chosen = " --shapes stream --only '^%s$'" % re.escape(query.shape.name).replace("\\ ", " ")
    told = ["--%s %s" % (name.replace("_", "-"), value) for name, value in (
        ("mutation", options.mutation), ("evaluators", options.evaluators if options.evaluators != 1 else None), ("dirty_log", options.dirty_log), ("delivery", options.delivery)) if value]
    told += ["--" + name.replace("_", "-") for name in ("delays", "tiny_mailboxes", "small_decoding_mem", "half_way", "share_all") if getattr(options, name)]
    return "oracle: alone, with: test/oracle/run --seed %d --seconds 60 --clients 2 --writers 2%s %s" % (options.seed, chosen, " ".join(told))


def failure(world, reference, check, name, error, trace):
    """Returns the report of a thread that could not go on; check is None for a writer's."""
    lines = ["oracle: %s failed: %s: %s" % (name, type(error).__name__, error)]
    if check:
        lines.append("Subscriptions of the connection, as %s, delivery %s:" % (trace.user.name, trace.delivery))
        for watched in check.watched.values():
            lines += _subscription(world, watched)
        lines += _transactions(world, reference, list(check.watched), []) + [""]
    if trace:
        lines += last_events(trace, ((list(check.history) if check else []) + trace.events)[-LAST:])
    return "\n".join(lines)


def last_events(trace, events):
    """Returns lines on what happened last on a connection."""
    return (["last events of %s:" % trace.name] + [_event(event) for event in events]
            + ["  last statement: %s" % trace.running])


def summary(options, world, seconds):
    """Prints the closing summary."""
    counters = world.counters
    print("oracle: seed %s, %.0f seconds" % (options.seed, seconds))
    for name in sorted(counters):
        print("  %-40s %d" % (name, counters[name]))


def forms(world):
    """Prints what the queries of several tables were made of, by strategy, and why others were refused."""
    accepted = world.accepted
    strategies = sorted({strategy for _, strategy in accepted.taken})
    print("oracle: forms of queries, by strategy (a query has several forms)")
    print("  %-28s %s" % ("", "".join("%10s" % strategy for strategy in strategies)))
    names = sorted({form for form, _ in accepted.taken})
    for form in names:
        print("  %-28s %s" % (form, "".join("%10d" % accepted.taken[form, strategy] for strategy in strategies)))
    there = len({form for pair in accepted.pairs for form in pair})
    print("oracle: %d forms beside streams, and of their %d pairs %d in one query" % (
        there, there * (there - 1) // 2, len(accepted.pairs)))
    print("oracle: subscriptions that share their evaluation with others of another value: %s" % (", ".join(
        "%s %d" % (form.partition(": ")[2], count) for form, count in accepted.shared.most_common()) or "none"))
    for reason, count in accepted.reasons.most_common(25):
        print("  refused %5d: %s" % (count, reason))


def _subscription(world, watched):
    subscription = watched.state.subscription
    query = subscription.query
    lines = ["  subscription %r, live_id %r, strategy %s, shape %r, snapshot %s, throttle %s" % (
                 subscription.id, subscription.live_id, subscription.strategy, query.shape.name,
                 subscription.snapshot, subscription.throttle),
             "  query    %s" % query.subscribed_sql(world.tables),
             "  params   %s" % (query.params,),
             "  in plain %s" % query.plain_sql(world.tables),
             "  snapshot position %X, joined %s, last told transaction number %d" % (
                 watched.snapshot_lsn, "so" if watched.joined else "not", watched.last_index)]
    comparison = watched.comparison
    if comparison and (comparison.result is not None or getattr(comparison, "failed", None)):
        lines.append("  expected (as after transaction number %d) and got:" % comparison.index)
        lines += ["  " + line for line in comparison.describe()]
    return lines


def _transactions(world, reference, subscriptions, suspects):
    """The transactions in question, and the last before them of those that wrote to the subscriptions' tables."""
    leaves = {name: table.sql for subscription in subscriptions for table in world.tables.values()
              if table.name in subscription.tables for name in table.leaves or (table.name,)}

    def own(done):
        return [change for change in done.changes if not leaves or change[1] in leaves]

    everything = reference.recent(len(reference.replay.lsns))
    suspects = suspects[:AROUND] + suspects[AROUND:][-AROUND:]
    last = suspects[-1] + 3 if suspects else len(everything)
    near = {done.index for done in [done for done in everything if done.index <= last and own(done)][-AROUND:]}
    lines = ["", "Transactions, in commit order, from PostgreSQL's own decoding%s%s:" % (
        " (those that wrote to %s)" % ", ".join(sorted(set(leaves.values()))) if leaves else "",
        "; those in question have an arrow" if suspects else "")]
    for done in everything:
        if done.index in near or done.index in suspects:
            lines += _transaction(world, done, own(done), "->" if done.index in suspects else "  ")
    return lines


def _transaction(world, done, changes, mark):
    lines = ["%s number %d  xid %d  lsn %X..%X  %s" % (mark, done.index, done.xid, done.lsn, done.end_lsn, done.time)]
    for op, name, old, new in changes[:30]:
        lines.append("    %-8s %-16s %s" % (op, name, _images(old, new)))
    if len(done.changes) > len(changes[:30]):
        lines.append("    and %d more changes" % (len(done.changes) - len(changes[:30])))
    lines.append("    written by %s" % world.write_log.get(done.xid))
    return lines


def _images(old, new):
    if old and new:
        changed = {column: value for column, value in new.items() if old.get(column) != value}
        return "%s  ->  %s" % (_image(old), _image(changed))
    return _image(new or old or {})


def _image(row):
    return "{%s}" % ", ".join("%s: %s" % (column, rows.shorten(value, 40)) for column, value in row.items())


def _event(event, brief=False):
    subject = " %r" % event.subscription.id if event.subscription else ""
    if event.kind == "message":
        text = _message(event.data, brief)
    elif event.kind == "rows":
        text = "%d rows" % len(event.data)
        if not brief:
            text += "".join("\n      %s %s" % (key, rows.show_row(rows.row_from(row), 40))
                            for key, row in event.data[:200])
    elif isinstance(event.data, int):
        text = "at %X" % event.data
    else:
        text = "" if event.data is None else str(event.data)
    return "  %9.3f %-10s%s %s" % (event.at, event.kind, subject, text)


def _message(message, brief):
    head = " ".join("%s=%s" % (name, rows.text_of(value)) for name, value in message.items()
                    if name not in ("changes", "type"))
    changes = message.get("changes")
    if not isinstance(changes, list):
        return "%s %s" % (message.get("type"), head)
    if brief:
        return "%s of %d changes" % (head, len(changes))
    return head + "".join("\n      %s" % _change(change) for change in changes)


def _change(change):
    text = "%s %s" % (change.get("op"), rows.shorten(rows.text_of(change.get("key")), 100))
    for name in ("row", "old"):
        if isinstance(change.get(name), dict):
            text += "  %s %s" % (name, rows.show_row(rows.row_of(change[name]), 40))
    return text
