"""The scripts on the wire: every documented setting, in the vendor's spelling, accepted by the sandbox."""

from typing import Any, Literal, get_args, get_origin

import pytest

from reelflow.fields import ADVANCED
from reelflow.phones.form import CommentForm, EngageForm, FollowForm, PhoneForm, PhonePostForm, UnfollowForm, WarmUpForm
from reelflow.records.phones import PhoneRequest

URL = "https://www.tiktok.com/@x/video/1"
DOCUMENTED = {
    "post": {
        "content_type", "image_count", "captions", "post_way", "material_source", "material_path", "material_list",
        "materials_tags", "upload_wait_time", "sound_wait_time", "add_sound", "sound_name", "custom_sound_keyword",
        "origin_sound_volume", "add_sound_volume", "add_product_link", "placement",
    },
    "follow": {"target_users", "access_method"},
    "unfollow": {"target_users", "access_method"},
    "account_warmup": {
        "task_duration", "topic", "min_duration", "max_duration", "like_probable", "floow_probable",
        "collect_probable", "comment_probable", "comment", "insert_emoji", "comment_order", "generate_by_chatgpt",
    },
    "comment": {"target_post_urls", "comment_content", "comment_order", "insert_emoji", "comment_image_path"},
}  # fmt: skip
"""TikMatrix's API pages; `chatgpt_settings` comes from its block, and the single forms of a target from the array."""

FULL: list[tuple[PhoneForm, dict[str, Any]]] = [
    (
        WarmUpForm(duration_seconds=60, topics=["bread", " cake "], like_percent=10, follow_percent=5,
                   collect_percent=3, comment_percent=2, comments=["yum"], comment_order="sequential"),
        {"task_duration": 60, "topic": "bread\ncake", "floow_probable": 5, "like_probable": 10, "comment": "yum",
         "comment_order": "sequential", "generate_by_chatgpt": False, "min_duration": 15},
    ),
    (
        CommentForm(post_urls=[URL], comments=["one", "two"], image_path="C:\\a.png"),
        {"target_post_urls": [URL], "comment_content": "one\ntwo", "comment_image_path": "C:\\a.png"},
    ),
    (FollowForm(users=["@ada"], access="search"), {"target_users": ["ada"], "access_method": "search"}),
    (UnfollowForm(users=["ada"]), {"target_users": ["ada"], "access_method": "direct"}),
    (
        PhonePostForm(content="images", image_count=3, captions="{a|b}", post_way="use sound", sound_name="s",
                      material_source="local folder", material_folder="D:\\clips", material_files=["D:\\1.mp4"],
                      material_tags=["a", "b"], added_sound="custom", sound_keyword="rain", original_volume=10,
                      added_volume=90, upload_wait_seconds=5, sound_wait_seconds=6, add_product_link=True),
        {"content_type": 1, "image_count": 3, "captions": "{a|b}", "post_way": "useSound", "sound_name": "s",
         "material_source": "localFolder", "material_path": "D:\\clips", "material_list": ["D:\\1.mp4"],
         "materials_tags": "a,b", "add_sound": "custom", "custom_sound_keyword": "rain", "origin_sound_volume": 10,
         "add_sound_volume": 90, "upload_wait_time": 5, "sound_wait_time": 6, "add_product_link": 1},
    ),
    (PhonePostForm(platform="Instagram", placement="story"), {"placement": "story", "add_sound": "-1"}),
]  # fmt: skip


def make_config(form: PhoneForm) -> dict[str, Any]:
    """The whole ``script_config`` of a form."""
    return PhoneRequest(form.script_name, form.job, form.platform, (), settings=form.settings(),
                        target_field=form.target_field).config([*form.targets().values()])  # fmt: skip


@pytest.mark.parametrize(("form", "wire"), FULL, ids=lambda v: v.job if isinstance(v, PhoneForm) else "")
def test_settings_go_out_as_tikmatrix_writes_them(form: PhoneForm, wire: dict[str, Any], sandbox: Any) -> None:
    """Nothing that is not documented, and the sandbox takes it."""
    form.check()
    config = make_config(form)

    made = sandbox.tikmatrix().create_task(form.script_name, config, serials=["R58N01SANDBOX"])

    assert {name: config[name] for name in wire} == wire
    assert set(config) <= DOCUMENTED[form.script_name]
    assert len(made.task_ids) == 1


def test_every_documented_setting_can_be_set() -> None:
    """None is forgotten."""
    sent: dict[str, set[str]] = {}
    for form, _ in FULL:
        sent.setdefault(form.script_name, set()).update(make_config(form))

    assert sent == DOCUMENTED


def test_fields_have_titles_help_and_an_order() -> None:
    """The form is the documentation; two fields on one place would be shown in an order of chance."""
    for form in (WarmUpForm, CommentForm, FollowForm, UnfollowForm, PhonePostForm, EngageForm):
        fields = dict(form.model_json_schema()["properties"])
        fields |= fields.pop(ADVANCED)["anyOf"][1]["properties"]

        assert all(field.get("title") and "description" in field for field in fields.values())
        assert len({field["position"] for field in fields.values()}) == len(fields), form


def _another(name: str, value: Any, annotation: Any) -> Any:
    """Another value for a field."""
    if name == "post_urls":
        return ["https://www.tiktok.com/@x/video/2"]
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != value)
    if isinstance(value, bool):
        return not value
    return {int: lambda: value + 1, str: lambda: value + "x", list: lambda: [*value, "another"]}[type(value)]()


@pytest.mark.parametrize("form", [form for form, _ in FULL if form.platform == "TikTok"], ids=lambda form: form.job)
def test_every_field_of_a_script_changes_what_is_sent(form: PhoneForm) -> None:
    """A field that people fill in and TikMatrix never gets would be a lie."""

    def effect(of: PhoneForm) -> Any:
        return of.settings(), of.targets(), of.only_followed

    for name in set(type(form).model_fields) - set(PhoneForm.model_fields):
        plain = form.model_copy(update={"platform": "Instagram"}) if name == "placement" else form
        value = _another(name, getattr(plain, name), type(form).model_fields[name].annotation)

        assert effect(plain.model_copy(update={name: value})) != effect(plain), name
