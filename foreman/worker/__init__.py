"""The worker: one target, the residencies that it has loaded, and the jobs that run there.

One thread owns a plain `State` (`loop`). Whatever happens is an event; `step` decides, purely, and
returns the new state and the effects to carry out; those run on threads of their own and report
what came of them as events. Nothing of the state is shared, so nothing of it is locked.

    pure      state  events  effects  step (messages, runs, loads, lookout, duties, plan, pulls)
    the rest  loop and what carries out effects
"""
