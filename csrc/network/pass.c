/* pass.c - feedforward, delta and gradient of one chunk of instances after another, on a team of
 * threads.
 *
 * A chunk's activations stay in the cache, and memory does not grow with n. Sums over instances run
 * through the gradient buffer from chunk to chunk, so neither the size of a chunk nor the number of
 * threads changes a bit. */
#include "network/pass.h"

#include "network/dropout.h"
#include "network/layers.h"
#include "network/outputs.h"
#include "network/rows.h"

#include <math.h>
#include <string.h>

void mlp_pass_start(struct mlp_pass *pass, const size_t *order, size_t begin, size_t n)
{
    pass->order = order;
    pass->begin = pass->place = begin;
    pass->n = n;
    pass->ready = pass->x->blocks == NULL ? n : 0;
    pass->n_ranges = mlp_n_ranges(pass->net, n);
    pass->range = pass->first = 0;
    pass->last = pass->n_ranges;
    pass->from = 0;
    pass->to = n;
    pass->piece = 0;
    for (size_t r = 0; r < pass->n_ranges; r++) {
        pass->ranges[r].row = mlp_part(n, pass->n_ranges, r);
        memset(pass->ranges[r].sum, 0, sizeof pass->ranges[r].sum);
    }
}

/* Where range r ends, or the piece of it that is at hand. */
static size_t range_end(const struct mlp_pass *pass, size_t r)
{
    const size_t end = mlp_part(pass->n, pass->n_ranges, r + 1);
    return end < pass->to ? end : pass->to;
}

/* Row number i of the batch is row i - from of x: begin + i, as sizes wrap around. */
void mlp_pass_piece(struct mlp_pass *pass, size_t from, size_t rows, size_t n)
{
    mlp_pass_start(pass, NULL, (size_t)0 - from, n);
    pass->piece = 1;
    pass->from = from;
    pass->to = from + rows;
    while (mlp_part(n, pass->n_ranges, pass->first + 1) <= from)
        pass->first++;
    pass->range = pass->first;
    pass->ranges[pass->first].row = from;
    while (mlp_part(n, pass->n_ranges, pass->last - 1) >= pass->to)
        pass->last--;
}

/* Whether x is taken as lists of what is not 0, and not filled in: the arenas are made for that. */
static int takes_lists(const struct mlp_pass *pass)
{
    return pass->space->arenas[0].room > 0 && mlp_is_csr(pass->x);
}

/* Rows row .. row + rows - 1 of the batch, and an arena's room for their transpose. */
static struct mlp_lists lists_of(const struct mlp_pass *pass, const struct mlp_arena *arena,
                                 size_t row, size_t rows)
{
    return (struct mlp_lists){pass->x,       pass->order,   pass->place + row, rows,
                              arena->starts, arena->values, arena->places};
}

/* Whether there are rows in memory to go on with: asks for the next ones where there are none. */
static int get_ready(struct mlp_pass *pass)
{
    const size_t row = pass->ranges[pass->range].row;
    size_t rows = pass->n - row;
    if (row < pass->ready)
        return 1;
    const size_t place = mlp_rows_at(pass->x, pass->begin + row, &rows);
    pass->ready = row + rows;
    pass->place = place - row; /* where no row 0 is, it wraps, and back with a row added */
    return rows > 0;
}

/* The end of range r, or where the rows that lie in memory end within it. */
static size_t end_of(const struct mlp_pass *pass, size_t r)
{
    const size_t end = range_end(pass, r);
    return end < pass->ready ? end : pass->ready;
}

/* How many of `rows` rows of the batch from `row` on are a chunk. */
static size_t fitting(const struct mlp_pass *pass, const struct mlp_arena *arena, size_t row,
                      size_t rows)
{
    if (!takes_lists(pass) || pass->gradient == NULL)
        return rows;
    return mlp_lists_fitting(pass->x, pass->order, pass->place + row, rows, arena->room);
}

/* Units of a row whose mask is made at a time, on the stack: 2 KB. */
#define MASK_UNITS ((size_t)256)

/* The cost of all ranges, added in the tree. */
static void add_costs(struct mlp_pass *pass)
{
    MLP_TREE (pass->n_ranges, to, from)
        pass->ranges[to].cost = mlp_pair_add(pass->ranges[to].cost, pass->ranges[from].cost);
    pass->cost = mlp_pair_normalise(pass->ranges[0].cost);
}

