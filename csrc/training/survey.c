/* survey.c - what a fit is up against, and what its network has become: by a sample of its instances.
 *
 * The sample is spread evenly over the instances. It is what the caller warns by, so that it must cost next
 * to nothing: the network is evaluated only until each of its layers has been seen to learn. */
#include "kernels/kernels.h"
#include "network/layers.h"
#include "network/memory.h"
#include "network/outputs.h"
#include "network/rows.h"
#include "network/scaling.h"
#include "training/epoch.h"

#include <math.h>
#include <string.h>

/* The sample has at most so many instances, and so many targets. */
#define MOST_ROWS ((size_t)1000)
#define MOST_TARGETS ((size_t)10000)
/* The network is evaluated so many instances at a time, and with at most so many multiply-adds. */
#define BLOCK ((size_t)16)
#define MOST_WORK 2e7
/* Numbers of x that are filled in at a time, of CSR instances: 2 MB. */
#define MOST_INPUTS ((size_t)1 << 18)
/* A unit is saturated where |g'(z)| is below the first, for all instances; outputs are constant where none
 * differs from the first instance's by the second, in units of what the targets differ by. */
#define SATURATED 1e-4
#define CONSTANT 1e-6
/* The largest |z| that stands for a probability of 0 or 1, or a count of 0. */
#define MOST_Z 700.0

/* rows[0 .. k - 1] <- k of n rows, spread evenly: all of them for k = n */
static void spread(size_t n, size_t k, size_t *rows)
{
    for (size_t i = 0; i < k; i++)
        rows[i] = i * (n / k) + i * (n % k) / k;
}

/* What there is to look at: all instances, or those that the caller has taken. */
static size_t n_of(const struct mlp_fit *fit) { return fit->seen.n > 0 ? fit->seen.n : fit->n; }
static const struct mlp_matrix *x_of(const struct mlp_fit *fit)
{
    return fit->seen.n > 0 ? &fit->seen.x : &fit->x;
}
static const struct mlp_matrix *y_of(const struct mlp_fit *fit)
{
    return fit->seen.n > 0 ? &fit->seen.y : &fit->y;
}
static const struct mlp_matrix *weights_of(const struct mlp_fit *fit)
{
    return fit->seen.n > 0 && fit->pass.weights != NULL ? &fit->seen.weights : fit->pass.weights;
}

void mlp_fit_sample(struct mlp_fit *fit, const struct mlp_matrix *x, const struct mlp_matrix *y,
                    const struct mlp_matrix *weights, size_t k)
{
    struct mlp_seen *s = &fit->seen;
    *s = (struct mlp_seen){.n = k};
    s->x = *mlp_inputs(fit->net, x, &s->x);
    s->y = *mlp_targets(fit->net, y, &s->y);
    if (weights != NULL)
        s->weights = *weights;
}

static size_t sample(const struct mlp_fit *fit, size_t *rows)
{
    const size_t m = mlp_n_outputs(fit->whole), few = MOST_TARGETS / m;
    const size_t most = few == 0 ? 1 : few < MOST_ROWS ? few : MOST_ROWS;
    const size_t n = n_of(fit), k = n < most ? n : most;
    /* Of instances that are elsewhere the fit has the sample alone. */
    spread(fit->options.elsewhere == NULL ? n : k, k, rows);
    return k;
}

/* The activation that an output of cost 0 is taken through: a loss of errors needs none. */
static enum mlp_activation pair_of(const struct mlp_network *net)
{
    const int pair = net->loss == MLP_CROSS_ENTROPY || net->loss == MLP_BINARY_CROSS_ENTROPY ||
                     net->loss == MLP_POISSON;
    return pair ? net->layers[net->n_layers - 1].g : MLP_IDENTITY;
}

/* z with g(z) = a, within bounds */
static double inverse(enum mlp_activation g, double a)
{
    if (g == MLP_IDENTITY)
        return a;
    const double z = g == MLP_SIGMOID ? log(a) - log1p(-a) : log(a);
    return z < -MOST_Z ? -MOST_Z : z > MOST_Z ? MOST_Z : z;
}

