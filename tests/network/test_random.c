/* The random numbers against words that NumPy's Philox bit generator gave for the same key, and
 * against the rules in random.c. */
#include "check.h"

#include "mlp.h"

/* numpy.random.Philox(key=[123456789, 987654321]).random_raw(9) */
static const uint64_t WORDS[] = {0x6706e62d61821e23, 0xe4c8441b53f8ebf7, 0xe04e8b4644f92c55,
                                 0x62319c42b8b9a2ce, 0xd49c105779b1e396, 0xa1477727d9cda34c,
                                 0x522cc8d315487109, 0x306213f1d5603940, 0xc0f7ce224d8d3d5a};

static double expected(size_t word)
{
    return 3.0 * (2.0 * ((double)(WORDS[word] >> 11) * 0x1p-53) - 1.0);
}

int main(void)
{
    double out[9];
    /* From any word on: the position is all the state there is. */
    for (size_t begin = 0; begin < 9; begin++) {
        struct mlp_stream stream = {{123456789, 987654321}, begin};
        mlp_random_uniform(&stream, 9.0, 1.0, 9 - begin, out);
        CHECK(stream.position == 9);
        for (size_t i = begin; i < 9; i++)
            CHECK(out[i - begin] == expected(i));
    }

    size_t order[1000];
    int seen[1000] = {0};
    struct mlp_stream stream = {{1, 2}, 0};
    mlp_random_permutation(&stream, 1000, order);
    CHECK(stream.position == 999);
    for (size_t i = 0; i < 1000; i++)
        seen[order[i]]++;
    for (size_t i = 0; i < 1000; i++)
        CHECK(seen[i] == 1);
    mlp_random_permutation(&stream, 1, order);
    CHECK(stream.position == 999 && order[0] == 0);

    enum { N = 100001 };
    static double normal[N];
    double mean = 0.0, variance = 0.0;
    mlp_random_normal(&stream, mlp_isa_best(), 4.0, 1.0, N, normal);
    for (size_t i = 0; i < N; i++) {
        mean += normal[i] / N;
        variance += normal[i] * normal[i] / N;
    }
    /* Five standard errors: 5 x 2 / sqrt(N) and 5 x 4 sqrt(2 / N). */
    CHECK(fabs(mean) < 0.032 && fabs(variance - 4.0) < 0.09);
    return report("test_random");
}
