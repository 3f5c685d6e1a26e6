/* updates.inc.h - what becomes of gradients and parameters, element by element: steps, clipping, penalties.
 *
 * Memory bounds them where the parameters are many, so that each is one pass over its arrays. */
#ifndef MLP_UPDATES_INC_H
#define MLP_UPDATES_INC_H

#include "kernels/kernels.h"
#include "kernels/loops.inc.h"

#include <string.h>

static void descend(size_t n, double alpha, const double *g, double *w)
{
    const v_f64 a = v_set(-alpha);
    BY_VECTORS(n, STORE(w, v_fma(a, LOAD(g), LOAD(w))));
}

/* v <- mu v - alpha g; returns what is added to w. */
INLINE v_f64 momentum(double alpha, double mu, int nesterov, v_f64 g, v_f64 *v)
{
    const v_f64 t = v_set(alpha) * g;
    *v = v_fma(v_set(mu), *v, -t);
    return nesterov ? v_fma(v_set(mu), *v, -t) : *v;
}

INLINE void momentum_all(size_t n, double alpha, double mu, int nesterov, const double *g,
                         double *v, double *w)
{
    BY_VECTORS(n, {
        v_f64 vi = LOAD(v);
        STORE(w, LOAD(w) + momentum(alpha, mu, nesterov, LOAD(g), &vi));
        STORE(v, vi);
    });
}

static void descend_momentum(size_t n, double alpha, double mu, int nesterov, const double *g,
                             double *v, double *w)
{
    momentum_all(n, alpha, mu, nesterov, g, v, w);
}

/* The new m and v; returns the new w. */
INLINE v_f64 adam_step(const struct mlp_adam_step *o, v_f64 gradient, v_f64 *m, v_f64 *v, v_f64 w)
{
    const v_f64 g = v_set(o->scale) * gradient;
    *m = v_fma(v_set(o->beta1), *m, v_set(1.0 - o->beta1) * g);
    *v = v_fma(v_set(o->beta2), *v, v_set(1.0 - o->beta2) * g * g);
    const v_f64 d = v_fma(v_set(o->root), v_sqrt(*v), v_set(o->epsilon));
    return v_fma(v_set(o->keep), w, -(v_set(o->rate) * *m / d));
}

INLINE void adam_all(size_t n, const struct mlp_adam_step *o, const double *g, double *m, double *v,
                     double *w)
{
    BY_VECTORS(n, {
        v_f64 mi = LOAD(m), vi = LOAD(v);
        STORE(w, adam_step(o, LOAD(g), &mi, &vi, LOAD(w)));
        STORE(m, mi);
        STORE(v, vi);
    });
}

static void adam(size_t n, const struct mlp_adam_step *o, const double *g, double *m, double *v,
                 double *w)
{
    const struct mlp_adam_step step = *o; /* the stores cannot change a copy */
    adam_all(n, &step, g, m, v, w);
}

/* Rows of parameters at w, among those of e, take their step along g, whose rows are g_row apart. */
APART void update_rows(size_t rows, size_t n, const double *g, size_t g_row,
                       const struct mlp_epilogue *e, double *w)
{
    const ptrdiff_t at = w - e->w, row = e->w_row;
    if (e->adam) {
        const struct mlp_adam_step step = *e->adam;
        double *m = e->m + at, *v = e->v + at;
        for (size_t r = 0; r < rows; r++, g += g_row, m += row, v += row, w += row)
            adam_all(n, &step, g, m, v, w);
    } else if (e->v) {
        const double alpha = e->alpha, mu = e->mu;
        const int nesterov = e->nesterov;
        double *v = e->v + at;
        for (size_t r = 0; r < rows; r++, g += g_row, v += row, w += row)
            momentum_all(n, alpha, mu, nesterov, g, v, w);
    } else {
        for (size_t r = 0; r < rows; r++, g += g_row, w += row)
            descend(n, e->alpha, g, w);
    }
}

/* The new p and delta; returns the new w. Signs are compared, since p g may underflow. */
INLINE v_f64 rprop_step(const struct mlp_rprop_step *o, v_f64 g, v_f64 *p, v_f64 *delta, v_f64 w)
{
    const v_f64 zero = v_set(0.0);
    const v_i64 up = v_lt(zero, g), down = v_lt(g, zero);
    const v_i64 was_up = v_lt(zero, *p), was_down = v_lt(*p, zero);
    const v_i64 same = (up & was_up) | (down & was_down);
    const v_i64 opposite = (up & was_down) | (down & was_up);
    const v_f64 old = *delta;
    const v_f64 grown = v_at_most(v_set(o->eta_plus) * old, o->delta_max);
    const v_f64 shrunk = v_at_least(v_set(o->eta_minus) * old, o->delta_min);
    *delta = v_select(same, grown, v_select(opposite, shrunk, old));
    /* What w is reduced by: with the sign of g, or of p backwards, or 0. */
    const v_f64 back = o->back ? v_select(was_up, -old, old) : zero;
    const v_f64 ahead = v_select(up, *delta, v_select(down, -*delta, zero));
    *p = v_select(opposite, zero, g);
    return w - v_select(opposite, back, ahead);
}

static void rprop(size_t n, const struct mlp_rprop_step *o, const double *g, double *p,
                  double *delta, double *w)
{
    const struct mlp_rprop_step step = *o;
    BY_VECTORS(n, {
        v_f64 pi = LOAD(p), di = LOAD(delta);
        STORE(w, rprop_step(&step, LOAD(g), &pi, &di, LOAD(w)));
        STORE(p, pi);
        STORE(delta, di);
    });
}

INLINE v_f64 clipped(double scale, double limit, v_f64 g)
{
    return v_at_least(v_at_most(v_set(scale) * g, limit), -limit);
}

static void clip(size_t n, double scale, double limit, double *g)
{
    BY_VECTORS(n, STORE(g, clipped(scale, limit, LOAD(g))));
}

INLINE v_f64 sum(v_f64 x, v_f64 y) { return x + y; }
INLINE v_f64 times(v_f64 x, v_f64 y) { return y * x; }
static void add(size_t n, const double *y, double *x) { map2(n, y, x, sum); }
static void multiply(size_t n, const double *y, double *x) { map2(n, y, x, times); }

static void weigh(size_t rows, size_t m, const double *s, double *delta, double *c)
{
    for (size_t i = 0; i < rows; i++, delta += m) {
        if (s[i] == 0.0) {
            memset(delta, 0, m * sizeof *delta);
            c[i] = 0.0;
            continue;
        }
        for (size_t j = 0; j < m; j++)
            delta[j] *= s[i];
        c[i] *= s[i];
    }
}

INLINE v_f64 penalised(double l1, double l2, v_f64 w, v_f64 g)
{
    const v_f64 zero = v_set(0.0);
    const v_f64 slope =
        v_select(v_lt(zero, w), v_set(l1), v_select(v_lt(w, zero), v_set(-l1), zero));
    return g + v_fma(v_set(l2), w, slope);
}

static void penalise(size_t n, double l1, double l2, const double *w, double *g)
{
    BY_VECTORS(n, STORE(g, penalised(l1, l2, LOAD(w), LOAD(g))));
}

#endif
