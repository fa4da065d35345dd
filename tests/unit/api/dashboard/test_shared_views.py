"""Parts of pages that tabs share: made once for some seconds, and never for another key."""

from api.dashboard.shared_views import SHARED_S, SharedViews


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_part_is_made_once_until_its_time_is_over() -> None:
    clock = Clock()
    views, made = SharedViews[str](clock), list[str]()

    def make() -> str:
        made.append(f"part {len(made)}")
        return made[-1]

    assert [views.get("a", make), views.get("a", make), views.get("b", make)] == [
        "part 0",
        "part 0",
        "part 1",
    ]
    clock.now = SHARED_S + 0.1
    assert views.get("a", make) == "part 2"