/* The sum over the sample of s_i times the cost of outputs a: `mean`, or with NULL the targets themselves. */
static double cost_of(const struct mlp_fit *fit, size_t k, const size_t *rows, const double *mean)
{
    const struct mlp_network *net = fit->whole;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const enum mlp_activation g = pair_of(net);
    const size_t m = mlp_n_outputs(net), last = net->n_layers - 1;
    double sum = 0.0;
    for (size_t i = 0, count; i < k; i += count) {
        count = k - i < arena->rows ? k - i : arena->rows;
        double *z = arena->a[last];
        const double *given = mlp_rows(y_of(fit), rows, i, count, arena->y);
        for (size_t r = 0; r < count * m; r++) { /* what is missing costs nothing */
            const double wanted = mean == NULL ? given[r] : mean[r % m];
            z[r] = isnan(given[r]) ? 0.0 : inverse(g, wanted);
        }
        if (y_of(fit)->kind == MLP_GAPS)
            mlp_output_gaps(net, g, count, z, given, arena->delta[last], arena->terms, arena->c);
        else
            net->kernels->output(net->loss, net->loss_parameter, g, count, m, z, given,
                                 arena->delta[last], arena->terms, arena->c);
        const double *s =
            weights_of(fit) == NULL ? NULL : mlp_rows(weights_of(fit), rows, i, count, arena->s);
        for (size_t r = 0; r < count; r++)
            sum += s == NULL ? arena->c[r] : s[r] > 0.0 ? s[r] * arena->c[r] : 0.0;
    }
    return sum;
}

/* mean (m,) <- that of the sample's targets, total (m,) the weight of those that are there; and their
 * extremes. Instances of weight 0 do not count. */
static void means(const struct mlp_fit *fit, size_t k, const size_t *rows, double *mean,
                  double *total, struct mlp_target_survey *t)
{
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t m = mlp_n_outputs(fit->whole);
    for (size_t j = 0; j < m; j++)
        mean[j] = total[j] = 0.0;
    for (size_t i = 0; i < k; i++) {
        const double *y = mlp_rows(y_of(fit), rows, i, 1, arena->y);
        double s = 1.0;
        if (weights_of(fit) != NULL)
            s = *mlp_rows(weights_of(fit), rows, i, 1, arena->s);
        if (!(s > 0.0))
            continue;
        for (size_t j = 0; j < m; j++) {
            if (isnan(y[j]))
                continue;
            total[j] += s;
            mean[j] += s / total[j] * (y[j] - mean[j]);
            t->lowest = y[j] < t->lowest ? y[j] : t->lowest;
            t->highest = y[j] > t->highest ? y[j] : t->highest;
        }
    }
}

/* first_j <- the first y_j of several instances that is there. */
static void note(size_t m, const double *y, double *first)
{
    for (size_t j = 0; j < m; j++)
        first[j] = isnan(first[j]) ? y[j] : first[j];
}

static void forget(size_t m, double *first)
{
    for (size_t j = 0; j < m; j++)
        first[j] = NAN;
}

/* Whether the sample's targets vary, as the caller has them; first (m,) is overwritten. */
static int vary(const struct mlp_fit *fit, size_t k, const size_t *rows, double *first)
{
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t m = mlp_n_outputs(fit->whole);
    struct mlp_matrix given = *y_of(fit);
    given.offset = given.scale = NULL;
    forget(m, first);
    for (size_t i = 0; i < k; i++) {
        if (weights_of(fit) != NULL && !(*mlp_rows(weights_of(fit), rows, i, 1, arena->s) > 0.0))
            continue;
        const double *y = mlp_rows(&given, rows, i, 1, arena->y);
        note(m, y, first);
        for (size_t j = 0; j < m; j++) {
            if (y[j] != first[j] && !isnan(y[j]))
                return 1;
        }
    }
    return 0;
}

enum mlp_status mlp_fit_targets(struct mlp_fit *fit, struct mlp_target_survey *targets)
{
    size_t rows[MOST_ROWS];
    const size_t k = sample(fit, rows);
    const size_t m = mlp_n_outputs(fit->whole);
    double *mean = mlp_allocate(2 * m);
    if (mean == NULL)
        return MLP_NO_MEMORY;
    const uint64_t saved = mlp_fp_enter();
    const double all = (double)fit->n / (double)k;
    *targets = (struct mlp_target_survey){.lowest = HUGE_VAL, .highest = -HUGE_VAL};
    means(fit, k, rows, mean, mean + m, targets);
    targets->mean = all * cost_of(fit, k, rows, mean);
    if (pair_of(fit->whole) != MLP_IDENTITY &&
        y_of(fit)->kind != MLP_LABELS) /* of classes it is 0 */
        targets->least = all * cost_of(fit, k, rows, NULL);
    if (targets->mean == 0.0 && targets->least == 0.0)
        targets->vanishing = vary(fit, k, rows, mean);
    mlp_fp_leave(saved);
    mlp_release(mean);
    return MLP_OK;
}

/* The largest |x_i - x_(i mod m)|, where first (m,) is what the latter are. */
static double difference(size_t n, size_t m, const double *x, const double *first)
{
    double largest = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs(x[i] - first[i % m]);
        largest = d > largest ? d : largest;
    }
    return largest;
}

/* Whether one of n units is not saturated: a (n,) and what its g' is taken from. */
static int learns(const struct mlp_network *net, enum mlp_activation g, size_t n,
                  const double *derivable, double *d)
{
    for (size_t i = 0; i < n; i++)
        d[i] = g == MLP_SOFTMAX ? derivable[i] * (1.0 - derivable[i]) : 1.0;
    if (g != MLP_SOFTMAX)
        net->kernels->multiply_derivative(g, n, derivable, d);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(d[i]) < SATURATED))
            return 1;
    }
    return 0;
}

