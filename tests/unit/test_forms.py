"""The forms as Prefect's run form shows them, and what comes back from it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError
from support.deployments import SPECS

from deployments.spec import DeploymentSpec
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.inbox_form import InboxForm
from reelflow.errors import InputError
from reelflow.fields import ADVANCED, Form
from reelflow.form_schema import FOLDED, TITLES, choices_of, for_people
from reelflow.phones.form import EngageForm, ManageForm
from reelflow.phones.limits import Guardrails, read_phones
from reelflow.phones.requests import usernames
from reelflow.posts.form import PostForm
from reelflow.posts.schedule import read_time
from reelflow.video.folder import video_files

POST = {"video": "bread.mp4", "accounts": ["TikTok"]}
FORMS = {"publish-video": "PostForm", "comment-on-posts": "CommentForm", "publish-and-engage": "EngageForm",
         "manage-phone-tasks": "ManageForm", "post-from-phones": "PhonePostForm"}  # fmt: skip
SENT = {"scheduled_for": {}, ADVANCED: {}}
"""What the run form sends along where nothing was changed."""


def _schema(spec: DeploymentSpec = SPECS["publish-video"]) -> dict[str, Any]:
    return parameter_schema(spec.load()).model_dump()


def _problems(post: dict[str, Any], schema: dict[str, Any] | None = None) -> list[str]:
    """What the server refuses about a post."""
    made = schema or _schema()
    return [error.message for error in _validator(made, "PostForm").iter_errors(post)]


def _validator(schema: dict[str, Any], form: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/definitions/{form}", "definitions": schema["definitions"]})


def test_what_the_form_sends_is_the_form() -> None:
    """Folded or not, "Now" or a time."""
    assert PostForm.model_validate(POST | SENT) == PostForm.model_validate(POST)
    assert PostForm.model_validate(POST | {ADVANCED: {"repeat": 2}}).repeat == 2
    assert PostForm.model_validate(POST | {"repeat": 2}).repeat == 2
    assert PostForm.model_validate(POST | {ADVANCED: None, "scheduled_for": None}).scheduled_for is None
    assert PostForm.model_validate(POST | {"scheduled_for": "27 Nov 18:00"}).scheduled_for == "27 Nov 18:00"


@pytest.mark.parametrize("name", SPECS)
def test_no_field_is_called_as_a_block_is(name: str) -> None:
    """Both are in one form: messages name a field by its title."""
    fields = [form["properties"] for form in _schema(SPECS[name])["definitions"].values() if "properties" in form]
    folded = [b["properties"] for each in fields for b in each.get(ADVANCED, {}).get("anyOf", ())]

    titles = {field.get("title") for each in (*fields, *folded) for field in each.values()}

    assert titles.isdisjoint(TITLES.values())


@pytest.mark.parametrize(
    "post",
    [
        POST | SENT,
        POST | {"scheduled_for": "27 Nov 18:00", ADVANCED: {}},
        POST | {"scheduled_for": {}, ADVANCED: {"repeat": 2}},
        POST,
        POST | {"repeat": 2, "watch_minutes": 5},
        POST | {"scheduled_for": "2026-11-27T18:00:00Z"},
    ],
    ids=str,
)
def test_the_server_takes_what_the_form_sends_and_what_scripts_sent_before(post: dict[str, Any]) -> None:
    """Advanced fields by their own names, too: earlier schedules have them so."""
    assert _problems(post) == []
    assert PostForm.model_validate(post)


@pytest.mark.parametrize(
    ("post", "words"),
    [
        (POST | {ADVANCED: {}}, "'scheduled_for' is a required property"),  # "At", and no time
        (POST | {"scheduled_for": " ", ADVANCED: {}}, "not valid under any"),
        (POST | {"repeats": 2}, "'repeats' does not match any of the regexes"),
        (POST | {"repeat": -1}, "-1 is less than the minimum"),
        (POST | {"scheduled_for": {}, ADVANCED: {"repeats": 2}}, "not valid under any"),
        ({"accounts": ["TikTok"]}, "'video' is a required property"),
    ],
    ids=str,
)
def test_the_server_refuses_what_cannot_be_meant(post: dict[str, Any], words: str) -> None:
    """Above all the tab "At" without a time, which must not publish now."""
    assert any(words in problem for problem in _problems(post))


@pytest.mark.parametrize(
    ("name", "fields"),
    [("publish-video", {"accounts": ["TikTok", None]}),
     ("publish-video", {"accounts": [None]}),
     ("comment-on-posts", {"post_urls": ["u", None], "comments": [None, "c"], "devices": [None, "R1"]}),
     ("publish-and-engage", {"comments": [None], "advanced": {"warm_up_topics": ["a", None]}}),
     ("manage-phone-tasks", {"task_ids": [None, 3], "request_ids": [None]}),
     ("post-from-phones", {"devices": ["R1"], "advanced": {"material_tags": [None]}})],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("lists", [{}, {"accounts": ["all"], "phones": ["all"], "usernames": ["all"]}], ids=str)
def test_a_row_that_is_left_empty_is_taken(name: str, fields: dict[str, Any], lists: dict[str, list[str]]) -> None:
    """Both UIs send it as null, and would say "None is not of type 'string'"."""
    schema = for_people(_schema(SPECS[name]), lists)

    problems = [error.message for error in _validator(schema, FORMS[name]).iter_errors(fields)]

    assert [problem for problem in problems if "is a required property" not in problem] == []


@pytest.mark.parametrize("lists", [{}, {"phones": ["all"], "usernames": ["all"]}], ids=["typed", "with lists"])
def test_a_form_that_need_not_be_filled_in_is_behind_a_tab(lists: dict[str, list[str]]) -> None:
    """Its other tab sends an empty object, which is the form with its defaults; what somebody fills in is checked."""
    schema = for_people(_schema(SPECS["publish-campaign"]), lists)
    nothing, reference = schema["properties"]["engage"]["anyOf"]
    validator = Draft202012Validator(schema["properties"]["engage"] | {"definitions": schema["definitions"]})

    assert (nothing["title"], schema["definitions"]["EngageForm"]["title"]) == ("Nothing", "Warm up, comment")
    assert reference == {"$ref": "#/definitions/EngageForm"}
    assert EngageForm.model_validate(schema["properties"]["engage"]["default"]) == EngageForm()
    assert list(validator.iter_errors({"devices": ["all"], "comments": ["Hi"], ADVANCED: {}})) == []
    assert list(validator.iter_errors({"warm_up_seconds": -1}))


def test_rows_of_a_list_are_still_shown_as_text_and_numbers() -> None:
    """The UIs look up a definition under the key as it is written in the reference."""
    schema = for_people(_schema(SPECS["manage-phone-tasks"]), {})
    fields = schema["definitions"]["ManageForm"]["properties"]

    for name, kind in (("request_ids", "string"), ("task_ids", "integer")):
        key = fields[name]["items"]["$ref"].removeprefix("#/definitions/")
        assert schema["definitions"][key] == {"type": kind}


def test_a_row_that_is_left_empty_is_ignored() -> None:
    """Only of a list that must have something, one is kept, so that the sentence about that field can be said."""
    assert PostForm.model_validate(POST | {"accounts": [None, "TikTok", "", " "]}).accounts == ["TikTok"]
    assert PostForm.model_validate(POST | {"accounts": [None]}).accounts == [""]
    assert ManageForm.model_validate({"task_ids": [None, 3], "request_ids": [None]}).task_ids == [3]
    assert ManageForm.model_validate({"request_ids": [None]}).request_ids == []
    assert EngageForm.model_validate({ADVANCED: {"warm_up_topics": [None, "a"]}}).warm_up_topics == ["a"]


def test_a_name_that_no_field_has_is_refused_in_the_fold_too() -> None:
    with pytest.raises(ValidationError, match="repeats"):
        PostForm.model_validate(POST | {ADVANCED: {"repeats": 2}})


@pytest.mark.parametrize("form", [PostForm, CampaignForm, InboxForm])
def test_a_form_that_is_not_valid_shows_nothing_that_was_given(form: type[Form]) -> None:
    """The address of a video or a plan may hold a key."""
    address = "https://a.example/a.mp4?key=SIGNATURE"

    with pytest.raises(ValidationError, match="wrong") as error:
        form.model_validate({"video": address, "plan": address, "folder": address, "wrong": address})
    assert "SIGNATURE" not in f"{error.value} {error.value!r}"


def test_a_list_of_files_says_what_a_file_may_be() -> None:
    """Either tab is shown alone: who chooses would read it nowhere else."""
    schema = for_people(_schema(), {"videos": ["bread.mp4"]})

    choose, typed = schema["definitions"]["PostForm"]["properties"]["video"]["anyOf"]
    assert choose["enum"] == ["bread.mp4"]
    assert choose["description"] == typed["description"] != ""


@pytest.mark.parametrize("number", [1, 2, 50])
def test_accounts_are_offered_and_can_still_be_typed(number: int) -> None:
    """A list to choose from, beside rows to type in: a default that has vanished since stays valid."""
    names = [f"TikTok @shop{n}" for n in range(number)]

    schema = for_people(_schema(), {"accounts": ["all", *names]})

    choose, typed = schema["definitions"]["PostForm"]["properties"]["accounts"]["anyOf"]
    assert (choose["title"], choose["items"]["enum"]) == ("Choose", ["all", *names])
    assert (typed["title"], typed["type"]) == ("Type", "array")
    assert "description" not in choose
    for accounts in ([names[0]], ["TikTok @gone"], ["64f1c0de00000000000000a1"]):
        assert _problems(POST | {"accounts": accounts}, schema) == []
    assert _problems(POST | {"accounts": []}, schema)


def test_without_accounts_there_is_only_the_field_to_type_in() -> None:
    """Also where there were some before."""
    before = for_people(_schema(), {"accounts": ["all", "TikTok"]})

    assert for_people(before, {}) == for_people(_schema(), {})
    assert "anyOf" not in for_people(before, {})["definitions"]["PostForm"]["properties"]["accounts"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_lists_are_replaced_and_read_back(spec: DeploymentSpec) -> None:
    """What is stored with a deployment is the start for the next refresh; the same lists change nothing."""
    lists = {"accounts": ["all", "A"], "phones": ["all", "P"], "usernames": ["all", "u"], "videos": ["v.mp4"]}
    first = for_people(_schema(spec), lists, "Europe/Berlin")

    assert for_people(first, choices_of(first), "Europe/Berlin") == first
    found = choices_of(first)
    assert found == {name: lists[name] for name in found}
    other = for_people(first, {name: [*values, "new"] for name, values in lists.items()}, "Europe/Berlin")
    assert all("new" in values for values in choices_of(other).values())


def test_the_help_names_the_time_zone_in_which_times_are_written() -> None:
    """The one of setup; without one, none."""
    field = for_people(_schema(), {}, "Europe/Berlin")["definitions"]["PostForm"]["properties"]["scheduled_for"]
    moved = for_people(for_people(_schema(), {}, "Europe/Berlin"), {}, "Asia/Tokyo")

    assert "27 Nov 18:00 (Europe/Berlin)." in field["description"]
    assert "(Asia/Tokyo)" in moved["definitions"]["PostForm"]["properties"]["scheduled_for"]["description"]
    assert "{zone}" not in str(_schema()["definitions"]["PostForm"]["properties"]["scheduled_for"]["description"])


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_parameters_have_titles_for_people(spec: DeploymentSpec) -> None:
    """Prefect shows their names in code, and a block that need not be chosen as the tabs "TikMatrixHost | None"."""
    shown = for_people(_schema(spec), {})

    assert all(each["title"][0].isupper() and "_" not in each["title"] for each in shown["properties"].values())
    assert all("$ref" in each or "type" in each or name in FOLDED for name, each in shown["properties"].items())
    assert not {"host", "chatgpt"} & {*shown.get("required", ())} or spec.for_phones
    assert not any("description" in definition for definition in shown["definitions"].values())
    assert for_people(shown, {}) == shown


NOW = datetime(2026, 11, 26, 12, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27 18:00", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        ("2026-11-27T18:00:00+01:00", datetime(2026, 11, 27, 17, tzinfo=UTC)),
        ("27 Nov 18:00", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        ("Fri 27 Nov, 18:00", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        (" 27  november 2026 18:00 ", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        ("27.11.2026 18:00", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        ("27.11. 9:05", datetime(2026, 11, 27, 9, 5)),  # noqa: DTZ001
        ("3 Jan 9:05", datetime(2027, 1, 3, 9, 5)),  # noqa: DTZ001
        ("25 Nov 18:00", datetime(2026, 11, 25, 18)),  # noqa: DTZ001 - the past is refused later, not next year
        ("2026-11-27 18.30", datetime(2026, 11, 27, 18, 30)),  # noqa: DTZ001
        ("2026-11-27 6.45", datetime(2026, 11, 27, 6, 45)),  # noqa: DTZ001
        ("27.11.2026 18.30.15", datetime(2026, 11, 27, 18, 30, 15)),  # noqa: DTZ001
        ("27 Nov at 6.45 pm", datetime(2026, 11, 27, 18, 45)),  # noqa: DTZ001
        ("Nov 27 18:00", datetime(2026, 11, 27, 18)),  # noqa: DTZ001
        ("Friday, November 27, 2026 at 6:45 pm", datetime(2026, 11, 27, 18, 45)),  # noqa: DTZ001
        ("Jan. 3, 9:05", datetime(2027, 1, 3, 9, 5)),  # noqa: DTZ001
        ("2026-11-27t17:00:00.5Z", datetime(2026, 11, 27, 17, 0, 0, 500_000, UTC)),
        ("20261127 12:00-0530", datetime(2026, 11, 27, 17, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, expected: datetime) -> None:
    """With the year that is meant where none is written."""
    assert read_time(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tomorrow 18:00", "cannot be read. Write the date and the time, such as 2026-11-27 18:00"),
        ("03/04/2026 10:00", "cannot be read"),
        (" ", "The time is empty. Write"),  # an empty time must never mean now
        ("2026-11-27", "cannot be read"),
        ("31 Feb 10:00", "cannot be read"),
        ("27 Nov 25:00", "cannot be read"),
        ("Thu 27 Nov 18:00", "27 November 2026 is a Friday, not a Thu"),
        ("Thu, Nov 27 18:00", "27 November 2026 is a Friday, not a Thu"),
        ("Nov 31 18:00", "cannot be read"),
        ("Fri 27 18:00", "cannot be read"),
        ("2026-11-27 18,30", "cannot be read"),  # ISO 8601 has fractions of an hour; people mean minutes
        ("2026-11-27 18:30.15", "cannot be read"),
        ("2026-11-27 09-17", "cannot be read"),  # a span, and not an offset
        ("2026-11-27 09:00-17:00", "cannot be read"),
        ("2026-11-27 18", "cannot be read"),
        ("2026-11-27 24:00", "cannot be read"),
        ("2026-11-27-18:30", "cannot be read"),
        ("03-04-2026 18:00", "cannot be read"),
        ("27.11 18.30.15.10", "cannot be read"),
    ],
)
def test_a_time_with_two_meanings_or_none_is_refused(text: str, words: str) -> None:
    """A word such as "tomorrow" would be another post when the run is started again."""
    with pytest.raises(InputError, match=words):
        read_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("28 Dec 18:00", datetime(2026, 12, 20), datetime(2026, 12, 28, 18)),  # noqa: DTZ001
        ("28 Dec 18:00", datetime(2027, 1, 2), datetime(2026, 12, 28, 18)),  # noqa: DTZ001
        ("28 Dec 18:00", datetime(2027, 6, 1), datetime(2026, 12, 28, 18)),  # noqa: DTZ001
        ("28 Dec 18:00", datetime(2027, 7, 1), datetime(2027, 12, 28, 18)),  # noqa: DTZ001
        ("29 Feb 18:00", datetime(2027, 12, 1), datetime(2028, 2, 29, 18)),  # noqa: DTZ001
    ],
)
def test_a_date_without_a_year_is_the_nearest_one(text: str, now: datetime, expected: datetime) -> None:
    """A plan that is started again after the turn of the year means the days of the old one."""
    assert read_time(text, now.replace(tzinfo=UTC)) == expected


def test_phones_are_offered_with_their_accounts() -> None:
    """As they can be typed: the serial alone, or all of it."""
    phones = read_phones(["A1: ada, ada.studio (Instagram)", "B2"])
    rails = Guardrails(phones, {}, ZoneInfo("UTC"))

    assert [phone.name for phone in rails.phones] == ["A1 (ada, ada.studio on Instagram)", "B2"]
    assert usernames(rails) == ["ada", "ada.studio"]


def test_the_videos_of_a_folder_are_offered_the_newest_first(tmp_path: Path) -> None:
    """Those below it too, but nothing hidden, and nothing that is not a video."""
    import os

    for at, name in enumerate(("old.mp4", "week 48/new.MOV", ".hidden.mp4", "notes.txt", ".stfolder/x.mp4")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (at, at))

    assert video_files(tmp_path) == ["week 48/new.MOV", "old.mp4"]
    assert video_files(tmp_path / "nowhere") == []
