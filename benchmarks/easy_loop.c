/* A plain C loop: FCFS with EASY backfilling on one pool of processors, to measure the compiled replay against.

   Plain means what one would write first and then keep: a binary heap of completions, the running jobs sorted
   by expected end, and the queue as an array that is walked from the head at every pass. It does not know
   about orderings, options or nodes. Starts are written to start[]. */
#include <stdlib.h>
#include <string.h>

typedef struct { double end; long job; } event;

static void push(event *heap, long n, event e) {
    long i = n;
    while (i > 0 && heap[(i - 1) / 2].end > e.end) { heap[i] = heap[(i - 1) / 2]; i = (i - 1) / 2; }
    heap[i] = e;
}

static event pop(event *heap, long n) {
    event first = heap[0], last = heap[n - 1];
    long i = 0;
    for (;;) {
        long c = 2 * i + 1;
        if (c >= n - 1) break;
        if (c + 1 < n - 1 && heap[c + 1].end < heap[c].end) c++;
        if (last.end <= heap[c].end) break;
        heap[i] = heap[c];
        i = c;
    }
    heap[i] = last;
    return first;
}

void easy_loop(long n, const double *submit, const double *run, const double *estimate, const long *size,
               long processors, int easy, double *start) {
    event *heap = malloc(sizeof(event) * (n + 1)), *running = malloc(sizeof(event) * (n + 1));
    long *queue = malloc(sizeof(long) * (n + 1));
    long arrived = 0, in_heap = 0, in_run = 0, waiting = 0, free_now = processors;
    while (arrived < n || in_heap) {
        double now = in_heap ? heap[0].end : submit[arrived];
        if (arrived < n && submit[arrived] < now) now = submit[arrived];
        while (in_heap && heap[0].end == now) {
            long j = pop(heap, in_heap--).job, r = 0;
            while (running[r].job != j) r++;
            memmove(running + r, running + r + 1, sizeof(event) * (--in_run - r));
            free_now += size[j];
        }
        while (arrived < n && submit[arrived] == now) queue[waiting++] = arrived++;
        double shadow = 0;
        long extra = 0, kept = 0, blocked = 0, q;
        for (q = 0; q < waiting && free_now; q++) {
            long j = queue[q];
            int go = size[j] <= free_now;
            if (go && blocked) {
                if (now + estimate[j] > shadow) {
                    if (size[j] <= extra) extra -= size[j]; else go = 0;
                }
            }
            if (go) {
                event e = {now + run[j], j}, x = {now + estimate[j], j};
                long r = in_run++;
                start[j] = now;
                free_now -= size[j];
                push(heap, in_heap++, e);
                while (r && running[r - 1].end > x.end) { running[r] = running[r - 1]; r--; }
                running[r] = x;
                continue;
            }
            if (!blocked) {
                long room = free_now, r = 0;
                blocked = 1;
                if (!easy) break;
                while (r < in_run && (room < size[j] || running[r].end <= shadow)) {
                    shadow = running[r].end > now ? running[r].end : now;
                    room += size[running[r++].job];
                }
                extra = room - size[j];
            }
            queue[kept++] = j;
        }
        if (kept != q) memmove(queue + kept, queue + q, sizeof(long) * (waiting - q));
        waiting -= q - kept;
    }
    free(heap); free(running); free(queue);
}
