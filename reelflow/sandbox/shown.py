"""What GET /sandbox/state and the page show: both services together, as neither of them shows it."""

from __future__ import annotations

from typing import Any

from reelflow.sandbox.catalog import DEVICES
from reelflow.sandbox.records import COMPLETED, Data, PhoneTask, Post
from reelflow.sandbox.taisly import as_state
from reelflow.sandbox.tikmatrix import as_task
from reelflow.sandbox.world import HOUR, World, masked


def state_of(world: World) -> dict[str, Any]:
    """Everything there is. API keys are masked."""
    data = world.data
    return {
        "posts": [_post(post, data) for post in data.posts],
        "phone_tasks": [as_task(task) for task in data.phone_tasks],
        "repost_rules": data.repost_rules,
        "rule_changes": data.rule_changes,
        "keys": {
            "active": [masked(key) for key in data.keys],
            "events": data.key_events,
            "refused_requests": data.dead_key_requests,
        },
        "requests": data.requests,
        "accounts": [account for mine in world.accounts.values() for account in mine],
        "quota": {client: _quota(world, client) for client in world.accounts},
        "devices": DEVICES,
        "plan": world.plan,
        "license": world.license_plan,
        "now": round(world.now() * 1000),
    }


def _quota(world: World, client: str) -> dict[str, int]:
    """How much of its quota a client has used: within an hour until now, in any hour; and what was refused for it."""
    data = world.data
    return {
        "per_hour": world.per_hour,
        "last_hour": sum(at > world.now() - HOUR for at in data.request_times.get(client, [])),
        "most": data.most_requests.get(client, 0),
        "refused": data.requests_over_quota.get(client, 0),
    }


def _post(post: Post, data: Data) -> dict[str, Any]:
    state = as_state(post)
    return {
        **state,
        "width": post.width,
        "height": post.height,
        "seconds": post.seconds,
        "twice": _twice(post, data),
        "comments": [
            _comment(task, result["url"])
            for result in state["result"]
            for task in data.phone_tasks
            if result.get("url") and _is_done_on(task, result["url"])
        ],
    }


def _twice(post: Post, data: Data) -> list[str]:
    """The accounts to which a rule has copied a post that was there already."""
    first = next((each for each in data.posts if each.id == post.repost_of), None)
    others = [each for each in data.posts if each.repost_of == post.repost_of and each.id < post.id] if first else []
    there = {d.account for each in ([first, *others] if first else []) for d in each.destinations}
    return [d.account for d in post.destinations if d.account in there]


def _is_done_on(task: PhoneTask, link: str) -> bool:
    target = str(task.script_args.get("target_post_url") or "")
    return task.script_name == "comment" and task.status == COMPLETED and _plain(target) == _plain(link)


def _plain(link: str) -> str:
    return link.partition("?")[0].rstrip("/")


def _comment(task: PhoneTask, link: str) -> dict[str, Any]:
    """A comment that a phone task has made; its text, if there was only one to choose from."""
    choices = [line for line in str(task.script_args.get("comment_content") or "").splitlines() if line.strip()]
    return {
        "url": link,
        "username": task.script_args.get("username") or "",
        "serial": task.serial,
        "text": choices[0] if len(choices) == 1 else "",
        "choices": len(choices),
        "at": None if task.finished_at is None else round(task.finished_at * 1000),
    }
