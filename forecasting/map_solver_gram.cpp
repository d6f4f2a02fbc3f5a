// Segment sums, accumulated from the last changepoint backwards, give every product with a trend column.
#include "forecasting/map_solver_gram.hpp"

#include <algorithm>

#include "forecasting/map_solver_kernels.hpp"

namespace gnomon::forecasting {
namespace {

using arma::uword;

// For a column x: per segment j, the sums of w x and of w t x over all rows from that segment on.
class suffix_sums {
public:
  explicit suffix_sums(const weighted_design& design)
      : design_(design), segments_(design.segments.first_row.size() - 1), plain(segments_), with_t(segments_) {}

  void compute(const double* x) {
    kernel::segment_sums(design_.weight.memptr(), design_.weighted_t.memptr(), x, design_.segments.first_row.data(),
                         segments_, plain.data(), with_t.data());
    for (uword j = segments_ - 1; j-- > 0;) {
      plain[j] += plain[j + 1];
      with_t[j] += with_t[j + 1];
    }
  }

private:
  const weighted_design& design_;
  uword segments_;

public:
  std::vector<double> plain, with_t;
};

uword base_columns(trend_base base) { return base == trend_base::slope_and_offset ? 2 : 1; }

} // namespace

trend_segments cut_segments(const arma::vec& t, const arma::vec& changepoints_t) {
  trend_segments segments{changepoints_t, {0}};
  for (const double s : changepoints_t)
    segments.first_row.push_back(static_cast<uword>(std::lower_bound(t.begin(), t.end(), s) - t.begin()));
  segments.first_row.push_back(t.n_elem);
  return segments;
}

arma::mat gram_matrix(const weighted_design& design, const arma::mat* feature_gram) {
  const arma::vec& s = design.segments.changepoints_t;
  const uword base = base_columns(design.base);
  const uword features = design.features.n_cols;
  const uword ridge = base + features;
  arma::mat gram(ridge + s.n_elem, ridge + s.n_elem, arma::fill::none);

  suffix_sums ones(design); // of w: w w and w t w
  ones.compute(design.weight.memptr());
  suffix_sums times(design); // of w t: w w t and (w t)^2
  times.compute(design.weighted_t.memptr());
  const uword offset = base - 1;
  gram(offset, offset) = ones.plain[0];
  if (base == 2) {
    gram(0, 0) = times.with_t[0];
    gram(0, 1) = gram(1, 0) = times.plain[0];
  }
  for (uword j = 0; j < s.n_elem; ++j) {
    const uword row = ridge + j;
    const double sum_1 = ones.plain[j + 1];
    const double sum_t = times.plain[j + 1];
    const double sum_tt = times.with_t[j + 1];
    gram(row, offset) = gram(offset, row) = sum_t - s[j] * sum_1;
    if (base == 2)
      gram(row, 0) = gram(0, row) = sum_tt - s[j] * sum_t;
    for (uword i = 0; i <= j; ++i)
      gram(row, ridge + i) = gram(ridge + i, row) = sum_tt - (s[i] + s[j]) * sum_t + s[i] * s[j] * sum_1;
  }
  suffix_sums& sums = ones;
  for (uword c = 0; c < features; ++c) {
    sums.compute(design.features.colptr(c));
    const uword row = base + c;
    gram(row, offset) = gram(offset, row) = sums.plain[0];
    if (base == 2)
      gram(row, 0) = gram(0, row) = sums.with_t[0];
    for (uword j = 0; j < s.n_elem; ++j)
      gram(row, ridge + j) = gram(ridge + j, row) = sums.with_t[j + 1] - s[j] * sums.plain[j + 1];
  }
  if (features > 0) {
    const auto block = arma::span(base, ridge - 1);
    if (feature_gram != nullptr)
      gram(block, block) = *feature_gram;
    else
      gram(block, block) = design.features.t() * design.features;
  }
  return gram;
}

arma::vec project(const weighted_design& design, const double* y, const double* feature_projection) {
  const arma::vec& s = design.segments.changepoints_t;
  const uword base = base_columns(design.base);
  const uword ridge = base + design.features.n_cols;
  arma::vec projection(ridge + s.n_elem, arma::fill::none);
  suffix_sums sums(design);
  sums.compute(y);
  projection[base - 1] = sums.plain[0];
  if (base == 2)
    projection[0] = sums.with_t[0];
  std::copy_n(feature_projection, design.features.n_cols, projection.memptr() + base);
  for (uword j = 0; j < s.n_elem; ++j)
    projection[ridge + j] = sums.with_t[j + 1] - s[j] * sums.plain[j + 1];
  return projection;
}

void piecewise_linear(const trend_segments& segments, const arma::vec& t, double k, double m, const double* delta,
                      double* out) {
  double slope = k;
  double offset = m;
  for (uword j = 0; j + 1 < segments.first_row.size(); ++j) {
    if (j > 0) {
      slope += delta[j - 1];
      offset -= delta[j - 1] * segments.changepoints_t[j - 1];
    }
    for (uword row = segments.first_row[j]; row < segments.first_row[j + 1]; ++row)
      out[row] = slope * t[row] + offset;
  }
}

} // namespace gnomon::forecasting
