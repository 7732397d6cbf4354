"""Options of commands that are made from the fields of the forms."""

import functools
from typing import Any

import pytest
from cyclopts import App
from pydantic import BaseModel

from deployments.cli import app, main
from deployments.options import COMMANDS, FormOptions, in_options, read_form, with_options_of
from deployments.spec import deployment_specs
from reelflow.errors import InputError
from reelflow.fields import entry
from reelflow.phones.form import (
    CommentForm,
    EngageForm,
    FollowForm,
    ManageForm,
    PhonePostForm,
    UnfollowForm,
    WarmUpForm,
)
from reelflow.posts.form import PostForm, RepostRulesForm

PHONE_FORMS = {
    "warm-up": WarmUpForm, "comment": CommentForm, "follow": FollowForm, "unfollow": UnfollowForm,
    "post": PhonePostForm, "tasks": ManageForm,
}  # fmt: skip


class _Form(BaseModel):
    words: list[str] = entry(1, "Words", "Texts, one per row.", [])
    number: int = entry(0, "A number (of things)", "How many.", 3, ge=1, le=9)
    careful: bool = entry(2, "Careful", "On by default.", True)
    quick: bool = entry(3, "Quick", "Off by default.", False)


def _called_with(*tokens: str) -> dict[str, Any]:
    got: dict[str, Any] = {}

    @with_options_of(FormOptions(_Form))
    def command(*, block: str = "main", **values: Any) -> int:
        got.update(values)
        return 0

    one = App()
    one.default(command)
    one(tokens, result_action="return_value", exit_on_error=False)
    return got


def _options(command: App) -> set[str]:
    return {name for argument in command.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], {}),
        (["--number", "4"], {"number": 4}),
        (["--words", "a b", "--words=c"], {"words": ["a b", "c"]}),
        (["--no-careful", "--quick"], {"careful": False, "quick": True}),
    ],
)
def test_a_command_gets_what_was_named(tokens: list[str], expected: dict[str, Any]) -> None:
    """The rest is left to the form, so that its defaults are said in one place."""
    assert _called_with(*tokens) == expected


@pytest.mark.parametrize("token", ["--no-quick", "--empty-words", "--numbr=4"])
def test_only_options_that_make_sense_are_there(token: str) -> None:
    """No field has two names for the same."""
    with pytest.raises(Exception, match="Unknown option"):
        _called_with(token)


