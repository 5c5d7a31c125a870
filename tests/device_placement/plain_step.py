"""A step in plain words: sets and dictionaries, memory counted anew at every change; slow, to compare with."""

from __future__ import annotations

from collections import defaultdict


class PlainStep:
    """Runs a placement (n,) of a StepSimulator; ``end`` by operator, ``arrive`` by transfer, ``peak`` by device."""

    def __init__(self, simulator, placement):
        self.expansion, self.devices = simulator.expansion, simulator.devices
        self.graph, self.gradient = self.expansion.graph, self.expansion.gradient
        self.rank, self.copies = simulator.step.rank.tolist(), simulator.weight_copies
        self.place = [int(placement[i]) for i in self.expansion.origin]
        self.all = range(len(self.graph))
        rows = self.devices.rows(self.graph)
        self.seconds = [float(self.graph.forward[rows[self.place[i]], i]) for i in self.all]
        self.consumers, self.inputs = defaultdict(list), defaultdict(list)
        for u, v in self.graph.edges.tolist():
            self.consumers[u].append(v)
            self.inputs[v].append(u)
        self.missing = {v: set(self.inputs[v]) for v in self.all}
        self.now, self.start, self.end = 0.0, {}, {}
        self.running, self.ending, self.flying = {}, set(), {}
        self.arrive, self.booked = {}, defaultdict(float)
        self.peak = [0.0] * len(self.devices)
        self.run()

    def returns(self, u, v):
        return self.gradient[u] >= 0 and self.gradient[v] >= 0

    def run(self):
        self.measure()
        for i in self.all:
            self.begin_if_free(i)
        while len(self.end) < len(self.all):
            while self.ending:
                self.finish(min(self.ending, key=lambda i: self.rank[i]))
            for d in range(len(self.devices)):
                ready = [i for i in self.all if i not in self.start and not self.missing[i] and self.place[i] == d]
                if d not in self.running and ready:
                    self.running[d] = min(ready, key=lambda i: self.rank[i])
                    self.begin(self.running[d])
            if not self.running and not self.flying:
                return
            ends = {d: self.start[i] + self.seconds[i] for d, i in self.running.items()}
            self.now = min([*ends.values(), *self.flying.values()])
            for d in [d for d, end in ends.items() if end == self.now]:
                self.ending.add(self.running.pop(d))
            for transfer in [t for t, arrive in self.flying.items() if arrive == self.now]:
                self.receive(transfer)

    def begin(self, i):
        self.start[i] = self.now
        self.measure()

    def begin_if_free(self, i):
        if not self.missing[i] and self.seconds[i] == 0 and i not in self.start:
            self.begin(i)
            self.ending.add(i)

    def finish(self, u):
        self.ending.discard(u)
        for v in sorted(self.consumers[u], key=lambda v: self.rank[v]):
            here, there = self.place[u], self.place[v]
            if here == there:
                self.missing[v].discard(u)
                self.begin_if_free(v)
            elif self.returns(u, v):
                rest = [w for w in self.inputs[v] if self.returns(w, v) and self.place[w] == here and w != u]
                if all(w in self.end for w in rest):
                    self.send((v, here, there), self.gradient[v])
            elif (u, here, there) not in self.arrive:
                self.send((u, here, there), self.graph.output[u])
        self.end[u] = self.now

    def send(self, transfer, size):
        _, source, target = transfer
        links = [("link", k) for k in self.devices.links[source, target].tolist() if k >= 0]
        held = [("out", source), ("in", target), *links]
        begin = max([self.now, *(self.booked[resource] for resource in held)])
        arrive = begin + self.devices.latency[source, target] + size / self.devices.bandwidth[source, target]
        for resource in held:
            self.booked[resource] = arrive
        self.arrive[transfer] = self.flying[transfer] = float(arrive)
        self.measure()

    def receive(self, transfer):
        what, source, target = transfer
        del self.flying[transfer]
        if self.gradient[what] >= 0:
            self.missing[what] -= {u for u in self.inputs[what] if self.place[u] == source and self.returns(u, what)}
            self.begin_if_free(what)
        else:
            for v in sorted(self.consumers[what], key=lambda v: self.rank[v]):
                if self.place[v] == target:
                    self.missing[v].discard(what)
                    self.begin_if_free(v)

    def measure(self):
        for d in range(len(self.devices)):
            self.peak[d] = max(self.peak[d], sum(self.taken(i, d) for i in self.all))

    def taken(self, i, d):
        """Bytes on device d that there are because of operator i: weights, its output or a copy, its gradient."""
        here = self.place[i] == d
        taken = self.copies * self.graph.weights[i] if here else 0.0
        using = [v for v in self.consumers[i] if self.place[v] == d and not self.returns(i, v)]
        if here and i in self.start:
            sending = any(t[0] == i and self.gradient[i] < 0 for t in self.flying)
            output = i not in self.end or sending or any(v not in self.end for v in using)
            taken += max(output * self.graph.output[i], self.keeps(i) * self.graph.activations[i])
        if not here and (i, self.place[i], d) in self.arrive and self.gradient[i] < 0:
            taken += self.graph.output[i] * any(v not in self.end for v in using)
        return taken + (self.gradient[i] if self.gradient[i] >= 0 and self.has_gradient(i, d) else 0.0)

    def keeps(self, i):
        freed_by = [b for b in self.all if self.expansion.frees[b] == i]
        return self.graph.trains and not any(b in self.end for b in freed_by)

    def has_gradient(self, i, d):
        begun = any(self.place[u] == d and self.returns(u, i) and u in self.start for u in self.inputs[i])
        if self.place[i] == d:
            return (begun or any(t[0] == i for t in self.arrive)) and i not in self.end
        sent = self.arrive.get((i, d, self.place[i]))
        return begun and (sent is None or (i, d, self.place[i]) in self.flying)