/* The data's cost is known: the penalty's is added. */
static void add_penalty(struct mlp_pass *pass)
{
    if (!mlp_penalises(&pass->penalty))
        return;
    const struct mlp_pair c = {mlp_penalty_cost(pass->net, pass->team, &pass->penalty), 0.0};
    pass->cost = mlp_pair_normalise(mlp_pair_add(pass->cost, c));
}

/* Columns c0 .. c1 - 1 of layer l + 1, of instances row .. row + rows - 1 of the batch, which the arena
 * holds from `first` on: a^(l+1) from previous, a^(l), in training with units dropped. */
static void forward_layer(const struct mlp_pass *pass, const struct mlp_arena *arena, size_t l,
                          size_t row, size_t first, size_t rows, const double *previous, size_t c0,
                          size_t c1, double *panel)
{
    const struct mlp_network *net = pass->net;
    const size_t m = net->layers[l].m_out;
    double *a = arena->a[l] + first * m, *d = mlp_kept(net, arena->a, l, first);
    const int linear = l + 1 == net->n_layers, lists = l == 0 && takes_lists(pass);
    if (lists)
        mlp_layer_forward_lists(net, pass->x, pass->order, pass->place + row, rows, pass->finite, a,
                                d, linear);
    else
        mlp_layer_forward(net, l, rows, previous, c0, c1, a, d, panel, linear);
    if (net->layers[l].drop > 0.0) {
        double mask[MASK_UNITS];
        for (size_t i = 0; i < rows; i++) {
            for (size_t c = c0; c < c1; c += MASK_UNITS) {
                const size_t n = c1 - c < MASK_UNITS ? c1 - c : MASK_UNITS;
                mlp_random_mask(net, &pass->masks, l, row + i, c, c + n, mask);
                net->kernels->multiply(n, mask, a + i * m + c);
                net->kernels->multiply(n, mask, d + i * m + c);
            }
        }
    }
    if (!lists)
        mlp_layer_skip(net, l, rows, previous, c0, c1, a);
    else if (net->layers[l].skip)
        mlp_lists_skip(pass->x, pass->order, pass->place + row, rows, a);
}

/* c, and delta^(L), of instances row .. row + rows - 1 of the batch, in the arena from `first` on. */
static void output_layer(const struct mlp_pass *pass, const struct mlp_arena *arena, size_t row,
                         size_t first, size_t rows)
{
    const struct mlp_network *net = pass->net;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const size_t L = net->n_layers, m = last->m_out;
    double *delta = arena->delta[L - 1] + first * m, *c = arena->c + first;
    const double *y = mlp_rows(pass->y, pass->order, pass->place + row, rows, arena->y + first * m);
    if (pass->y->kind > MLP_LABELS)
        mlp_output_apart(net, pass->y->kind, rows, arena->a[L - 1] + first * m, y, delta,
                         arena->terms + first * m, c);
    else
        net->kernels->output(net->loss, net->loss_parameter, last->g, rows, m,
                             arena->a[L - 1] + first * m, y, delta, arena->terms + first * m, c);
    if (pass->weights != NULL)
        net->kernels->weigh(
            rows, m,
            mlp_rows(pass->weights, pass->order, pass->place + row, rows, arena->s + first), delta,
            c);
}

/* The step that this pass takes now, with its cost known. */
static const struct mlp_step *step_of(const struct mlp_pass *pass)
{
    return isfinite(pass->cost.high) ? pass->step : NULL;
}

/* Multiply-adds per instance of feedforward and, for a gradient, of delta. */
static double row_work(const struct mlp_pass *pass)
{
    const struct mlp_network *net = pass->net;
    const struct mlp_layer *l = &net->layers[0];
    const double P = (double)net->n_parameters, activations = MLP_ACTIVATION * (double)net->units;
    return activations +
           (pass->gradient == NULL ? P : 2.0 * P - (double)l->m_in * (double)l->m_out);
}

/* Multiply-adds that a parameter of the first layer costs where few of its instances have a term: to and from
 * memory, with Adam's step. */
#define TOUCH 20.0

