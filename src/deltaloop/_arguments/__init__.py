"""The arguments of networks and trainings, checked: what a user can get wrong, and what says so.

`arrays` has instances and targets, `layers` sizes and activations, `problem` weights of instances
and penalties, `seeds` random numbers and the parameters that are drawn with them.
"""
