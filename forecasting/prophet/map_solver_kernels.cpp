// Compiled with -O3 and for several instruction sets; see forecasting/CMakeLists.txt. Sums run in eight lanes,
// written out because the compiler may not reorder additions by itself.
#include "forecasting/prophet/map_solver_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "forecasting/prophet/map_solver_multiversion.hpp"

namespace gnomon::forecasting::kernel {
namespace {

constexpr uword lanes = 8;
constexpr double relative_pivot_min = 1e-14;

[[gnu::always_inline]] inline double fold(const double* lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// y -= factor * x
[[gnu::always_inline]] inline void subtract_scaled(double* __restrict y, const double* __restrict x, double factor,
                                                   uword n) {
  for (uword i = 0; i < n; ++i)
    y[i] -= factor * x[i];
}

[[gnu::always_inline]] inline double dot_lanes(const double* __restrict a, const double* __restrict b, uword n) {
  double lane[lanes] = {};
  uword i = 0;
  for (; i + lanes <= n; i += lanes)
    for (uword l = 0; l < lanes; ++l)
      lane[l] += a[i + l] * b[i + l];
  double rest = 0;
  for (; i < n; ++i)
    rest += a[i] * b[i];
  return fold(lane) + rest;
}

} // namespace

GNOMON_MULTIVERSION
void segment_sums(const double* __restrict a, const double* __restrict b, const double* __restrict x,
                  const uword* first_row, uword segments, double* sum_a, double* sum_b) {
  for (uword j = 0; j < segments; ++j) {
    double lane_a[lanes] = {};
    double lane_b[lanes] = {};
    uword i = first_row[j];
    const uword end = first_row[j + 1];
    for (; i + lanes <= end; i += lanes)
      for (uword l = 0; l < lanes; ++l) {
        lane_a[l] += a[i + l] * x[i + l];
        lane_b[l] += b[i + l] * x[i + l];
      }
    double rest_a = 0;
    double rest_b = 0;
    for (; i < end; ++i) {
      rest_a += a[i] * x[i];
      rest_b += b[i] * x[i];
    }
    sum_a[j] = fold(lane_a) + rest_a;
    sum_b[j] = fold(lane_b) + rest_b;
  }
}

GNOMON_MULTIVERSION
double dot(const double* a, const double* b, uword n) { return dot_lanes(a, b, n); }

GNOMON_MULTIVERSION
void cholesky(double* a, uword n, double* diagonal) {
  for (uword j = 0; j < n; ++j)
    diagonal[j] = a[j + j * n];
  for (uword j = 0; j < n; ++j) {
    double* column = a + j * n;
    const double pivot_min = std::max(relative_pivot_min * diagonal[j], std::numeric_limits<double>::min());
    const double pivot = std::sqrt(column[j] > pivot_min ? column[j] : pivot_min);
    column[j] = pivot;
    const double inverse = 1 / pivot;
    for (uword i = j + 1; i < n; ++i)
      column[i] *= inverse;
    for (uword k = j + 1; k < n; ++k)
      subtract_scaled(a + k * n + k, column + k, column[k], n - k);
  }
}

GNOMON_MULTIVERSION
void solve_lower(const double* l, uword n, double* x) {
  for (uword j = 0; j < n; ++j) {
    x[j] /= l[j + j * n];
    subtract_scaled(x + j + 1, l + j * n + j + 1, x[j], n - j - 1);
  }
}

GNOMON_MULTIVERSION
void solve_lower_transposed(const double* l, uword n, double* x) {
  for (uword j = n; j-- > 0;) {
    const double sum = dot_lanes(l + j * n + j + 1, x + j + 1, n - j - 1);
    x[j] = (x[j] - sum) / l[j + j * n];
  }
}

void cholesky_solve(const double* l, uword n, double* x) {
  solve_lower(l, n, x);
  solve_lower_transposed(l, n, x);
}

GNOMON_MULTIVERSION
void solve_right_transposed(const double* l, uword n, double* w, uword rows) {
  for (uword j = 0; j < n; ++j) {
    double* column = w + j * rows;
    const double inverse = 1 / l[j + j * n];
    for (uword i = 0; i < rows; ++i)
      column[i] *= inverse;
    for (uword k = j + 1; k < n; ++k)
      subtract_scaled(w + k * rows, column, l[k + j * n], rows);
  }
}

GNOMON_MULTIVERSION
void subtract_outer(double* a, uword n, const double* w, uword columns) {
  for (uword j = 0; j < n; ++j) {
    double* target = a + j * n;
    uword c = 0;
    for (; c + 4 <= columns; c += 4) { // four columns at a time: the target is loaded and stored once for them
      const double* __restrict w0 = w + c * n;
      const double* __restrict w1 = w0 + n;
      const double* __restrict w2 = w1 + n;
      const double* __restrict w3 = w2 + n;
      const double f0 = w0[j], f1 = w1[j], f2 = w2[j], f3 = w3[j];
      for (uword i = j; i < n; ++i)
        target[i] -= (f0 * w0[i] + f1 * w1[i]) + (f2 * w2[i] + f3 * w3[i]);
    }
    for (; c < columns; ++c)
      subtract_scaled(target + j, w + c * n + j, w[j + c * n], n - j);
  }
  for (uword j = 0; j < n; ++j)
    for (uword i = j + 1; i < n; ++i)
      a[j + i * n] = a[i + j * n];
}

GNOMON_MULTIVERSION
void subtract_product(double* y, const double* w, uword rows, uword columns, const double* x) {
  for (uword c = 0; c < columns; ++c)
    subtract_scaled(y, w + c * rows, x[c], rows);
}

GNOMON_MULTIVERSION
void subtract_transposed_product(double* y, const double* w, uword rows, uword columns, const double* x) {
  for (uword c = 0; c < columns; ++c)
    y[c] -= dot_lanes(w + c * rows, x, rows);
}

} // namespace gnomon::forecasting::kernel