/* Multiply-adds of a chunk of CSR instances. */
static double lists_work(const struct mlp_pass *pass, const struct mlp_lists *lists)
{
    const struct mlp_network *net = pass->net;
    const struct mlp_layer *l = &net->layers[0];
    const double m_out = (double)l->m_out, w = (double)l->m_in * m_out;
    const double rest = (double)net->n_parameters - w;
    const double per_row = rest + MLP_ACTIVATION * (double)net->units;
    const double terms =
        (double)mlp_lists_terms(lists->x, lists->order, lists->begin, lists->rows) * m_out;
    const double forward = terms + (double)lists->rows * per_row;
    return pass->gradient == NULL ? forward
                                  : 2.0 * forward + (double)lists->rows * rest + TOUCH * w;
}

/* ---- many ranges: each thread takes whole ones ---- */

/* Rows of its range that a task gets through. */
static size_t task_rows(const struct mlp_pass *pass)
{
    const double rows = MLP_PORTION / (row_work(pass) + (double)pass->net->n_parameters);
    return rows < 1024.0 ? 1024 : (size_t)rows;
}

static void range_task(void *context, size_t thread, size_t part)
{
    const struct mlp_pass *pass = context;
    const struct mlp_network *net = pass->net;
    const struct mlp_arena *arena = &pass->space->arenas[thread];
    const size_t index = pass->range + part;
    struct mlp_range *range = &((struct mlp_pass *)context)->ranges[index];
    const size_t start = mlp_part(pass->n, pass->n_ranges, index);
    const size_t end = end_of(pass, index);
    const size_t chunk = mlp_chunk_rows(net, arena->room, 1, arena->rows);
    const int lists = takes_lists(pass);
    for (size_t left = task_rows(pass); range->row < end && left > 0;) {
        size_t rows = end - range->row < chunk ? end - range->row : chunk;
        rows = fitting(pass, arena, range->row, rows < left ? rows : left);
        const struct mlp_lists own = lists_of(pass, arena, range->row, rows);
        const double *x = NULL;
        if (!lists)
            x = mlp_rows(pass->x, pass->order, pass->place + range->row, rows, arena->x);
        for (size_t l = 0; l < net->n_layers; l++)
            forward_layer(pass, arena, l, range->row, 0, rows, l ? arena->a[l - 1] : x, 0,
                          net->layers[l].m_out, arena->panel);
        output_layer(pass, arena, range->row, 0, rows);
        net->kernels->accumulate(rows, range->row - start, arena->c, range->sum);
        if (pass->gradient != NULL) {
            mlp_deltas(net, net->n_layers - 1, 0, 0, rows, arena->a, arena->delta, arena->panel);
            mlp_gradient_part(net, 1, 0, rows, x, lists ? &own : NULL, arena->a, arena->delta,
                              range->row == start, pass->space->partial + index * net->n_parameters,
                              arena->panel, NULL, NULL, 1);
        }
        range->row += rows;
        left -= rows;
    }
}

/* Part of the parameters: adds the ranges' gradients in the same tree, and steps. */
struct sum_context {
    const struct mlp_pass *pass;
    size_t parts;
};
static void sum_task(void *context, size_t thread, size_t part)
{
    const struct sum_context *c = context;
    const struct mlp_pass *pass = c->pass;
    const struct mlp_network *net = pass->net;
    const size_t P = net->n_parameters;
    const size_t begin = mlp_part(P, c->parts, part), n = mlp_part(P, c->parts, part + 1) - begin;
    double *partial = pass->space->partial + begin;
    (void)thread;
    MLP_TREE (pass->n_ranges, to, from)
        net->kernels->add(n, partial + from * P, partial + to * P);
    memcpy(pass->gradient + begin, partial, n * sizeof(double));
    if (mlp_penalises(&pass->penalty))
        mlp_penalise(net, &pass->penalty, begin, n, pass->gradient);
    if (step_of(pass) != NULL)
        mlp_step_take(pass->step, net, begin, n);
}

/* Goes on to the first range that is not complete; 1 when there is none: the sums of all are added, and the
 * step is taken. */
