"""A call of ``Network.fit``: its arguments, its loop, what it remembers, and the solver it chooses.

`run` has the loop, `arguments` what it is told, `state` what is resumed, `choice` the solver where
none is given; `gradient_check` compares a gradient with differences of the cost.
"""
