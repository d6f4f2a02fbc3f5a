// Fourier rows, the costliest part of a small fit: a sine and cosine that the compiler can vectorise.
// Compiled with -O3 and for several instruction sets; see forecasting/CMakeLists.txt.
#include "forecasting/prophet/design_matrix.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "forecasting/prophet/map_solver_multiversion.hpp"

namespace gnomon::forecasting {
namespace {

constexpr arma::uword batch = 256;              // values in flight, so that everything stays in the first-level cache
constexpr double reducible_magnitude_max = 1e8; // beyond it the reduction below would lose digits

// Cody-Waite reduction by pi/2 in four parts, the first three of 26 bits so that their products with the quotient are
// exact, then the polynomials of fdlibm's k_sin.c and k_cos.c. `n` <= batch.
GNOMON_MULTIVERSION
void sine_cosine_batch(const double* __restrict x, arma::uword n, double* __restrict sine,
                       double* __restrict cosine) {
  constexpr double to_integer = 0x1.8p52; // adding it leaves the nearest integer in the low bits
  for (arma::uword i = 0; i < n; ++i) {
    const double shifted = x[i] * (2 / std::numbers::pi) + to_integer;
    const double quotient = shifted - to_integer;
    const auto quadrant = std::bit_cast<std::int64_t>(shifted);
    double r = x[i] - quotient * 0x1.921fb5p+0;
    r = r - quotient * 0x1.110b46p-26;
    r = r - quotient * 0x1.1a6263p-54;
    r = r - quotient * 0x1.8a2e03707344ap-81;
    const double z = r * r;
    const double s = r + r * z *
                             (-1.66666666666666324348e-01 +
                              z * (8.33333333332248946124e-03 +
                                   z * (-1.98412698298579493134e-04 +
                                        z * (2.75573137070700676789e-06 +
                                             z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
    const double c = 1.0 - 0.5 * z +
                     z * z *
                         (4.16666666666666019037e-02 +
                          z * (-1.38888888888741095749e-03 +
                               z * (2.48015872894767294178e-05 +
                                    z * (-2.75573143513906633035e-07 +
                                         z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
    const bool swapped = (quadrant & 1) != 0;
    const std::int64_t sine_sign = (quadrant & 2) << 62;
    const std::int64_t cosine_sign = ((quadrant + 1) & 2) << 62;
    sine[i] = std::bit_cast<double>(std::bit_cast<std::int64_t>(swapped ? c : s) ^ sine_sign);
    cosine[i] = std::bit_cast<double>(std::bit_cast<std::int64_t>(swapped ? s : c) ^ cosine_sign);
  }
}

GNOMON_MULTIVERSION
void angles(const double* __restrict time_seconds, arma::uword n, double factor, double period_days,
            double* __restrict x) {
  for (arma::uword i = 0; i < n; ++i)
    x[i] = factor * (time_seconds[i] / day) / period_days;
}

} // namespace

void sine_cosine(const double* x, arma::uword n, double* sine, double* cosine) {
  for (arma::uword begin = 0; begin < n; begin += batch) {
    const arma::uword length = std::min(batch, n - begin);
    double magnitude = 0;
    for (arma::uword i = begin; i < begin + length; ++i)
      magnitude = std::max(magnitude, std::abs(x[i]));
    if (magnitude <= reducible_magnitude_max) {
      sine_cosine_batch(x + begin, length, sine + begin, cosine + begin);
      continue;
    }
    for (arma::uword i = begin; i < begin + length; ++i) {
      const double angle = x[i];
      sine[i] = std::sin(angle);
      cosine[i] = std::cos(angle);
    }
  }
}

void fourier_series_into(const double* time_seconds, arma::uword rows, double period_seconds, unsigned order,
                         double* columns) {
  const double period_days = period_seconds / day;
  std::array<double, batch> x;
  for (arma::uword begin = 0; begin < rows; begin += batch) {
    const arma::uword length = std::min(batch, rows - begin);
    for (unsigned i = 1; i <= order; ++i) {
      angles(time_seconds + begin, length, 2.0 * i * std::numbers::pi, period_days, x.data());
      double* sine = columns + 2 * (i - 1) * rows + begin;
      sine_cosine(x.data(), length, sine, sine + rows);
    }
  }
}

} // namespace gnomon::forecasting