static int finish_ranges(struct mlp_pass *pass)
{
    while (pass->range < pass->last &&
           pass->ranges[pass->range].row == range_end(pass, pass->range)) {
        pass->ranges[pass->range].cost = mlp_pair_lanes(pass->ranges[pass->range].sum);
        pass->range++;
    }
    if (pass->range < pass->last)
        return 0;
    if (pass->piece)
        return 1;
    add_costs(pass);
    add_penalty(pass);
    if (pass->gradient != NULL) {
        const double P = (double)pass->net->n_parameters;
        struct sum_context context = {
            pass, mlp_team_size(pass->team, pass->net->grain, (double)pass->n_ranges * P)};
        mlp_team_run(pass->team, context.parts, context.parts, sum_task, &context);
    }
    return 1;
}

/* Ranges that are not complete and have rows in memory. */
static size_t ranges_ready(const struct mlp_pass *pass)
{
    size_t end = pass->last;
    while (end > pass->range + 1 && mlp_part(pass->n, pass->n_ranges, end - 1) >= pass->ready)
        end--;
    return end - pass->range;
}

static int advance_ranges(struct mlp_pass *pass, size_t count)
{
    const size_t rows = task_rows(pass), per_range = pass->n / pass->n_ranges + 8;
    const double per_row = row_work(pass) + (double)pass->net->n_parameters;
    /* Four tasks a thread even out what the threads differ by, if all are to be short. */
    if (per_range > rows / 8 && count > 4 * pass->team->n_threads)
        count = 4 * pass->team->n_threads;
    pass->work = (double)count * (double)(per_range < rows ? per_range : rows) * per_row;
    mlp_team_run(pass->team, mlp_team_size(pass->team, pass->net->grain, pass->work), count,
                 range_task, pass);
    return finish_ranges(pass);
}

/* ---- one range, or the next one where too few have rows in memory: threads share each chunk, then the
 * parameters ---- */

struct chunk_context {
    const struct mlp_pass *pass;
    size_t row, rows, parts;
    int first;                         /* of the range's chunks */
    double *gradient;                  /* (P,) the range's */
    const double *x;                   /* (rows, m^(0)), known once its rows have been read */
    const struct mlp_lists *lists;     /* instead of that, or NULL */
    const struct mlp_penalty *penalty; /* NULL: none, or not yet */
    const struct mlp_step *step;
    /* The phase's layers: forward through layers[from .. to - 1], with the output, then deltas
     * through layers[back] down to layers[down + 1]. */
    size_t from, to, back, down;
    int output;
};

/* The part's instances: by fours, so that two threads have 100 each of 200, not 96 and 104. */
static size_t part_rows(const struct chunk_context *c, size_t part, size_t *first)
{
    *first = mlp_part_of(c->rows, c->parts, part, 4);
    return mlp_part_of(c->rows, c->parts, part + 1, 4) - *first;
}

/* Their rows of x, rows > 0. A single row is contiguous where it lies, whatever the strides; but those of
 * the chunk are read as one matrix for the gradient. */
static const double *read_rows(struct chunk_context *c, size_t first, size_t rows)
{
    const struct mlp_pass *pass = c->pass;
    const size_t m0 = mlp_n_inputs(pass->net);
    double *own = pass->space->arenas[0].x + first * m0;
    const double *x = mlp_rows(pass->x, pass->order, pass->place + c->row + first, rows, own);
    if (x != own && mlp_rows_in_place(pass->x, c->rows) == NULL)
        x = memcpy(own, x, rows * m0 * sizeof *x);
    if (first == 0)
        c->x = x;
    return x;
}

static void read_task(void *context, size_t thread, size_t part)
{
    struct chunk_context *c = context;
    size_t first;
    const size_t rows = part_rows(c, part, &first);
    (void)thread;
    if (rows > 0)
        read_rows(c, first, rows);
}

/* The phase's layers, of the part's instances. */
static void rows_task(void *context, size_t thread, size_t part)
{
    struct chunk_context *c = context;
    const struct mlp_pass *pass = c->pass;
    const struct mlp_network *net = pass->net;
    const struct mlp_arena *arena = &pass->space->arenas[0];
    double *panel = pass->space->arenas[thread].panel;
    size_t first;
    const size_t rows = part_rows(c, part, &first);
    if (rows == 0)
        return;
    const double *x = c->from == 0 && c->lists == NULL ? read_rows(c, first, rows) : NULL;
    for (size_t l = c->from; l < c->to; l++)
        forward_layer(pass, arena, l, c->row + first, first, rows,
                      l ? arena->a[l - 1] + first * net->layers[l].m_in : x, 0,
                      net->layers[l].m_out, panel);
    if (c->output)
        output_layer(pass, arena, c->row + first, first, rows);
    if (pass->gradient != NULL)
        mlp_deltas(net, c->back, c->down, first, rows, arena->a, arena->delta, panel);
}

