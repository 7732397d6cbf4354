"""Where a campaign plan comes from: a file in any encoding, a folder with videos, an address on the web."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.raw_server import raw_server

from reelflow.campaigns.encodings import decode
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.reading import ReadingOptions, read_plan
from reelflow.campaigns.rows import Plan
from reelflow.campaigns.sources import MOST_BYTES, load
from reelflow.errors import InputError

pytestmark = pytest.mark.usefixtures("on_loopback")

TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
GERMAN = "video;caption\nkäse.mp4;Käsekuchen für 2,50 €\nöl.mp4;„Größte“ Äpfel – schön\n"


def _read(source: str | Path, folder: str | None = None) -> Plan:
    return read_plan(str(source), folder=folder, options=ReadingOptions(time_zone="Europe/Berlin"), now=TODAY)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le mark", "utf-16-be mark", "utf-32", "cp1252", "mac_roman", "cp1250"],
)
def test_what_excel_saves_is_read(tmp_path: Path, encoding: str) -> None:
    """As UTF-8 with and without a mark, as Unicode text, and as "CSV" on Windows and on a Mac."""
    encoding, _, mark = encoding.partition(" ")
    path = tmp_path / "plan.csv"
    path.write_bytes((f"\ufeff{GERMAN}" if mark else GERMAN).replace("\n", "\r\n").encode(encoding))

    plan = _read(path)

    assert plan.problems == ()
    assert plan.columns == ("video", "caption")
    assert [row.caption for row in plan.rows] == ["Käsekuchen für 2,50 €", "„Größte“ Äpfel – schön"]
    assert plan.rows[0].video == str(tmp_path / "käse.mp4")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a;Über Nacht", "cp1252"),
        ("a;Déjà vu à la crème brûlée, ça va\nb;größer", "cp1252"),
        ("a;¿Mañana? ¡Sí, señor!", "cp1252"),
        ("a;È già Natale, perché no?", "cp1252"),
        ("a;Pão de queijo é ótimo", "cp1252"),
        ("a;Rødgrød med fløde\nb;Smörgåstårta", "cp1252"),
        ("a;Now 5 € off – “today”", "cp1252"),
        ("a;Größte Äpfel “heute”", "mac_roman"),
        ("a;Schöne Grüße", "cp850"),
        ("a;Привет, это пирог\nb;Самый вкусный торт на свете", "cp1251"),
        ("a;Zażółć gęślą jaźń, przepis na ciasto\nb;Najlepszy sernik na świecie", "cp1250"),
        ("a;Árvíztűrő tükörfúrógép", "cp1250"),
        ("a;Příliš žluťoučký kůň úpěl\nb;Nejlepší koláč na světě", "cp1250"),
        ("a;チョコレートケーキの作り方", "shift_jis"),
        ("a;巧克力蛋糕的做法很简单\nb;今天我们一起做蛋糕", "gb18030"),
        ("a;초콜릿 케이크 만드는 방법", "euc_kr"),
        ("a;Καλημέρα σας, κέικ", "cp1253"),
        ("a;Señor niño\nb;La fête des mères à Nîmes", "cp1252"),
        ("a;L’été à Nîmes, œuf\nb;Où est ma sœur ?", "cp1252"),
        ("a;Città, però così più bella", "cp1252"),
        ("a;Lækker kage på mit køkkenbord", "cp1252"),
        ("a;Você é ótima, não é?", "cp1252"),
        ("a;1º de mayo, Nº 5", "cp1252"),
        ("a;şekerli güzel ığdır\nb;bugün çok güzel bir kek yapıyoruz", "cp1254"),
    ],
)
def test_an_encoding_is_told_by_the_letters(text: str, encoding: str) -> None:
    """Also of few words, for which charset-normalizer alone names one that makes other letters of them."""
    assert decode(text.encode(encoding), "plan.csv") == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a;שלום לכולם".encode("cp1255"), "The encoding of plan.csv cannot be told"),
        ("a;größer und schöner".encode("cp850"), "The encoding of plan.csv cannot be told"),
        ("a;Dziękuję za obserwację\nb;Świetne śniadanie\nc;Zupa dnia".encode("cp1250"), "cannot be told"),
        ("a;Dziękuję\nb;Mięso i ser\nc;Zupa dnia".encode("cp1250"), "cannot be told"),
        ("a;To już koniec".encode("cp1250"), "cannot be told"),
        ("a;Jó reggelt, Budapest\nb;Kávé és főtt tojás\nc;Főzés otthon".encode("cp1250"), "cannot be told"),
        ("a;Őszi leves".encode("cp1250"), "cannot be told"),
        ("a;Kolač za večer".encode("cp1250"), "cannot be told"),
        ("a;Dupã tot".encode("cp1252"), "cannot be told"),
        ("a;Niedźwiedź".encode("cp1250"), "cannot be told"),
        ("a;Kahvaltı hazır, afiyet olsun".encode("cp1254"), "cannot be told"),
        ("a;İyi sabahlar".encode("cp1254"), "cannot be told"),
        (b"video\n\xff\x00\xfea", "damaged or not a text"),
        (b"\xff\xfev\x00i\x00d", "damaged or not a text"),
        (b"v\x00i\x00d\x00e\x00o\x00", "not a text file"),
        (b"PK\x03\x04" + bytes(range(256)) * 20, "not a text"),
        (random.Random(1).randbytes(5000), "not a text"),
        (bytes(each for each in random.Random(2).randbytes(5000) if each), "not a text|cannot be told"),
    ],
    ids=["Hebrew", "as well of a Mac as of DOS", "Polish", "Polish with one letter", "Polish with a sign of Spanish",
         "Hungarian", "a sign on a Mac", "Croatian", "as well Romanian as Portuguese", "Polish on a Mac",
         "Turkish", "one Turkish letter", "junk with NUL", "half a character", "no mark", "zip", "random",
         "random without NUL"],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    """Its letters would be wrong in a post."""
    path = tmp_path / "plan.csv"
    path.write_bytes(data)

    with pytest.raises(InputError, match=words):
        _read(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plan.xlsx", "is not a kind of plan that can be read. Save it as .csv.* In Excel"),
        ("plan", "is not a kind of plan"),
        ("missing.csv", "There is no plan .*missing.csv"),
        ("x" * 300 + ".csv", "There is no plan"),
        ("a\0b.csv", "There is no plan"),
        ("~nobody-of-this-name/a.csv", "There is no plan"),
        ("", "No plan is named"),
        ("pipe.csv", "pipe.csv is not a file"),
        ("large.csv", "larger than 20 MB"),
    ],
    ids=["a workbook", "no ending", "missing", "too long", "NUL", "no home", "nothing", "a pipe", "too large"],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, name: str, words: str) -> None:
    for each in ("plan.xlsx", "plan"):
        (tmp_path / each).write_text("x")
    os.mkfifo(tmp_path / "pipe.csv")
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(MOST_BYTES + 1)

    with pytest.raises(InputError, match=words):
        _read(name, str(tmp_path))


def _folder(tmp_path: Path, files: Mapping[str, str | bytes]) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_folder_is_a_plan_with_the_captions_beside_the_videos(tmp_path: Path) -> None:
    """In the order in which people number files; two videos of one name have the same captions."""
    folder = _folder(
        tmp_path,
        {
            "clip 10.mp4": "", "clip 2.MOV": "", "clip 2.txt": "Two\n", "Cake.mp4": "", "Cake.mov": "",
            "Cake.txt": "Käse\n\nfür alle\r\n".encode("cp1252"), "Cake.X.txt": "\ufeffShort", "._Cake.mp4": "",
            ".hidden.mp4": "", "notes.md": "", "plan.problems.csv": "",
        },
    )  # fmt: skip
    (folder / "folder.mp4").mkdir()

    plan = _read("inbox", str(tmp_path))

    assert plan.problems == ()
    assert [Path(row.video).name for row in plan.rows] == ["Cake.mov", "Cake.mp4", "clip 2.MOV", "clip 10.mp4"]
    assert plan.rows[0].video == str(folder / "Cake.mov")
    assert [row.caption for row in plan.rows] == ["Käse\n\nfür alle", "Käse\n\nfür alle", "Two", ""]
    assert plan.rows[1].caption_for("X") == "Short"
    assert plan.columns == ("video", "caption", "caption x")
    assert dict(plan.rows[2].cells) == {"video": "clip 2.MOV", "caption": "Two"}


def test_a_caption_without_video_is_named(tmp_path: Path) -> None:
    """So is one that cannot be read, with each of its videos."""
    folder = _folder(
        tmp_path,
        {"a.mp4": "", "b.mp4": "", "b.mov": "", "c.txt": "x", "a.b.tiktok.txt": "x", "b.txt": b"\0",
         "a.txt": "x" * 100_001},
    )  # fmt: skip

    plan = _read(folder)

    assert [(p.number, p.column, p.code) for p in plan.problems] == [
        (0, "", "caption_without_video"), (0, "", "caption_without_video"),
        (1, "caption", "caption_file"), (2, "caption", "caption_file"), (3, "caption", "caption_file"),
    ]  # fmt: skip
    assert plan.problems[0].sentence.startswith("a.b.tiktok.txt belongs to no video.")
    assert "The caption a.txt is larger than 100 kB" in plan.problems[2].sentence


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no video in the folder inbox\. Put the videos directly into it"):
        _read(_folder(tmp_path, {"a.txt": "x"}))


def test_a_folder_with_a_plan_is_not_taken_for_a_folder_of_videos(tmp_path: Path) -> None:
    """Its plan would be ignored in silence, and its videos posted without captions."""
    with pytest.raises(InputError, match=r"The folder inbox has a plan, plan\.csv, .* Give that file as the plan"):
        _read(_folder(tmp_path, {"plan.csv": "video,caption", "a.mp4": "x"}))


class _Web(BaseHTTPRequestHandler):
    """Answers by path; remembers the headers of each request."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has had enough
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing of it."""


@pytest.fixture
def web() -> Iterator[tuple[str, type[_Web]]]:
    """The address of a web server, and its answers."""
    handler = type("Web", (_Web,), {"answers": {}, "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join(60)
    assert not thread.is_alive()
    server.server_close()


def test_a_plan_may_be_on_the_web(web: tuple[str, type[_Web]]) -> None:
    """By the ending of its address, or the type that its server names; nothing secret is sent, or shown of it."""
    address, handler = web
    handler.answers = {
        "/go?key=secret": (302, {"Location": "/there", "Set-Cookie": "a=b"}, b""),
        "/there": (307, {"Location": f"{address}/plan.csv?key=secret"}, b""),
        "/plan.csv?key=secret": (200, {"Content-Type": "application/octet-stream"}, b"video,caption\nin/a.mp4,x\n"),
        "/export?format=csv": (200, {"Content-Type": "text/csv; charset=utf-8"}, GERMAN.encode()),
        "/p": (200, {"Content-Type": "application/json"}, b'[{"video": "a.mp4"}]'),
    }

    plan = _read(f"{address}/go?key=secret")

    assert (plan.name, plan.rows[0].video) == ("127.0.0.1/…/go", "in/a.mp4")
    assert all("Cookie" not in headers and "Authorization" not in headers for headers in handler.seen)
    assert len(_read(f"{address}/export?format=csv").rows) == 2
    assert len(_read(f"{address}/p").rows) == 1


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("https://d.example/s/x/plan.csv?dl=1", {"Content-Type": "application/binary"}),
        ("https://d.example/s/x?dl=1", {"Content-Disposition": 'attachment; filename="Plan 1.CSV"'}),
        ("https://d.example/s/x?dl=1", {"Content-Disposition": "attachment; filename*=UTF-8''Plan%20%C3%BC.csv"}),
        ("https://d.example/s/x.csv", {"Content-Disposition": "attachment; filename*0=a; filename*=b"}),
    ],
    ids=["the first address", "the file's name", "the name, encoded", "a name that cannot be read"],
)
def test_a_link_may_lead_to_a_file_without_a_name(address: str, headers: dict[str, str]) -> None:
    """Dropbox redirects to an address that ends with "file"."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/s/"):
            return httpx.Response(302, headers={"Location": "https://c.example/cd/0/get/abc/file"})
        return httpx.Response(200, headers=headers, content=b"video\na.mp4\n")

    assert load(address, "plan", transport=httpx.MockTransport(answer)) == (b"video\na.mp4\n", "csv")


