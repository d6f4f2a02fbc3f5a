// Segment sums, accumulated from the last changepoint backwards, give every product with a trend column.
#include "forecasting/prophet/map_solver_gram.hpp"

#include <algorithm>

#include "forecasting/prophet/map_solver_kernels.hpp"

namespace gnomon::forecasting {
namespace {

using arma::uword;

// For a column x: per segment j, the sums of w x and of w (1 - t) x over all rows from that segment on.
class suffix_sums {
public:
  explicit suffix_sums(const weighted_design& design)
      : design_(design), segments_(design.segments.first_row.size() - 1), plain(segments_), with_rest(segments_) {}

  void compute(const double* x) {
    kernel::segment_sums(design_.weight.memptr(), design_.weighted_rest.memptr(), x,
                         design_.segments.first_row.data(), segments_, plain.data(), with_rest.data());
    for (uword j = segments_ - 1; j-- > 0;) {
      plain[j] += plain[j + 1];
      with_rest[j] += with_rest[j + 1];
    }
  }

private:
  const weighted_design& design_;
  uword segments_;

public:
  std::vector<double> plain, with_rest;
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

  suffix_sums ones(design); // of w: w^2 and w^2 (1 - t)
  ones.compute(design.weight.memptr());
  suffix_sums rests(design); // of w (1 - t): w^2 (1 - t) and w^2 (1 - t)^2
  rests.compute(design.weighted_rest.memptr());
  const uword offset = base - 1;
  gram(offset, offset) = ones.plain[0];
  if (base == 2) {
    gram(0, 1) = gram(1, 0) = ones.plain[0] - rests.plain[0];
    gram(0, 0) = gram(0, 1) - rests.plain[0] + rests.with_rest[0];
  }
  for (uword j = 0; j < s.n_elem; ++j) {
    const uword row = ridge + j;
    const double left = 1 - s[j];
    const double sum_1 = ones.plain[j + 1];
    const double sum_r = rests.plain[j + 1];
    const double sum_rr = rests.with_rest[j + 1];
    gram(row, offset) = gram(offset, row) = left * sum_1 - sum_r;
    if (base == 2)
      gram(row, 0) = gram(0, row) = left * (sum_1 - sum_r) - (sum_r - sum_rr);
    for (uword i = 0; i <= j; ++i)
      gram(row, ridge + i) = gram(ridge + i, row) =
          left * ((1 - s[i]) * sum_1 - sum_r) - ((1 - s[i]) * sum_r - sum_rr);
  }
  suffix_sums& sums = ones;
  for (uword c = 0; c < features; ++c) {
    sums.compute(design.features.colptr(c));
    const uword row = base + c;
    gram(row, offset) = gram(offset, row) = sums.plain[0];
    if (base == 2)
      gram(row, 0) = gram(0, row) = sums.plain[0] - sums.with_rest[0];
    for (uword j = 0; j < s.n_elem; ++j)
      gram(row, ridge + j) = gram(ridge + j, row) = (1 - s[j]) * sums.plain[j + 1] - sums.with_rest[j + 1];
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
    projection[0] = sums.plain[0] - sums.with_rest[0];
  std::copy_n(feature_projection, design.features.n_cols, projection.memptr() + base);
  for (uword j = 0; j < s.n_elem; ++j)
    projection[ridge + j] = (1 - s[j]) * sums.plain[j + 1] - sums.with_rest[j + 1];
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
