"""Networks as C: plain layers in, text of one C99 file out.

`write` is the way in: it checks what is asked for and puts the parts together. Each part returns
text: `arithmetic` how the file rounds, `functions64` and `functions32` the activations, `layers`
weights and the loops over them, `forward`, `jacobian`, `training` and `casadi` what is called,
`vectors` the file's test of itself. `texts` has what all of them use.

The order of operations, which makes the results those of the library to the bit. For one row
z_j = b_j, then z_j = fma(a_k, w_kj, z_j) for ascending k, and a_j = g(z_j); a layer that is skipped
adds its input to that. Backwards e_k = 0, or what the skip has carried, then
e_k = fma(delta_j, w_kj, e_k) for ascending j, and delta_k = e_k g'. A step's gradient is
fma(a_k, delta_j, 0) for w_kj and fma(1, delta_j, 0) for b_j. Sums over units - of softmax, of costs
- are chains of plain additions in ascending order. The scalings are a subtraction and a division, a
product and a sum, each rounded. For machines without FMA each fma is a product and a sum, both
rounded: that is the class "base".
"""
