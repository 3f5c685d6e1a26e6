/* What the pool learns of a worker, at times that the test gives: what counts, for how long, and what is a
 * bad sign. */
#include "check.h"

#include "network/advice.h"
#include "network/clock.h"
#include "network/look.h"

static const enum mlp_sign BAD[] = {MLP_SIGN_SHARED_CORE, MLP_SIGN_SAME, MLP_SIGN_LATE,
                                    MLP_SIGN_HELD_UP};
enum { N_BAD = sizeof BAD / sizeof BAD[0] };

static struct mlp_advice fresh(double now)
{
    struct mlp_advice a;
    mlp_advice_start(&a, now);
    return a;
}

/* How long a bad sign counts that is seen at `now`. */
static double duration(struct mlp_advice *a, enum mlp_sign sign, double now)
{
    mlp_advice_note(a, sign, now);
    CHECK(mlp_advice_bad(a, now));
    double t = 0.0;
    while (t < 10.0 && mlp_advice_bad(a, now + t))
        t += 1e-4;
    return t;
}

static void test_nothing_is_known(void)
{
    struct mlp_advice a = fresh(7.0);
    CHECK(!mlp_advice_bad(&a, 7.0));
    CHECK(mlp_advice_due(&a, 7.0)); /* the first run looks */
    CHECK(a.changes == 0);
}

static void test_good_counts_until_the_next_look(void)
{
    struct mlp_advice a = fresh(1.0);
    mlp_advice_note(&a, MLP_SIGN_GOOD, 1.0);
    CHECK(!mlp_advice_bad(&a, 1.0) && !mlp_advice_due(&a, 1.005));
    CHECK(!mlp_advice_bad(&a, 1.02) && mlp_advice_due(&a, 1.02));
    CHECK(a.changes == 0);
}

static void test_bad_counts_for_milliseconds(void)
{
    for (int i = 0; i < N_BAD; i++) {
        struct mlp_advice a = fresh(1.0);
        const double t = duration(&a, BAD[i], 2.0);
        CHECK(t > 4e-3 && t < 0.05);
        CHECK(mlp_advice_due(&a, 2.0 + t)); /* the first run thereafter looks */
        CHECK(a.changes == 1);
    }
}

/* Each time for longer, up to a bound, which is short where only the host moves the processors. */
static void test_bad_again(void)
{
    for (int i = 0; i < N_BAD; i++) {
        struct mlp_advice a = fresh(1.0);
        double now = 2.0, before = duration(&a, BAD[i], now), first = before, longest = before;
        for (int k = 0; k < 12; k++) {
            now += before + 1e-3;
            const double t = duration(&a, BAD[i], now);
            CHECK(t > before - 2e-4);
            before = longest = t;
        }
        CHECK(longest > 3.0 * first);
        CHECK(longest < (BAD[i] == MLP_SIGN_SHARED_CORE ? 0.025 : 0.4));
        CHECK(a.changes == 1); /* bad all the time */
        /* One good look does not make up for it, and long good times do. */
        mlp_advice_note(&a, MLP_SIGN_GOOD, now + before + 1e-3);
        CHECK(a.changes == 2);
        now += before + 2e-3;
        before = duration(&a, BAD[i], now);
        CHECK(before > longest - 2e-4);
        CHECK(a.changes == 3);
        const double t = duration(&a, BAD[i], now + 10.0);
        CHECK(fabs(t - first) < 2e-4);
    }
}

static void test_misses(void)
{
    struct mlp_advice a = fresh(1.0);
    mlp_advice_note(&a, MLP_SIGN_GOOD, 1.1);
    /* Short runs in which it had no time to begin. */
    mlp_advice_miss(&a, 2.0, 2.00001);
    mlp_advice_miss(&a, 2.0001, 2.00011);
    CHECK(!mlp_advice_bad(&a, 2.0002));
    mlp_advice_begun(&a);
    mlp_advice_miss(&a, 2.01, 2.01001);
    CHECK(!mlp_advice_bad(&a, 2.0102));
    /* It has not begun for milliseconds, in several runs or in one. */
    mlp_advice_miss(&a, 2.0120, 2.0121);
    CHECK(mlp_advice_bad(&a, 2.0122));
    CHECK(a.sign == MLP_SIGN_LATE);
    CHECK(!mlp_advice_bad(&a, 3.0));
    mlp_advice_miss(&a, 4.0, 4.004);
    CHECK(mlp_advice_bad(&a, 4.005));
    /* The look that was under way when another sign was seen begins anew. */
    CHECK(a.missed == 0.0);
}

static void test_a_new_thread_has_time_to_start(void)
{
    struct mlp_advice a = fresh(1.0);
    mlp_advice_miss(&a, 1.0, 1.003);
    CHECK(!mlp_advice_bad(&a, 1.003));
    mlp_advice_miss(&a, 1.0, 1.02);
    CHECK(mlp_advice_bad(&a, 1.02));
}

static void test_what_looks_say(void)
{
    CHECK(mlp_advice_look(4e-5, 0, 1.05) == MLP_SIGN_GOOD);
    CHECK(mlp_advice_look(4e-5, 0, 1.9) == MLP_SIGN_SHARED_CORE);
    CHECK(mlp_advice_look(4e-3, 0, 1.05) == MLP_SIGN_LATE);
    CHECK(mlp_advice_look(4e-5, 1, 0.0) == MLP_SIGN_SAME);
}

static void test_held_up(void)
{
    CHECK(!mlp_advice_held_up(1e-3, 4e-4)); /* the worker's last part was longer */
    CHECK(mlp_advice_held_up(1e-3, 3e-3));
    CHECK(!mlp_advice_held_up(-1.0, 1e-4));
    CHECK(mlp_advice_held_up(-1.0, 3e-3));
    CHECK(!mlp_advice_held_up(1.0, 0.1));
}

static void test_a_look(void)
{
    struct mlp_look look = {0};
    mlp_look_ask(&look);
    CHECK(look.wanted && !look.taken && look.alone > 0.0);
    look.processor = mlp_processor() + 1; /* another one, wherever this runs */
    mlp_look_take(&look);
    CHECK(!look.wanted && look.taken);
    CHECK(look.sign == MLP_SIGN_GOOD || look.sign == MLP_SIGN_SHARED_CORE ||
          look.sign == MLP_SIGN_LATE || look.sign == MLP_SIGN_SAME);
}

int main(void)
{
    test_nothing_is_known();
    test_good_counts_until_the_next_look();
    test_bad_counts_for_milliseconds();
    test_bad_again();
    test_misses();
    test_a_new_thread_has_time_to_start();
    test_what_looks_say();
    test_held_up();
    test_a_look();
    return report("advice");
}
