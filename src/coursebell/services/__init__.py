"""Use cases: one function, one use case, one transaction. Nothing else commits.

Every use case takes the `Registrar` it works in and the `Actor` it works for, checks what that
actor may do, and raises the errors of `coursebell.errors`. Those that take lists answer with one
result or error per item, in order; an item that fails does not touch its neighbours.
"""
