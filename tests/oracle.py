"""A slow, plain replay, written from docs/semantics.md and sharing no code with the fast one.

Lists and dictionaries only; every pass looks at everything. It judges the fast replay start for start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Job:
    row: int
    submit: float
    run: float
    estimate: float
    size: int  # processors or tasks
    cpu: int = 0  # of each task, thousandths
    memory: int = 0
    gpu: int = 0
    groups: int = -1
    account: str = ""
    after: int | None = None
    think: float = 0.0
    bulk: float = 0.0  # what the formulas call size
    counted: int = 0  # processors, or thousandths of GPUs (CPUs if the machine has none)
    headroom: int = 0  # in the same unit
    user: str = ""
    requested: float = math.inf
    predicted: float = 0.0
    first_estimate: float = 0.0  # when it started, then so often corrected:
    corrections: int = 0
    start: float | None = None
    tasks: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)  # (node, GPUs)


@dataclass
class Window:
    start: float
    end: float
    processors: int = 0
    nodes: tuple[int, ...] = ()


@dataclass
class Node:
    cpu: int
    memory: int
    gpus: list[int]  # thousandths free of each
    group: int = 0
    reserved: bool = False

    def copy(self) -> Node:
        return Node(self.cpu, self.memory, list(self.gpus), self.group, self.reserved)


# --- orderings -------------------------------------------------------------------------------------------------


def order_key(name, job, now, share, accounts, total):
    r, n, s = job.estimate, job.bulk, job.submit
    w = now - s
    r1, s1 = max(r, 1.0), max(s, 1.0)
    if name == "fcfs":
        return s
    if name in ("sjf", "srf"):
        return r
    if name == "ljf":
        return -r
    if name == "saf":
        return r * n
    if name == "wfp3":
        return -((w / r1) ** 3.0) * n
    if name == "unicep":
        return -w / (max(math.log2(n), 1e-6) * r1)
    if name == "f1":
        return math.log10(r1) * n + 870 * math.log10(s1)
    if name == "f2":
        return math.sqrt(r) * n + 25600 * math.log10(s1)
    if name == "f3":
        return r * n + 6860000 * math.log10(s1)
    if name == "f4":
        return r * math.sqrt(n) + 530000 * math.log10(s1)
    if name == "fair-share":
        return share
    if name == "multifactor":
        age = 1000.0 * min(w / (7 * 86400.0), 1.0)
        fairshare = 2.0 ** (-share * accounts)
        return -(age + 500.0 * (n / total) + 1000.0 * 1.0 + 1000.0 * 0.0 + 2000.0 * fairshare)
    p = job.predicted
    if name == "sjf-predicted":
        return p
    if name == "saf-predicted":
        return p * n
    if name == "cmu-predicted":
        return p * n / (1.0 / max(p, 10.0))
    raise AssertionError(name)


# --- predicted run times ---------------------------------------------------------------------------------------

STEPS = [60 * minutes for minutes in (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3000, 6000)]


class Perfect:
    """Knows how long every job runs."""

    def ended(self, job, now):
        pass

    def predict(self, job):
        return job.run


class LastTwo:
    """Tsafrir's: the mean of the user's two jobs that ended last; those that end together count by row."""

    def __init__(self, past=()):
        self.known = [(end, -1, user, run) for end, user, run in past]

    def ended(self, job, now):
        self.known.append((now, job.row, job.user, job.run))

    def predict(self, job):
        runs = [run for _, _, user, run in sorted(self.known, key=lambda k: k[:2]) if user == job.user][-2:]
        if len(runs) == 2:
            return min((runs[0] + runs[1]) / 2, job.requested)
        return job.requested if job.requested < math.inf else 3600.0


class Usage:
    """Decayed use by account, from the list of all that ever ran."""

    def __init__(self, half_life):
        self.half_life = half_life
        self.value = {}
        self.rate = {}
        self.since = {}

    def at(self, account, now):
        kept = 0.5 ** ((now - self.since.get(account, 0.0)) / self.half_life)
        gained = self.rate.get(account, 0.0) * self.half_life / math.log(2.0) * (1.0 - kept)
        self.value[account] = self.value.get(account, 0.0) * kept + gained
        self.since[account] = now
        return self.value[account]

    def change(self, account, by, now):
        self.at(account, now)
        self.rate[account] = self.rate.get(account, 0.0) + by


# --- machines --------------------------------------------------------------------------------------------------


class Processors:
    """Free room is a number."""

    def __init__(self, total):
        self.total = total
        self.free = total

    def snapshot(self):
        return self.free

    def fits(self, room, job):
        return min(job.size + job.headroom, self.total) <= room

    def without(self, room, job, place=None):
        return room - job.size

    def reserved_for(self, room, job, place=None):
        return room - min(job.size + job.headroom, self.total)

    def with_(self, room, job):
        return room + job.size

    def least(self, rooms):
        return min(rooms)

    def place(self, room, job):
        return () if self.fits(room, job) else None

    def still_there(self, room, job, place):
        return self.fits(room, job)

    def reserve(self, room, window):
        return room - window.processors

    def start(self, job, place):
        self.free -= job.size

    def end(self, job):
        self.free += job.size


class Nodes:
    """Free room is a list of nodes."""

    def __init__(self, nodes):
        self.free = [node.copy() for node in nodes]
        self.has_gpus = any(any(node.gpus) for node in nodes)
        self.total = self.counted(self.free)

    def counted(self, room):
        return sum(sum(node.gpus) if self.has_gpus else node.cpu for node in room)

    def snapshot(self):
        return [node.copy() for node in self.free]

    def capacity(self, node, job):
        if node.reserved or not (job.groups >> node.group) & 1:
            return 0
        n = job.size
        if job.cpu:
            n = min(n, node.cpu // job.cpu)
        if job.memory:
            n = min(n, node.memory // job.memory)
        if job.gpu >= 1000:
            n = min(n, sum(g == 1000 for g in node.gpus) // (job.gpu // 1000))
        elif job.gpu:
            n = min(n, sum(g // job.gpu for g in node.gpus))
        return max(n, 0)

    def place(self, room, job):
        tasks = []
        order = sorted(range(len(room)), key=lambda i: (sum(room[i].gpus), room[i].cpu, i))
        for i in order:
            node = room[i].copy()
            for _ in range(min(self.capacity(node, job), job.size - len(tasks))):
                if job.gpu >= 1000:
                    chosen = [g for g, free in enumerate(node.gpus) if free == 1000][: job.gpu // 1000]
                elif job.gpu:
                    chosen = [min((free, g) for g, free in enumerate(node.gpus) if free >= job.gpu)[1]]
                else:
                    chosen = []
                for g in chosen:
                    node.gpus[g] -= min(job.gpu, 1000)
                tasks.append((i, tuple(chosen)))
        if job.headroom and self.counted(room) < min(job.counted + job.headroom, self.total):
            return None
        return tasks if len(tasks) == job.size else None

    def fits(self, room, job):
        return self.place(room, job) is not None

    def reserved_for(self, room, job, place=None):
        return self.without(room, job, place)

    def change(self, room, job, place, sign):
        for i, gpus in place:
            room[i].cpu += sign * job.cpu
            room[i].memory += sign * job.memory
            for g in gpus:
                room[i].gpus[g] += sign * min(job.gpu, 1000)

    def without(self, room, job, place=None):
        room = [node.copy() for node in room]
        self.change(room, job, place if place is not None else self.place(room, job), -1)
        return room

    def with_(self, room, job):
        room = [node.copy() for node in room]
        self.change(room, job, job.tasks, 1)
        return room

    def least(self, rooms):
        return [
            Node(
                min(n.cpu for n in column),
                min(n.memory for n in column),
                [min(g) for g in zip(*(n.gpus for n in column), strict=True)],
                column[0].group,
                any(n.reserved for n in column),
            )
            for column in zip(*rooms, strict=True)
        ]

    def still_there(self, room, job, place):
        left = self.without(room, job, place)
        return all(n.cpu >= 0 and n.memory >= 0 and all(g >= 0 for g in n.gpus) for n in left)

    def reserve(self, room, window):
        room = [node.copy() for node in room]
        for i in window.nodes:
            room[i].reserved = True
        return room

    def start(self, job, place):
        job.tasks = place
        self.change(self.free, job, place, -1)

    def end(self, job):
        self.change(self.free, job, job.tasks, 1)


# --- the replay ------------------------------------------------------------------------------------------------


class Replay:
    def __init__(
        self,
        jobs,
        machine,
        ordering,
        backfill,
        windows=(),
        depth=math.inf,
        half_life=7 * 86400.0,
        total=1,
        predictor=None,
        believed=False,
        multiplier=1.0,
        headroom=None,
    ):
        self.jobs, self.machine, self.ordering, self.backfill = jobs, machine, ordering, backfill
        self.windows, self.depth = list(windows), depth
        self.queue, self.running = [], []
        self.usage = Usage(half_life)
        self.accounts = len({job.account for job in jobs})
        self.total = total
        self.predictor, self.believed, self.multiplier = predictor, believed, multiplier
        self.headroom = headroom

    def run(self):
        rows = {job.row for job in self.jobs}
        arrivals = [job for job in self.jobs if job.after not in rows]
        followers = {}
        for job in self.jobs:
            if job.after in rows:
                followers.setdefault(job.after, []).append(job)
        edges = {e for w in self.windows for e in (w.start, w.end) if math.isfinite(e)}
        while True:
            times = [job.submit for job in arrivals] + [job.start + job.run for job in self.running]
            if times or self.queue:
                times += list(edges)
            if not times:
                return [job.start for job in self.jobs]
            now = min(times)
            edges.discard(now)
            for job in [job for job in self.running if job.start + job.run == now]:
                self.running.remove(job)
                self.machine.end(job)
                if self.predictor:
                    self.predictor.ended(job, now)
                self.usage.change(job.account, -job.bulk, now)
                self.usage.change(None, -job.bulk, now)
                for follower in followers.get(job.row, ()):
                    follower.submit = now + follower.think
                    arrivals.append(follower)
            due = [job for job in arrivals if job.submit == now]
            arrivals = [job for job in arrivals if job.submit != now]
            self.queue += sorted(due, key=lambda job: job.row)
            self.schedule(now)

    def sorted_queue(self, now):
        everything = self.usage.at(None, now)

        def key(job):
            share = self.usage.at(job.account, now) / everything if everything > 0 else 0.0
            value = order_key(self.ordering, job, now, share, self.accounts, self.total)
            return (math.inf if math.isnan(value) else value, job.submit, job.row)

        return sorted(self.queue, key=key)

    def start(self, job, place, now):
        job.start = now
        job.first_estimate = job.estimate
        self.queue.remove(job)
        self.running.append(job)
        self.machine.start(job, place)
        self.usage.change(job.account, job.bulk, now)
        self.usage.change(None, job.bulk, now)

    def room_now(self, now):
        room = self.machine.snapshot()
        for window in self.windows:
            if window.start <= now < window.end:
                room = self.machine.reserve(room, window)
        return room

    def schedule(self, now):
        room = self.room_now(now)
        for job in self.queue:
            job.headroom = 0
        if not any(self.machine.fits(room, job) for job in self.queue):
            return  # nobody can start, whatever the rules
        if self.predictor:
            self.predict(now)
        if self.headroom:
            for job in self.queue:
                job.headroom = math.floor(self.headroom(job, now) * self.machine.total) if job.counted else 0
        queue = self.sorted_queue(now)
        if self.backfill == "conservative" or self.windows:
            self.schedule_on_profile(queue, now)
        else:
            self.schedule_simply(queue, now)

    def predict(self, now):
        """Predict for all that wait; with belief in it, correct what running jobs have outlived."""
        for job in self.queue:
            job.predicted = self.predictor.predict(job)
            if self.believed:
                job.estimate = min(job.predicted * self.multiplier, job.requested)
        if self.believed:
            for job in self.running:
                while job.start + job.estimate <= now and job.estimate < job.requested:
                    step = STEPS[job.corrections] if job.corrections < 11 else 360000 * (job.corrections - 9)
                    job.corrections += 1
                    job.estimate = min(job.first_estimate + step, job.requested)

    # Without reservations, none and EASY: as in the textbooks.

    def schedule_simply(self, queue, now):
        while queue:
            place = self.machine.place(self.machine.snapshot(), queue[0])
            if place is None:
                break
            self.start(queue.pop(0), place, now)
        if self.backfill == "none" or not queue:
            return
        head, rest = queue[0], queue[1:]
        shadow, extra = self.reservation(head, now)
        for looked, job in enumerate(rest):
            if looked >= self.depth:
                return
            place = self.machine.place(self.machine.snapshot(), job)
            if place is None:
                continue
            if now + job.estimate <= shadow:
                self.start(job, place, now)
            elif self.machine.still_there(extra, job, place):
                extra = self.machine.without(extra, job, place)
                self.start(job, place, now)

    def reservation(self, head, now):
        room = self.machine.snapshot()
        ends = {}
        for job in self.running:
            ends.setdefault(max(now, job.start + job.estimate), []).append(job)
        for end in sorted(ends):
            for job in ends[end]:
                room = self.machine.with_(room, job)
            if self.machine.fits(room, head):
                return end, self.machine.reserved_for(room, head)
        raise AssertionError("the head never fits")

    # Conservative, and anything beside reservations: on a profile, a list of [time, room].

    def schedule_on_profile(self, queue, now):
        # Within a pass room only shrinks: whoever is behind the last that fits at its beginning starts in no case.
        room = self.room_now(now)
        while queue and not self.machine.fits(room, queue[-1]):
            queue.pop()
        profile = self.profile(now)
        blocked = False
        looked = 0
        for job in queue:
            if self.backfill == "conservative" or blocked:
                if looked >= self.depth:
                    return
                looked += 1
            place = self.place_at(profile, 0, job, self.room_now(now))
            if place is not None:
                self.take(profile, 0, job, place, self.machine.without)
                self.start(job, place, now)
                continue
            if self.backfill == "none":
                return
            if self.backfill == "conservative" or not blocked:
                for i in range(len(profile)):
                    if not self.machine.fits(profile[i][1], job):
                        continue
                    place = self.place_at(profile, i, job)
                    if place is not None:
                        self.take(profile, i, job, place, self.machine.reserved_for)
                        break
            blocked = True

    def profile(self, now):
        edges = {now} | {max(now, job.start + job.estimate) for job in self.running}
        for window in self.windows:
            edges |= {max(now, window.start), max(now, window.end)}
        profile = []
        for t in sorted(e for e in edges if e < math.inf):
            room = self.machine.snapshot()
            for job in self.running:
                if max(now, job.start + job.estimate) <= t:
                    room = self.machine.with_(room, job)
            for window in self.windows:
                if window.start <= t < window.end:
                    room = self.machine.reserve(room, window)
            profile.append([t, room])
        return profile

    def place_at(self, profile, i, job, also=None):
        end = profile[i][0] + job.estimate
        rooms = [room for k, (t, room) in enumerate(profile) if k == i or (k > i and t < end)]
        if also is not None:
            rooms.append(also)
        return self.machine.place(self.machine.least(rooms), job)

    def take(self, profile, i, job, place, without):
        if job.estimate <= 0:
            return
        end = profile[i][0] + job.estimate
        if end < math.inf and all(t != end for t, _ in profile):
            before = max(k for k, (t, _) in enumerate(profile) if t < end)
            profile.insert(before + 1, [end, profile[before][1]])
        for step in profile[i:]:
            if step[0] < end:
                step[1] = without(step[1], job, place)
