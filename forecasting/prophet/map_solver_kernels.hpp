// The inner loops of the solver on raw column-major arrays. Internal to map_solver*; any thread; never allocates.
#pragma once

#include <armadillo>

namespace gnomon::forecasting::kernel {

using arma::uword;

// Per segment j (rows first_row[j] .. first_row[j+1]): sum_a[j] = sum a x, sum_b[j] = sum b x.
void segment_sums(const double* a, const double* b, const double* x, const uword* first_row, uword segments,
                  double* sum_a, double* sum_b);

double dot(const double* a, const double* b, uword n);

// In place, lower triangle of the n x n matrix `a` (leading dimension n). A pivot that rounding made smaller than
// 1e-14 of its diagonal entry is replaced by that: a direction the data and the prior leave open then stays finite.
// `diagonal`: scratch of n.
void cholesky(double* a, uword n, double* diagonal);

// x = (L L')^-1 x.
void cholesky_solve(const double* l, uword n, double* x);
void solve_lower(const double* l, uword n, double* x);            // x = L^-1 x
void solve_lower_transposed(const double* l, uword n, double* x); // x = L^-T x

// w (rows x n) = w L^-T, column by column.
void solve_right_transposed(const double* l, uword n, double* w, uword rows);

// a (n x n, both triangles) -= w w', w being n x columns.
void subtract_outer(double* a, uword n, const double* w, uword columns);

// y -= w x and y -= w' x, w being rows x columns.
void subtract_product(double* y, const double* w, uword rows, uword columns, const double* x);
void subtract_transposed_product(double* y, const double* w, uword rows, uword columns, const double* x);

} // namespace gnomon::forecasting::kernel