/* An output layer that is bounded, with a loss whose delta^(L) vanishes with g'. */
static int bounded(const struct mlp_network *net)
{
    const enum mlp_activation g = net->layers[net->n_layers - 1].g;
    return pair_of(net) == MLP_IDENTITY && (g == MLP_SIGMOID || g == MLP_TANH || g == MLP_SOFTMAX);
}

/* Evaluates instances rows[i .. i + count - 1], and sets seen[l] for layers that learn; returns their
 * inputs, in `inputs` if they must be filled in. */
static const double *look(const struct mlp_fit *fit, const size_t *rows, size_t i, size_t count,
                          unsigned char *seen, double *inputs)
{
    const struct mlp_network *net = fit->whole;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t last = net->n_layers - 1;
    const double *x = mlp_rows(x_of(fit), rows, i, count, inputs);
    mlp_forward(net, 0, count, x, arena->a, arena->a[last], arena->panel, 1);
    const double *output = mlp_output_activate(net, count, arena->a[last], arena->terms);
    for (size_t l = 0; l <= last; l++) {
        const struct mlp_layer *layer = &net->layers[l];
        const double *derivable = l == last ? output : mlp_derivable(net, arena->a, l, 0);
        if (!seen[l] && learns(net, layer->g, count * layer->m_out, derivable, arena->delta[l]))
            seen[l] = 1;
    }
    return x;
}

enum mlp_status mlp_fit_health(struct mlp_fit *fit, struct mlp_health *health)
{
    const struct mlp_network *net = fit->whole;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t m = mlp_n_outputs(net), L = net->n_layers;
    size_t rows[MOST_ROWS];
    size_t k = sample(fit, rows);
    const double affordable = MOST_WORK / (double)net->n_parameters;
    if ((double)k > affordable) {
        const size_t all = fit->options.elsewhere == NULL ? n_of(fit) : k;
        k = affordable < (double)BLOCK ? BLOCK < k ? BLOCK : k : (size_t)affordable;
        spread(all, k, rows);
    }
    /* The first outputs, targets and inputs, and L flags. */
    const size_t m_in = mlp_n_inputs(net);
    size_t block = arena->rows < BLOCK ? arena->rows : BLOCK;
    if (arena->room > 0 && m_in > MOST_INPUTS / block)
        block = m_in < MOST_INPUTS ? MOST_INPUTS / m_in : 1;
    double *memory = mlp_allocate(2 * m + (1 + (arena->room > 0 ? block : 0)) * m_in + L);
    if (memory == NULL)
        return MLP_NO_MEMORY;
    double *first = memory, *target = first + m, *input = target + m;
    double *const inputs = arena->room > 0 ? input + m_in : arena->x;
    unsigned char *seen =
        (unsigned char *)(memory + 2 * m + m_in + (arena->room > 0 ? block * m_in : 0));
    const uint64_t saved = mlp_fp_enter();
    double wanted = 0.0, given = 0.0, spread_out = 0.0;
    for (size_t l = 0; l < L; l++)
        seen[l] = l == L - 1 && !bounded(net);
    forget(m, target);
    for (size_t i = 0; i < k; i++) { /* those that count */
        if (weights_of(fit) != NULL && *mlp_rows(weights_of(fit), rows, i, 1, arena->s) == 0.0)
            continue;
        const double *y = mlp_rows(y_of(fit), rows, i, 1, arena->y);
        note(m, y, target);
        wanted = fmax(wanted, difference(m, m, y, target));
    }
    size_t sick = L;
    for (size_t i = 0, count; i < k && sick > 0; i += count) {
        count = k - i < block ? k - i : block;
        const double *x = look(fit, rows, i, count, seen, inputs);
        if (i == 0) {
            memcpy(first, arena->a[L - 1], m * sizeof *first);
            memcpy(input, x, m_in * sizeof *input);
        }
        given = fmax(given, difference(count * m_in, m_in, x, input));
        spread_out = fmax(spread_out, difference(count * m, m, arena->a[L - 1], first));
        sick = !(spread_out > CONSTANT * wanted) && wanted > 0.0;
        for (size_t l = 0; l < L; l++)
            sick += !seen[l];
    }
    mlp_fp_leave(saved);
    const int vary = wanted > 0.0 && given > 0.0;
    *health =
        (struct mlp_health){.constant = vary && spread_out <= CONSTANT * wanted, .vary = vary};
    for (size_t l = L; l-- > 0;) {
        if (!seen[l])
            health->saturated = l + 1;
    }
    mlp_release(memory);
    return MLP_OK;
}