/* Layers[from], the part's columns. */
static void forward_columns_task(void *context, size_t thread, size_t part)
{
    const struct chunk_context *c = context;
    const struct mlp_network *net = c->pass->net;
    const struct mlp_arena *arena = &c->pass->space->arenas[0];
    const size_t l = c->from, m = net->layers[l].m_out;
    forward_layer(c->pass, arena, l, c->row, 0, c->rows, l ? arena->a[l - 1] : c->x,
                  mlp_part(m, c->parts, part), mlp_part(m, c->parts, part + 1),
                  c->pass->space->arenas[thread].panel);
}

/* Through layers[back], the part's columns. */
static void delta_columns_task(void *context, size_t thread, size_t part)
{
    const struct chunk_context *c = context;
    const struct mlp_network *net = c->pass->net;
    const struct mlp_arena *arena = &c->pass->space->arenas[0];
    const size_t l = c->back, m = net->layers[l].m_in;
    mlp_layer_delta(net, l, c->rows, arena->delta[l], mlp_derivable(net, arena->a, l - 1, 0),
                    mlp_part(m, c->parts, part), mlp_part(m, c->parts, part + 1),
                    arena->delta[l - 1], mlp_carried(net, arena->delta, 0),
                    c->pass->space->arenas[thread].panel);
}

static void parameters_task(void *context, size_t thread, size_t part)
{
    const struct chunk_context *c = context;
    const struct mlp_pass *pass = c->pass;
    const struct mlp_arena *arena = &pass->space->arenas[0];
    mlp_gradient_part(pass->net, c->parts, part, c->rows, c->x, c->lists, arena->a, arena->delta,
                      c->first, c->gradient, pass->space->arenas[thread].panel, c->penalty, c->step,
                      pass->n_ranges > 1 || pass->keep);
}

static void run_phase(struct chunk_context *c, mlp_task task)
{
    mlp_team_run(c->pass->team, c->parts, c->parts, task, c);
}

static int by_columns(const struct chunk_context *c, size_t l)
{
    return !(l == 0 && c->lists != NULL) &&
           mlp_by_columns(&c->pass->net->layers[l], c->rows, c->parts);
}

/* Down from layers[l] to where the columns of a layer are shared, or the first. */
static size_t down_from(const struct chunk_context *c, size_t l)
{
    while (l > 0 && !by_columns(c, l))
        l--;
    return l;
}

/* Forward, the output and deltas, in phases: layers whose rows are shared follow each other without
 * a barrier, and one whose columns are shared stands between two. */
static void forward_and_deltas(struct chunk_context *c)
{
    const struct mlp_pass *pass = c->pass;
    const size_t L = pass->net->n_layers;
    if (by_columns(c, 0)) {
        if (pass->order == NULL && mlp_rows_in_place(pass->x, c->rows) != NULL)
            c->x = mlp_rows(pass->x, NULL, pass->place + c->row, c->rows, NULL);
        else
            run_phase(c, read_task);
    }
    for (size_t l = 0; l < L || !c->output;) {
        c->from = l;
        if (l < L && by_columns(c, l)) {
            run_phase(c, forward_columns_task);
            l++;
            continue;
        }
        while (l < L && !by_columns(c, l))
            l++;
        c->to = l;
        if (l == L) {
            c->output = 1;
            c->back = L - 1;
            c->down = down_from(c, L - 1);
        }
        run_phase(c, rows_task);
    }
    c->from = c->to = L;
    c->output = 0;
    while (pass->gradient != NULL && c->down > 0) {
        c->back = c->down;
        run_phase(c, delta_columns_task);
        c->back = c->down - 1;
        c->down = down_from(c, c->back);
        if (c->down < c->back)
            run_phase(c, rows_task);
    }
}

