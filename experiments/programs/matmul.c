/* Blocked matrix product, to be tuned: which tile sizes and which order of the inner loops are fastest here?
 *
 *   cc -O2 -o matmul experiments/programs/matmul.c
 *   ./matmul N ROWS COLUMNS DEPTH ORDER        e.g. ./matmul 384 32 64 32 ikj
 *
 * Prints a line of JSON: the best of three times in seconds, and a checksum that must not depend on the tiles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int lesser(int a, int b) { return a < b ? a : b; }

/* One tile: C[i0:i1, j0:j1] += A[i0:i1, k0:k1] B[k0:k1, j0:j1]. */
static void tile_ikj(int n, const double *a, const double *b, double *c, int i0, int i1, int j0, int j1, int k0, int k1) {
  for (int i = i0; i < i1; i++)
    for (int k = k0; k < k1; k++) {
      double x = a[i * n + k];
      for (int j = j0; j < j1; j++) c[i * n + j] += x * b[k * n + j];
    }
}

static void tile_ijk(int n, const double *a, const double *b, double *c, int i0, int i1, int j0, int j1, int k0, int k1) {
  for (int i = i0; i < i1; i++)
    for (int j = j0; j < j1; j++) {
      double sum = c[i * n + j];
      for (int k = k0; k < k1; k++) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: matmul N ROWS COLUMNS DEPTH ikj|ijk\n");
    return 2;
  }
  int n = atoi(argv[1]), rows = atoi(argv[2]), columns = atoi(argv[3]), depth = atoi(argv[4]);
  int ikj = !strcmp(argv[5], "ikj");
  if (n < 1 || rows < 1 || columns < 1 || depth < 1) {
    fprintf(stderr, "matmul: sizes must be positive\n");
    return 2;
  }
  double *a = malloc(sizeof *a * n * n), *b = malloc(sizeof *b * n * n), *c = malloc(sizeof *c * n * n);
  for (int i = 0; i < n * n; i++) a[i] = (i % 7) - 3, b[i] = (i % 5) - 2;
  double best = 1e30, checksum = 0;
  for (int repeat = 0; repeat < 3; repeat++) {
    memset(c, 0, sizeof *c * n * n);
    double begun = now();
    for (int i = 0; i < n; i += rows)
      for (int k = 0; k < n; k += depth)
        for (int j = 0; j < n; j += columns)
          (ikj ? tile_ikj : tile_ijk)(n, a, b, c, i, lesser(i + rows, n), j, lesser(j + columns, n), k, lesser(k + depth, n));
    double seconds = now() - begun;
    if (seconds < best) best = seconds;
  }
  for (int i = 0; i < n * n; i++) checksum += c[i] * (i % 3);
  printf("{\"seconds\": %.9f, \"gflops\": %.4f, \"checksum\": %.1f}\n", best, 2e-9 * n * n * n / best, checksum);
  return 0;
}