def test_the_help_has_title_description_bounds_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the form; messages name fields by their title."""
    _called_with("--help")

    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "A number (of things). How many. 1 to 9. [default: 3]" in said
    assert "Words. Texts. Repeat the option for several." in said
    assert said.index("--number") < said.index("--words")


@pytest.mark.parametrize(("name", "form"), PHONE_FORMS.items())
def test_every_field_of_a_phone_form_is_an_option(name: str, form: type[BaseModel]) -> None:
    """Whatever the UI can start, a terminal can, with the same settings."""
    wanted = {f"--{field.replace('_', '-')}" for field in form.model_fields}

    assert wanted <= _options(app["phones"][name])


def test_every_field_of_a_post_is_an_option_too() -> None:
    """Video, accounts and time have their shorter names."""
    of_post = {f"--{field.replace('_', '-')}" for field in PostForm.model_fields}
    of_phones = {f"--engage-{field.replace('_', '-')}" for field in EngageForm.model_fields}
    shorter = {"--video", "--accounts", "--scheduled-for"}

    assert of_post - shorter | {"--to", "--at", "--json"} <= _options(app["publish"])
    assert of_post - shorter | of_phones <= _options(app["publish-and-engage"])


@pytest.mark.parametrize(
    ("values", "prefix", "words"),
    [
        ({"like_percent": 101}, "", "--like-percent: must be less than or equal to 100."),
        ({"x_min_seconds": 0}, "x_", "--x-min-seconds: must be greater than or equal to 1."),
        ({"start_at": "9"}, "", r"--start-at: must be a time of day such as 18:30, or empty\.$"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_sentence_with_its_option(
    values: dict[str, Any], prefix: str, words: str
) -> None:
    """Nothing is started."""
    with pytest.raises(InputError, match=words):
        read_form(WarmUpForm, values, prefix=prefix)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "publish x.mp4 silent.mp4 --to x",
            "`reelflow publish` does not take 'silent.mp4'. Put a name with spaces into quotes, and repeat an option "
            "for several values. See `reelflow publish --help`.",
        ),
        ("publish x.mp4 --tox x", "`reelflow publish` has no option --tox. Did you mean --to?"),
        ("publish x.mp4 --to x --captoin=Hi", "`reelflow publish` has no option --captoin. Did you mean --caption?"),
        ("publish --to x", "`reelflow publish` needs VIDEO."),
        ("publish x.mp4 --to", "--to needs a value."),
        ("publish x.mp4 --to x --fit stretch", "--fit: 'stretch' is not one of off, pad, blur, crop."),
        ("publish x.mp4 --to x --repeat 1 --repeat 2", "--repeat can be given only once."),
        ("publish x.mp4 --to x --dry-run=abc", "--dry-run takes no value."),
        ("posts --days soon", "--days: 'soon' is not a number. See `reelflow posts --help`."),
        ("posts --days -1", "--days must be more than 0."),
        ("sandbox --port 8e1", "--port: '8e1' is not a whole number."),
        ("plubish", "There is no command `reelflow plubish`. Did you mean publish? See `reelflow --help`."),
        ("phones warmup", "There is no command `reelflow phones warmup`. Did you mean warm-up?"),
        ("--verbose", "`reelflow` has no option --verbose."),
    ],
)
def test_words_that_a_command_does_not_know_are_one_sentence(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong, and where to look; nothing is started."""
    with pytest.raises(SystemExit) as exited:
        main(words.split())

    told = capsys.readouterr()
    assert (exited.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(f"reelflow: {said}")


def _said(form: FormOptions, sentence: str) -> str:
    """What a command with this form prints, and the error with which it ends."""

    @with_options_of(form, FormOptions(_Form, prefix="other_"), blocks={"TikMatrix Host": "--host"})
    def command(**_: Any) -> int:
        raise InputError(sentence + in_options(f" {sentence}"))

    with pytest.raises(InputError) as raised:
        command()
    return str(raised.value)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Set 'Send again on purpose' to 1.", "Set 'Send again on purpose' (--repeat) to 1."),
        ("Remove X from 'Accounts'.", "Remove X from 'Accounts' (--to)."),
        ("Choose a block 'TikMatrix Host'.", "Choose a block 'TikMatrix Host' (--host)."),
        ("Run cancel-scheduled-post.", "Run cancel-scheduled-post (`reelflow cancel`)."),
        ("The file 'none.mp4' is gone.", "The file 'none.mp4' is gone."),
    ],
)
def test_a_message_names_options_beside_the_labels_of_the_form(sentence: str, shown: str) -> None:
    """Once each, however often it passes; whoever uses a terminal sees no form."""
    assert _said(FormOptions(PostForm, without={"accounts": "--to"}), sentence) == f"{shown} {shown}"


def test_a_label_that_two_forms_have_names_no_option() -> None:
    """It could mean either."""
    assert _said(FormOptions(_Form), "Set 'Careful'.") == "Set 'Careful'. Set 'Careful'."


@pytest.mark.parametrize(("deployment", "command"), COMMANDS.items())
def test_the_command_that_a_message_names_is_there(deployment: str, command: str) -> None:
    """And the deployment that it stands beside."""
    assert deployment in {spec.name for spec in deployment_specs()}
    assert functools.reduce(lambda found, name: found[name], command.split(), app).default_command


def test_a_row_that_is_not_allowed_is_counted_from_one() -> None:
    """In our words alone: pydantic's "Value error" says nothing to who typed it."""
    with pytest.raises(InputError, match=r"^--rule \(2\): .* has no arrow"):
        read_form(RepostRulesForm, {"rules": ["X -> Threads", "X, Threads"]}, names={"rules": "--rule"})