static int advance_chunk(struct mlp_pass *pass)
{
    const struct mlp_network *net = pass->net;
    struct mlp_range *range = &pass->ranges[pass->range];
    const size_t start = mlp_part(pass->n, pass->n_ranges, pass->range);
    const size_t left = end_of(pass, pass->range) - range->row, most = pass->space->arenas[0].rows;
    struct chunk_context c = {.pass = pass, .row = range->row, .rows = left < most ? left : most};
    c.first = range->row == start;
    c.gradient = pass->gradient;
    if (pass->gradient != NULL && pass->n_ranges > 1)
        c.gradient = pass->space->partial + pass->range * net->n_parameters;
    c.rows = fitting(pass, &pass->space->arenas[0], c.row, c.rows);
    const struct mlp_lists lists = lists_of(pass, &pass->space->arenas[0], c.row, c.rows);
    c.lists = takes_lists(pass) ? &lists : NULL;
    const double rows = (double)c.rows, P = (double)net->n_parameters;
    const int last = range->row + c.rows == range_end(pass, pass->range);
    if (c.lists == NULL) {
        pass->work = rows * (row_work(pass) + P);
        c.parts = mlp_team_size(pass->team, net->grain, rows * row_work(pass));
    } else {
        pass->work = lists_work(pass, c.lists);
        c.parts = mlp_team_size(pass->team, net->grain, pass->work);
    }
    forward_and_deltas(&c);
    net->kernels->accumulate(c.rows, c.row - start, pass->space->arenas[0].c, range->sum);
    range->row += c.rows;
    if (last && pass->n_ranges == 1 && !pass->piece) {
        range->cost = mlp_pair_lanes(range->sum);
        add_costs(pass);
        add_penalty(pass);
        c.penalty = mlp_penalises(&pass->penalty) ? &pass->penalty : NULL;
        c.step = step_of(pass);
    }
    if (pass->gradient != NULL)
        run_phase(&c, parameters_task);
    if (pass->n_ranges > 1)
        return finish_ranges(pass);
    return last;
}

/* ---- instances that are elsewhere ---- */

/* The sum comes at once, for as much work as lets the caller look up soon; where it does not come, there is
 * none left for anything else. */
static int advance_elsewhere(struct mlp_pass *pass)
{
    const struct mlp_network *net = pass->net;
    const struct mlp_request request = {
        .kind = pass->gradient == NULL ? MLP_SUM_COST : MLP_SUM_GRADIENT,
        .validation = pass->validation,
        .parameters = net->parameters,
        .n = pass->n,
        .order = pass->order == NULL ? NULL : pass->order + pass->begin,
        .begin = pass->begin,
        .masks = mlp_mask_words(net) > 0 ? &pass->masks : NULL};
    double cost[2];
    pass->work = HUGE_VAL;
    if (!pass->elsewhere->sum(pass->elsewhere->context, &request, cost, pass->gradient))
        return 0;
    pass->work = MLP_PORTION;
    pass->range = pass->n_ranges;
    pass->cost = mlp_pair_normalise((struct mlp_pair){cost[0], cost[1]});
    add_penalty(pass);
    if (pass->gradient != NULL && mlp_penalises(&pass->penalty))
        mlp_penalise(net, &pass->penalty, 0, net->n_parameters, pass->gradient);
    if (pass->gradient != NULL && step_of(pass) != NULL)
        mlp_step_take(pass->step, net, 0, net->n_parameters);
    return 1;
}

int mlp_pass_advance(struct mlp_pass *pass)
{
    if (pass->elsewhere != NULL)
        return advance_elsewhere(pass);
    if (pass->range == pass->first && pass->ranges[pass->first].row == pass->from &&
        takes_lists(pass))
        pass->finite = mlp_lists_finite(pass->net, pass->team);
    if (!get_ready(pass)) {
        pass->work = HUGE_VAL; /* nobody goes on with it */
        return 0;
    }
    if (pass->n_ranges == 1)
        return advance_chunk(pass);
    const size_t count = ranges_ready(pass);
    const size_t left = pass->last - pass->range;
    const size_t wanted = left < pass->team->n_threads ? left : pass->team->n_threads;
    return count < wanted ? advance_chunk(pass) : advance_ranges(pass, count);
}