def test_the_name_of_a_campaign_has_no_secret_of_its_address() -> None:
    """It is in the run's name, its steps and its alarms."""
    assert CampaignForm(plan='"https://example.com/in/week.csv?token=SECRET#x"').name == "example.com/…/week.csv"
    assert CampaignForm(plan="https://example.com/?token=SECRET").name == "example.com"
    assert CampaignForm(plan=" C:\\videos\\week 48\\ ").name == "week 48"
    assert CampaignForm().name == "posts of the form"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {}, b""), "answered 404. Share it with everybody"),
        ((500, {}, b""), "answered 500"),
        ((302, {}, b""), "answered 302"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "is a web page, not a plan"),
        ((200, {"Content-Type": "application/zip"}, b"PK"), "is not a kind of plan"),
        ((301, {"Location": "/plan"}, b""), "redirects too many times"),
        ((301, {"Location": "ftp://127.0.0.1/plan.csv"}, b""), "not a web address"),
        ((301, {"Location": "http://me:key@127.0.0.1/plan.csv"}, b""), "user name or password"),
        ((301, {"Location": "http://a:b"}, b""), "could not be loaded"),
        ((200, {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, b"video"), "could not be loaded"),
        ((200, {"Content-Type": "text/csv"}, b"x" * (MOST_BYTES + 1)), "longer than 20 MB"),
    ],
)  # fmt: skip
def test_what_the_web_answers_may_be_no_plan(web: tuple[str, type[_Web]], answer: Any, words: str) -> None:
    address, handler = web
    handler.answers = {"/plan": answer}

    with pytest.raises(InputError, match=words) as error:
        _read(f"{address}/plan")
    assert "127.0.0.1/…/plan" in str(error.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:1/plan.csv", "could not be loaded"),
        ("http://me:secret@127.0.0.1:1/plan.csv", "user name or password, which are not sent"),
        ("https://", "^The address leads to something that is not a web address"),
        ("http://a:b/plan.csv", "^The address could not be loaded"),
        ("http://127.0.0.1:99999/plan.csv", "could not be loaded"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        _read(address)
    assert "secret" not in str(error.value)


def test_a_server_that_breaks_off_has_sent_no_plan() -> None:
    with raw_server(_half) as address, pytest.raises(InputError, match="could not be loaded"):
        _read(f"{address}/plan.csv")


def _half(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nContent-Type: text/csv\r\n\r\nvideo\na.mp4\n")
    raise OSError


VALID = {
    "plan.csv": GERMAN + 'a.mp4;"x; ""y""\nz"\n',
    "plan.json": '{"posts": [{"video": "a.mp4", "captions": {"x": "y"}, "accounts": ["X"], "when": "now"}]}',
    "plan.yaml": "posts:\n- &a {video: a.mp4, captions: {x: y}}\n- <<: *a\n  when: 2026-11-27 18:00\n",
}


@pytest.mark.parametrize("name", VALID)
def test_no_bytes_break_the_reading(tmp_path: Path, name: str) -> None:
    """Parts of a valid plan are changed, doubled and cut by chance: a plan comes out of it, or one sentence."""
    chance = random.Random(name)
    path = tmp_path / name
    good = VALID[name].encode()
    for _ in range(600):
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(data) + 1)
            piece = chance.choice((b"", b"\0", b"\xff", b'"', b"{", b"[", b"]", b"*a", b"\n", b";", b"\xc3", b": ",
                                   good[place : place + 9], chance.randbytes(3)))  # fmt: skip
            data[place : place + chance.randint(0, 3)] = piece
        path.write_bytes(data)
        plan = None
        with contextlib.suppress(InputError):
            plan = _read(path)
        if plan is not None:
            assert plan.rows
            assert all(problem.sentence.isprintable() for problem in plan.problems)
