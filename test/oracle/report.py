"""What the oracle prints.

Owns: the report of a difference, written so that the cause can be found from it alone, and the closing summary.
"""

import rows

AROUND = 12    # transactions shown before the one in question
SHOWN = 150    # events shown of a connection


def difference(options, world, reference, check, violation):
    """Returns the report of a violation that a ConnectionCheck ran into."""
    lines = ["", "=" * 100, "DIFFERENCE  seed %s" % options.seed, "  %s" % violation,
             "  on %s, as %s, delivery %s" % (check.trace.name, check.trace.user.name, check.trace.delivery)]
    watched = check.subject
    subscription = watched and watched.state.subscription
    if watched:
        lines += _subscription(world, watched)
    if check.xid is not None:
        lines.append("  the last transaction seen on the connection: %s" % check.xid)
    lines += _transactions(world, reference, check, subscription)
    lines.append("")
    if subscription:
        lines.append("Events of the subscription:")
        lines += [_event(event) for event in watched.history]
    lines.append("Events of the connection, of all its subscriptions:")
    lines += [_event(event, brief=True) for event in list(check.history)[-SHOWN:]]
    lines.append("=" * 100)
    return "\n".join(lines)


def last_events(name, events):
    """Returns lines on what happened last on a connection."""
    return ["last events of %s:" % name] + [_event(event) for event in events]


def summary(options, world, seconds):
    """Prints the closing summary."""
    counters = world.counters
    print("oracle: seed %s, %.0f seconds" % (options.seed, seconds))
    for name in sorted(counters):
        print("  %-40s %d" % (name, counters[name]))


def _subscription(world, watched):
    subscription = watched.state.subscription
    query = subscription.query
    lines = ["  subscription %r, live_id %r, strategy %s, shape %r, snapshot %s" % (
                 subscription.id, subscription.live_id, subscription.strategy, query.shape.name,
                 subscription.snapshot),
             "  query    %s" % query.subscribed_sql(world.tables),
             "  params   %s" % (query.params,),
             "  in plain %s" % query.plain_sql(world.tables),
             "  snapshot position %X, joined %s, last told transaction number %d" % (
                 watched.snapshot_lsn, "%X" % watched.joined_lsn if watched.joined_lsn else "not", watched.last_index)]
    comparison = watched.comparison
    if comparison and comparison.result is not None:
        lines.append("  expected (as after transaction number %d) and got:" % comparison.index)
        lines += ["  " + line for line in comparison.describe()]
    return lines


def _transactions(world, reference, check, subscription):
    """The transactions before and at the one in question that wrote to the subscription's table."""
    recent = reference.recent(3000)
    if check.xid is not None and check.xid in reference.replay.by_xid:
        at = reference.replay.by_xid[check.xid].index
        recent = [done for done in recent if done.index <= at + 3]
    if subscription:
        table = subscription.query.source_table(world.tables)
        names = table.leaves or (table.name,)
        recent = [done for done in recent if any(change[1] in names for change in done.changes)]
    lines = ["", "Transactions, in commit order, from PostgreSQL's own decoding%s:" % (
        " (those that wrote to %s)" % table.sql if subscription else "")]
    for done in recent[-AROUND:]:
        lines.append("  number %d  xid %d  lsn %X..%X  %s" % (done.index, done.xid, done.lsn, done.end_lsn, done.time))
        own = [change for change in done.changes if not subscription or change[1] in names]
        for op, name, old, new in own[:30]:
            lines.append("    %-8s %-16s %s" % (op, name, _images(old, new)))
        if len(done.changes) > len(own[:30]):
            lines.append("    and %d more changes" % (len(done.changes) - len(own[:30])))
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
