"""The bot as its users see it: invited, spoken to, answered."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BOT = Path(__file__).with_name("bot.py")


class RunningBot:
    def __init__(self, *args):
        self.process = subprocess.Popen(
            [sys.executable, str(BOT), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the bot did not start: {self.process.stderr.read()}")
        self.user_id = json.loads(line)["ready"]

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()


def from_bot(person, room, bot, wanted):
    """The first timeline event of the bot for which wanted(event) holds."""

    def found(answer):
        events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        return [e for e in events if e["sender"] == bot and wanted(e)]

    return person.sync_until(found)[0]


def relation(event):
    return event["content"].get("m.relates_to", {})


@pytest.fixture
def bot_account(new_user, tmp_path):
    account = new_user("bot")
    (tmp_path / "password").write_text("a good password 1\n")
    return account


@pytest.fixture
def bot(server, bot_account, tmp_path):
    running = RunningBot("--homeserver", server.base, "--user", bot_account.user_id, "--password-file",
                         str(tmp_path / "password"), "--save-token", str(tmp_path / "token"))
    yield running
    running.close()


def invite_bot(person, bot):
    room = person.create_room(preset="private_chat", invite=[bot.user_id])
    greeting = from_bot(person, room, bot.user_id, lambda e: e["type"] == "m.room.message")
    assert "!help" in greeting["content"]["body"]
    return room


def test_it_comes_when_invited_and_answers_help(alice, bot):
    room = invite_bot(alice, bot)
    asked = alice.text(room, "!help")
    answer = from_bot(alice, room, bot.user_id, lambda e: "m.in_reply_to" in relation(e))
    assert relation(answer)["m.in_reply_to"]["event_id"] == asked
    assert "!thread" in answer["content"]["body"]


def test_it_shows_that_it_types_and_has_read(alice, bot):
    room = invite_bot(alice, bot)
    asked = alice.text(room, "!help")
    seen = {"typing": False, "read": False}

    def both(answer):
        for e in answer.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", []):
            if e["type"] == "m.typing" and bot.user_id in e["content"]["user_ids"]:
                seen["typing"] = True
            if e["type"] == "m.receipt" and bot.user_id in e["content"].get(asked, {}).get("m.read", {}):
                seen["read"] = True
        return all(seen.values())

    alice.sync_until(both)


def test_it_answers_in_a_thread_which_the_root_then_shows(alice, bot):
    room = invite_bot(alice, bot)
    root = alice.text(room, "!thread")
    reply = from_bot(alice, room, bot.user_id, lambda e: relation(e).get("rel_type") == "m.thread")
    assert relation(reply)["event_id"] == root
    bundle = alice.event(room, root)["unsigned"]["m.relations"]["m.thread"]
    assert bundle["count"] == 1
    assert bundle["latest_event"]["event_id"] == reply["event_id"]
    assert bundle["current_user_participated"] is True


def test_it_reacts(alice, bot):
    room = invite_bot(alice, bot)
    asked = alice.text(room, "!react")
    reaction = from_bot(alice, room, bot.user_id, lambda e: e["type"] == "m.reaction")
    assert relation(reaction) == {"rel_type": "m.annotation", "event_id": asked, "key": "👍"}


def test_its_edit_replaces_what_it_said(alice, bot):
    room = invite_bot(alice, bot)
    alice.text(room, "!edit")
    edit = from_bot(alice, room, bot.user_id, lambda e: relation(e).get("rel_type") == "m.replace")
    first = alice.event(room, relation(edit)["event_id"])
    assert first["unsigned"]["m.relations"]["m.replace"]["event_id"] == edit["event_id"]
    assert first["content"]["body"] == "It is five to twelve."


def test_what_it_takes_back_is_gone(alice, bot):
    room = invite_bot(alice, bot)
    alice.text(room, "!oops")
    redaction = from_bot(alice, room, bot.user_id, lambda e: e["type"] == "m.room.redaction")
    gone = alice.event(room, redaction["content"]["redacts"])
    assert gone["content"] == {}
    assert gone["unsigned"]["redacted_because"]["event_id"] == redaction["event_id"]


def test_it_works_on_with_the_token_of_an_earlier_login(server, alice, bot, tmp_path):
    bot.close()
    again = RunningBot("--homeserver", server.base, "--user", bot.user_id, "--token-file", str(tmp_path / "token"))
    try:
        room = invite_bot(alice, again)
        alice.text(room, "!help")
        from_bot(alice, room, again.user_id, lambda e: "m.in_reply_to" in relation(e))
    finally:
        again.close()


def test_it_leaves_when_told(alice, bot):
    room = invite_bot(alice, bot)
    alice.text(room, "!quit")
    left = from_bot(alice, room, bot.user_id, lambda e: e["type"] == "m.room.member" and e["content"]["membership"] == "leave")
    assert left["state_key"] == bot.user_id
    assert bot.process.wait(20) == 0
