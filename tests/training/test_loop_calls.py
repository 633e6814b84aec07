"""How many steps go into each call of the device."""

from types import SimpleNamespace

from convnets.training.duration import Clock
from convnets.training.loop import Loop


def calls(*, steps, steps_per_dispatch, every="1000 steps", resolutions=(), starts=(0,)):
    clock = Clock(10, 100)
    plan = SimpleNamespace(
        steps=steps,
        evaluate_every=clock.duration(every),
        checkpoint_every=clock.duration("0 steps"),
        resolutions=resolutions,
        phases=[SimpleNamespace(start=start) for start in starts],
    )
    config = SimpleNamespace(train=SimpleNamespace(steps_per_dispatch=steps_per_dispatch))
    loop = Loop(config, None, plan, None, None, None, None)
    return list(loop._sizes())


def test_calls_end_where_something_is_due():
    assert calls(steps=10, steps_per_dispatch=4) == [4, 4, 2]
    assert calls(steps=10, steps_per_dispatch=4, every="5 steps") == [4, 1, 4, 1]


def test_images_of_one_call_have_one_size():
    assert calls(steps=12, steps_per_dispatch=4, resolutions=((0, 32), (3, 48), (9, 64))) == [3, 4, 2, 3]


def test_no_call_reaches_past_a_change_of_what_is_frozen():
    assert calls(steps=9, steps_per_dispatch=4, starts=(0, 3, 8)) == [3, 4, 1, 1]
