"""Random queries that ask the clock: grammars whose conditions compare columns of times with the present, in forms that are
windowed (src/delta/clock_windows.hpp) and some that are not; the times at which they are asked, and values of such columns around
what they are compared with. Pure: no server, everything random by the caller's rng."""
import os, re, sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/../oracle")
from grammar import Grammar
from open_grammar import OpenGrammar
# Columns of times, beside those that a table has anyway, and what they are compared with.
TIMES = {"a": [("at", "tz")], "b": [("day", "date")], "c": [("ts", "ts")]}
BOUNDS = {"tz": ["now()", "now() - interval '1 hour'", "now() - interval '1 hour'", "now() - interval '1 month'", "now() + interval '1 day'",
                 "date_trunc('day', now())", "current_date::timestamptz", "nullif(date_trunc('hour', now()), now())"],
          "date": ["current_date", "current_date", "current_date - 1", "(now() - interval '1 month')::date", "nullif(current_date, date '2026-03-29')"],
          "ts": ["localtimestamp", "localtimestamp - interval '1 hour'", "now()::timestamp - interval '1 month'", "date_trunc('day', localtimestamp)",
                 "(now() AT TIME ZONE 'America/New_York')"]}
ELSEWHERE = ["now() - {c} < interval '1 hour'", "{c} IN (now(), {b})", "({c}, 1) > (now(), 2)", "{c} IS DISTINCT FROM {b}", "{c} + interval '1 hour' > {b}",
             "extract(minute FROM now()) < 30", "{c} < current_date + time '12:00'"]
ZONES = ["UTC", "Europe/Berlin", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]
# Over changes of daylight saving time both ways, at the ends of months, and where a zone has left out a day.
MOMENTS = ["2026-03-29 00:30", "2026-03-29 01:00", "2026-10-25 00:30", "2026-10-25 01:00", "2026-03-31 00:00", "2026-03-28 23:00", "2026-05-31 12:00",
           "2026-11-01 05:30", "2026-06-15 10:00", "2011-12-30 09:30", "2011-12-31 10:00"]
HOURS = timedelta(hours=1)
STEPS = [timedelta(0), timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), -timedelta(seconds=1), timedelta(minutes=30), HOURS, HOURS, -HOURS,
         timedelta(days=1), -timedelta(days=1), timedelta(days=31), -timedelta(days=28)]
# So that there are times between which an alarm says that nothing is to be done.
MINUTES = [timedelta(minutes=minutes) for minutes in (4, 11, 20)]
NEAR = [timedelta(0), timedelta(0), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(minutes=20), -timedelta(minutes=20), HOURS, -HOURS]
def times(r, count, steps=STEPS):
    """times one after the other, not always forwards"""
    now = datetime.fromisoformat(r.choice(MOMENTS)).replace(tzinfo=timezone.utc)
    made = [now]
    while len(made) < count:
        now += r.choice(steps); made.append(now)
    return made
def month_before(local):
    """as the server has it: the last day of a month that has no such day"""
    year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    for day in (local.day, 30, 29, 28):
        if day <= local.day:
            try: return local.replace(year=year, month=month, day=day)
            except ValueError: pass
def time_value(r, ty, zone, around):
    """the text of a value of a column, for times at which it is asked for"""
    k = r.random()
    if k < .08: return None
    if k < .14: return r.choice(["infinity", "-infinity"])
    now, zone = r.choice(around), ZoneInfo(zone)
    local = now.astimezone(zone)
    local = r.choice([local, local, local - HOURS, month_before(local), month_before(local), local + timedelta(days=1), local.replace(hour=0, minute=0)])
    if ty == "date": return (local.date() + timedelta(days=r.choice([0, 0, 0, -1, 1]))).isoformat()
    if ty == "ts":
        if r.random() < .2: local = now.astimezone(ZoneInfo("America/New_York"))
        return (local.replace(tzinfo=None) + r.choice(NEAR)).isoformat(" ")
    bound = now - HOURS if r.random() < .3 else local.replace(tzinfo=zone, fold=r.randint(0, 1)).astimezone(timezone.utc)
    return (bound + r.choice(NEAR)).isoformat(" ")
def at_time(sql, now):
    """the query as if it were asked then"""
    value = "(timestamptz '%s')" % now.isoformat(" ")
    for word, text in (("now()", value), ("current_date", value + "::date"), ("localtimestamp", value + "::timestamp")): sql = sql.replace(word, text)
    return re.sub(r"\$1\b", value, sql)
def condition(r, columns):
    """on one of these columns, [(name, type), ...]; None: they have no times"""
    of = [(c, ty) for c, ty in columns if ty in BOUNDS]
    if not of: return None
    c, ty = r.choice(of); b = r.choice(BOUNDS[ty])
    if ty == "tz" and r.random() < .06: return "(%s)" % r.choice(ELSEWHERE).format(c=c, b=b)
    op = r.choice(["<", "<=", "=", ">=", ">", "<>", ">", "<="])
    one = "%s %s %s" % ((c, op, b) if r.random() < .8 else (b, op, c))
    k = r.random()
    if k < .6: return one
    if k < .68: return "NOT (%s)" % one
    if k < .76: return "(%s) IS NOT TRUE" % one
    if k < .8: return "(%s) IS NULL" % one
    if k < .9: return "%s BETWEEN %s AND %s" % (c, r.choice(BOUNDS[ty]), b)
    return "CASE WHEN %s THEN %s ELSE %s END" % (one, condition(r, [(c, ty)]), r.choice(["true", "false", one]))
class ClockGrammar(Grammar):
    def condition(self, scope):
        made = condition(self.rng, scope.columns()) if self.chance(.4) else None
        return made or super().condition(scope)
    def column(self, scope, kind=None):
        made = condition(self.rng, scope.columns()) if kind is None and self.chance(.08) else None
        return ("(%s)" % made, "flag") if made else super().column(scope, kind)
class OpenClockGrammar(OpenGrammar):
    def all(self, items): return [("%s.%s" % (al, c), ty) for al, cols in items for c, ty in cols]
    def cond(self, items):
        made = condition(self.r, self.all(items)) if self.r.random() < .4 else None
        return made or super().cond(items)
    def col(self, items, ty=None):
        made = condition(self.r, self.all(items)) if ty is None and self.r.random() < .06 else None
        return ("(%s)" % made, "flag") if made else super().col(items, ty)
    def aggregate(self, items):
        made = condition(self.r, self.all(items)) if self.r.random() < .2 else None
        return ("(count(*) FILTER (WHERE %s))::int" % made, "int") if made else super().aggregate(items)
